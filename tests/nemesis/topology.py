"""topology.py: where the nodes of a nemesis run live, and how their links are cut.

Loopback: all on 127.0.0.1, with the relays of tests/process/proxy.py before their ports; whole
messages are lost. Namespaces: each node in a network namespace of its own, clients in another,
joined by a bridge (10.77.0.0/24); packets are lost, and TCP sees it as it would.

What must hold: a cut is told from no cut by a count of what was lost on that very link.
"""
import ctypes
import os
import random
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', 'process')]
# pylint: disable=wrong-import-position
import proxy  # noqa: E402
import shim  # noqa: E402
import support  # noqa: E402

# As an end of a link: the clients, and those that may be cut off apart from them.
CLIENTS, OTHERS = 0, -1


HOST = 100  # the clients' part of an address; the others have the next one


def put_shims(cluster):
    """Loads shim.c into all servers, which are not running yet; {node: its Control}."""
    out = {}
    for node, server in cluster.servers.items():
        out[node] = shim.Control(os.path.join(cluster.folder, f'shim-{node}'))
        at = server.arguments.index(support.SERVER)
        server.arguments[at:at] = out[node].environment()
    return out


class Loopback(support.Cluster):
    """Relays drop messages."""

    kind = 'loopback'
    groups = (CLIENTS,)

    def __init__(self, count, settings):
        super().__init__(count, settings, relays=True)
        self.shims = put_shims(self)
        self.random = random.Random(1)

    def link(self, source, target):
        node = max(source, target)
        return self.network.client[node] if CLIENTS in (source, target) else \
            self.network.peer[source, target]

    def cut(self, source, target, share=1.0):
        """From now on `share` of what goes from source to target is lost."""
        chance = self.random.random
        # A relay of clients carries both directions; those of peers carry but one.
        way = proxy.UP if source == CLIENTS else proxy.DOWN if target == CLIENTS else None
        self.link(source, target).drop = lambda m: way in (None, m.direction) and (
            share >= 1 or chance() < share)

    def lost(self, source, target):
        """What was lost on the link since the run began."""
        return self.link(source, target).count('dropped', None)

    def mend(self):
        self.network.heal()

    def inside(self, _):
        """What stands before the command of a client of this group."""
        return []


class Namespaces(support.Cluster):
    """iptables drops packets where they arrive."""

    kind = 'namespaces'
    groups = (CLIENTS, OTHERS)

    def __init__(self, count, settings):
        self.tag = f'rcs{os.getpid()}'
        self.made = []
        self.counted = {}
        super().__init__(count, settings)
        self.addresses = {i: f'tcp://10.77.0.{i}:7001' for i in self.servers}
        self.endpoints = ','.join(f'10.77.0.{i}:7001' for i in self.servers)
        members = ','.join(f'{i}=tcp://10.77.0.{i}:7002/tcp://10.77.0.{i}:7001'
                           for i in self.servers)
        for i, server in self.servers.items():
            arguments = server.arguments
            for option, value in (('--client-listen', f'tcp://10.77.0.{i}:7001'),
                                  ('--peer-listen', f'tcp://10.77.0.{i}:7002'),
                                  ('--cluster', members)):
                arguments[arguments.index(option) + 1] = value
            server.arguments = ['ip', 'netns', 'exec', self.space(i)] + arguments
        self.shims = put_shims(self)

    @staticmethod
    def permitted():
        """Can this process make them?"""
        name = f'rcs{os.getpid()}-try'
        tries = (('ip', 'netns', 'add', name),
                 ('ip', 'netns', 'exec', name, 'iptables', '-A', 'INPUT', '-m', 'statistic',
                  '--mode', 'random', '--probability', '0.5', '-j', 'DROP'),
                 ('ip', '-n', name, 'link', 'add', 'name', 'hub', 'type', 'bridge'),
                 ('ip', '-n', name, 'link', 'add', 'name', 'end0', 'type', 'veth', 'peer', 'name',
                  'end1'))
        try:
            return all(subprocess.run(t, capture_output=True, check=False).returncode == 0
                       for t in tries)
        except OSError:
            return False
        finally:
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True, check=False)

    def space(self, node):
        return f'{self.tag}-{"others" if node == OTHERS else node}'

    def ip(self, *arguments):
        subprocess.run(['ip', *arguments], check=True, capture_output=True)

    def __enter__(self):
        try:
            self.make()
        except BaseException:
            self.remove()
            raise
        return super().__enter__()

    @staticmethod
    def sweep():
        """Removes what a run left that was killed."""
        listed = subprocess.run(['ip', 'netns', 'list'], capture_output=True, text=True,
                                check=True).stdout
        for space in (line.split()[0] for line in listed.splitlines() if line):
            made = re.fullmatch(r'rcs(\d+)-\w+', space)
            if made and not os.path.exists(f'/proc/{made.group(1)}'):
                subprocess.run(['ip', 'netns', 'del', space], check=False, capture_output=True)

    def make(self):
        self.sweep()
        bridge = self.space('b')
        for node in ('b', *self.groups, *self.servers):
            self.ip('netns', 'add', self.space(node))
            self.made.append(self.space(node))
        self.ip('-n', bridge, 'link', 'add', 'name', 'hub', 'type', 'bridge')
        self.ip('-n', bridge, 'link', 'set', 'hub', 'up')
        for number, node in enumerate((*self.groups, *self.servers)):
            space = self.space(node)
            self.ip('-n', bridge, 'link', 'add', 'name', f'end{number}', 'type', 'veth',
                    'peer', 'name', 'eth0', 'netns', space)
            self.ip('-n', bridge, 'link', 'set', f'end{number}', 'master', 'hub', 'up')
            self.ip('-n', space, 'addr', 'add', self.address(node) + '/24', 'dev', 'eth0')
            self.ip('-n', space, 'link', 'set', 'eth0', 'up')
            self.ip('-n', space, 'link', 'set', 'lo', 'up')
        # This process lives with the clients, for it asks servers too.
        self.home = os.open('/proc/self/ns/net', os.O_RDONLY)
        self.enter_namespace(os.open(f'/run/netns/{self.space(CLIENTS)}', os.O_RDONLY))

    @staticmethod
    def enter_namespace(descriptor):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(descriptor, 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), 'setns')
        os.close(descriptor)

    def __exit__(self, *arguments):
        super().__exit__(*arguments)
        self.remove()

    def remove(self):
        if hasattr(self, 'home'):
            self.enter_namespace(self.home)
            del self.home
        for space in self.made:
            subprocess.run(['ip', 'netns', 'del', space], check=False, capture_output=True)
        self.made = []

    def tables(self, node, *arguments):
        return subprocess.run(['ip', 'netns', 'exec', self.space(node), 'iptables', '-w',
                               *arguments], check=True, capture_output=True, text=True).stdout

    def address(self, node):
        return f'10.77.0.{node if node > 0 else HOST - node}'

    def inside(self, group):
        return ['ip', 'netns', 'exec', self.space(group)]

    def cut(self, source, target, share=1.0):
        how = [] if share >= 1 else ['-m', 'statistic', '--mode', 'random', '--probability',
                                     str(share)]
        self.tables(target, '-A', 'INPUT', '-s', self.address(source), *how, '-j', 'DROP')

    def dropped_now(self):
        """{(source, target): packets} of the rules that are in force."""
        out = {}
        for target in (*self.groups, *self.servers):
            for line in self.tables(target, '-L', 'INPUT', '-v', '-x', '-n').splitlines():
                words = line.split()
                if len(words) > 8 and words[2] == 'DROP':
                    host = int(words[7].rsplit('.', 1)[1])
                    key = (host if host < HOST else HOST - host, target)
                    out[key] = out.get(key, 0) + int(words[0])
        return out

    def lost(self, source, target):
        return self.counted.get((source, target), 0) + self.dropped_now().get((source, target), 0)

    def mend(self):
        for key, packets in self.dropped_now().items():
            self.counted[key] = self.counted.get(key, 0) + packets
        for node in (*self.groups, *self.servers):
            self.tables(node, '-F', 'INPUT')
