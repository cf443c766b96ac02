"""members.py: a cluster of real servers that grows, shrinks and loses disks.

Nodes are started one by one; the first founds the cluster, the others join it.
"""
import json
import os
import shutil
import tempfile
import time

import support

SETTINGS = ('raft.heartbeat_ms=50', 'raft.election_timeout_ms=500', 'log.segment_bytes=262144')


class Members:
    """A context manager; nodes are numbered from 1."""

    def __init__(self, count, settings=()):
        self.folder = tempfile.mkdtemp(prefix='raftcs-members-')
        self.plugins = support.plugins_only(os.path.join(self.folder, 'plugins'))
        ports = support.free_ports(2 * count)
        self.client = {i + 1: f'127.0.0.1:{ports[2 * i]}' for i in range(count)}
        self.peer = {i + 1: f'127.0.0.1:{ports[2 * i + 1]}' for i in range(count)}
        self.settings = list(SETTINGS) + list(settings)
        self.servers = {}
        self.in_cluster = set()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.servers.values():
            if server.running():
                server.process.terminate()
        for server in self.servers.values():
            try:
                server.stop(20)
            except AssertionError:
                pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def data(self, node):
        return os.path.join(self.folder, f'node-{node}')

    def server(self, node, *more):
        arguments = ['--id', node, '--data', self.data(node), '--client-listen',
                     'tcp://' + self.client[node], '--peer-listen', 'tcp://' + self.peer[node],
                     '--plugins', self.plugins]
        for pair in self.settings:
            arguments += ['--set', pair]
        return support.Server(os.path.join(self.folder, f'node-{node}.log'),
                              arguments + list(more))

    def found(self, nodes=(1,)):
        """Starts the first members."""
        more = []
        if len(nodes) > 1:
            more = ['--cluster', ','.join(f'{n}=tcp://{self.peer[n]}/tcp://{self.client[n]}'
                                          for n in nodes)]
        for n in nodes:
            self.servers[n] = self.server(n, *more).start()
            self.in_cluster.add(n)

    def start_joining(self, node):
        join = ','.join(self.client[n] for n in self.in_cluster)
        self.servers[node] = self.server(node, '--join', join).start()

    def endpoints(self):
        return ','.join(self.client[n] for n in sorted(self.in_cluster))

    def cli(self, *arguments, **keywords):
        return support.cli('-e', self.endpoints(), *arguments, **keywords)

    def must(self, *arguments, **keywords):
        result = self.cli(*arguments, **keywords)
        if result.returncode != 0:
            raise AssertionError(f'{arguments}: {result.returncode} {result.stdout}'
                                 f'{result.stderr}')
        return result

    def add_voter(self, node):
        self.start_joining(node)
        self.must('member', 'add', node, self.peer[node], self.client[node], timeout_ms=60000)
        self.must('member', 'promote', node, '--wait', timeout_ms=60000)
        self.in_cluster.add(node)

    def roles(self):
        listed = json.loads(self.must('-o', 'json', 'member', 'list').stdout)
        return {m['id']: m['role'] for m in listed}

    def status(self, node):
        result = support.cli('-e', self.client[node], '-o', 'json', 'status', timeout_ms=5000)
        if not result.stdout:
            return {}
        nodes = json.loads(result.stdout).get('nodes', [])
        return next((n for n in nodes if n.get('id') == node), {})

    def leader(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            result = self.cli('-o', 'json', '--timeout', 3000, 'leader', 'show')
            if result.returncode == 0:
                return json.loads(result.stdout)['leader']
            time.sleep(0.1)
        raise AssertionError('no leader: ' + result.stderr)

    def wait(self, what, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return
            time.sleep(0.2)
        raise AssertionError('waited in vain: ' + what)

    def load(self, counters, times, rate=200):
        """Sessions that add 1, each `times` times, in the background."""
        return [support.subprocess.Popen(
            [support.CLI, '-e', self.endpoints(), '--timeout', '60000', '-o', 'json', 'kv', 'count',
             f'counter-{i}', '--times', str(times), '--rate', str(rate), '--window', '16'],
            stdin=support.subprocess.DEVNULL, stdout=support.subprocess.PIPE,
            stderr=support.subprocess.PIPE, text=True) for i in range(counters)]

    def check_load(self, running, times):
        """All were done once; gives nothing back but an AssertionError."""
        for i, process in enumerate(running):
            out, err = process.communicate(timeout=150)
            if process.returncode != 0:
                raise AssertionError(f'the load failed: {process.returncode} {out} {err}')
            value = int(self.must('kv', 'get', f'counter-{i}').stdout)
            if value != times or json.loads(out)['done'] != times:
                raise AssertionError(f'counter-{i} is {value}, not {times}: {out}')
