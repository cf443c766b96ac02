"""suite.py: what the integration suites share: one cluster behind relays for each file, clients of
the Python binding, other client processes, raw protocol clients, and waiting for conditions.

Time outs are short so that hours of the scenarios become seconds, yet long against the pauses of a
loaded machine. Nothing here sleeps for a result: tests wait for conditions, with one bound for all.

What must hold: each test begins with all nodes up, no fault and a leader that serves; whatever a
test starts is ended.
"""
import json
import os
import random
import select
import subprocess
import sys
import time
import unittest

import support
import zmtp

os.environ.setdefault('RAFTCS_LIBRARY', os.path.join(support.BUILD, 'libraftcs.so'))
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', '..', 'bindings', 'python'))
# pylint: disable=wrong-import-position
import raftcs  # noqa: E402
from raftcs import errors, kv, msgpack  # noqa: E402,F401

WAIT_S = 40
FAST = ('raft.heartbeat_ms=40', 'raft.election_timeout_ms=400', 'session.timeout_min_ms=200')
SEED = int(os.environ.get('RAFTCS_SEED') or random.SystemRandom().randrange(2 ** 32))

# raftcs_client_state and raftcs_event_kind of include/raftcs.h.
DISCONNECTED, CONNECTING_NEW, CONNECTING_EXISTING, CONNECTED = 1, 2, 3, 4
STATE_EVENT, LOST_EVENT, TOPOLOGY_EVENT = 5, 6, 7
APPLIED, NOT_APPLIED, UNKNOWN = (raftcs._ffi.OUTCOME_APPLIED, raftcs._ffi.OUTCOME_NOT_APPLIED,
                                 raftcs._ffi.OUTCOME_UNKNOWN)

# Message numbers and reasons of docs/protocol.md.
WELCOME, CREATED, CONTINUED, REJECTED, CLOSED, RESPONSE, ERROR = 64, 65, 66, 67, 68, 70, 72
NOT_LEADER, EXPIRED, INVALID, WRONG_PROOF = 1, 2, 3, 4
BY_SHUTDOWN, BY_TAKE_OVER, BY_CLOSE = 1, 4, 6


def wait_for(condition, what, seconds=WAIT_S):
    """Polls until the condition gives something; that thing."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f'waited {seconds} s for: {what}')
        time.sleep(0.02)


def readable(descriptor):
    return bool(select.select([descriptor], [], [], 0)[0])


class Suite(unittest.TestCase):
    nodes = 3
    settings = FAST
    plugins = ('kv.so',)

    @classmethod
    def setUpClass(cls):
        print(f'RAFTCS_SEED={SEED}', flush=True)
        cls.random = random.Random(SEED)
        cls.cluster = support.Cluster(cls.nodes, cls.settings, relays=True, plugins=cls.plugins)
        cls.addClassCleanup(cls.cluster.__exit__)
        cls.cluster.__enter__()
        cls.network = cls.cluster.network
        cls.servers = cls.cluster.servers
        cls.administrator = raftcs.Client(cls.config(), open=False)
        cls.addClassCleanup(cls.administrator.close)

    def setUp(self):
        self.network.heal()
        for server in self.servers.values():
            if not server.running():
                server.start()
            elif server.paused:
                server.go_on()
        self.leader()

    @classmethod
    def config(cls, **settings):
        """A client's settings; a__b stands for the setting client.a.b."""
        out = {'client.endpoints': ','.join(cls.cluster.addresses.values()),
               'client.connect_timeout_ms': 1000}
        out.update({'client.' + k.replace('__', '.'): v for k, v in settings.items()})
        return out

    def client(self, session=None, open=True, **settings):  # pylint: disable=redefined-builtin
        client = raftcs.Client(self.config(**settings), session=session, open=open)
        self.addCleanup(client.close)
        return client

    def connected(self, session=None, **settings):
        return self.client(session, **settings).wait_connected(WAIT_S)

    def worker(self, **settings):
        return Worker(self, self.config(**settings))

    # --- the cluster ------------------------------------------------------------------------

    def status(self, node):
        """A node's own status, not through its relay; None when it does not answer."""
        return self.admin('status', node)

    def admin(self, verb, node, arguments=None):
        address = f'tcp://127.0.0.1:{self.cluster.real_ports[node]}'
        try:
            return self.administrator.admin(verb, arguments, endpoint=address, timeout=2)
        except raftcs.RaftcsError:
            return None

    def up(self):
        return [i for i, s in self.servers.items() if s.running() and not s.paused]

    def leader(self, besides=0):
        """The node that leads and serves; not `besides`."""
        def serving():
            for i in self.up():
                if i != besides and (self.status(i) or {}).get('serving'):
                    return i
            return 0
        return wait_for(serving, 'a leader that serves')

    def followers(self, leader=None):
        leader = leader or self.leader()
        return [i for i in self.servers if i != leader]

    def sessions(self, node=None):
        """What a node has in its applied state, by the session's id in hexadecimal."""
        node = node or self.leader()
        rows = wait_for(lambda: (self.admin('sessions', node),), 'a list of sessions')[0]
        return {row['id']: row for row in rows or ()}

    def session_id(self, client):
        return client.info().session_id.hex()

    def gone(self, session, seconds=WAIT_S):
        """Waits until no node has the session."""
        for node in self.up():
            wait_for(lambda node=node: session not in self.sessions(node),
                     f'session {session} to end at node {node}', seconds)

    def raw(self, node):
        """A protocol client at a node, past the relay."""
        raw = Raw(self.cluster.real_ports[node])
        self.addCleanup(raw.close)
        return raw


class Worker:
    """A client in a process of its own (worker.py), driven by lines of JSON."""

    def __init__(self, test, settings):
        environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)}
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, 'worker.py')],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=environment)
        test.addCleanup(self.end)
        self.settings = settings

    def send(self, call, **arguments):
        self.process.stdin.write(json.dumps({'call': call, **arguments}) + '\n')
        self.process.stdin.flush()
        return self

    def answer(self):
        if not select.select([self.process.stdout], [], [], 2 * WAIT_S)[0]:
            raise AssertionError('the client process does not answer')
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError('the client process is gone')
        return json.loads(line)

    def call(self, call, **arguments):
        return self.send(call, **arguments).answer()

    def open(self, token=None):
        return self.call('open', settings=self.settings, token=token)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Raw:
    """Speaks the client protocol by hand (docs/protocol.md), to say what no library would."""

    def __init__(self, port):
        self.dealer = zmtp.Dealer(port, timeout=WAIT_S)
        self.waiting = []

    def send(self, kind, *fields):
        return self.send_many(kind, [list(fields)])

    def send_many(self, kind, items):
        self.dealer.send(msgpack.pack([0x52435331, 1, kind, items]))
        return self

    def receive(self, *kinds):
        """The fields of the next message of one of the kinds, with the kind first."""
        while True:
            for at, (kind, fields) in enumerate(self.waiting):
                if kind in kinds:
                    del self.waiting[:at + 1]
                    return [kind, *fields]
            self.waiting = []
            _, _, kind, items = msgpack.unpack(self.dealer.receive_message())[:4]
            self.waiting = [(kind, fields) for fields in items]

    def hello(self):
        self.send(1, 1, 1, None, 'by hand')
        return self.receive(64)

    def create(self, channel=1, nonce=7, proof=None, timeout_ms=4000, capabilities=None):
        """Asks for a session; the answer, with kind 65 or 67."""
        capabilities = {'kind': 'raw'} if capabilities is None else capabilities
        self.send(2, channel, nonce, proof or os.urandom(16), timeout_ms, capabilities)
        return self.receive(65, 67)

    def go_on(self, session, proof, channel=1, nonce=8, holder=0):
        """Asks to continue a session; the answer, with kind 66 or 67."""
        self.send(3, channel, nonce, session, proof, 0, holder)
        return self.receive(66, 67)

    def request(self, number, payload, lowest=None, channel=1, service='kv'):
        """One command; its answer, with kind 68, 70 or 72."""
        self.send(5, channel, number, lowest or number, service, payload)
        return self.receive(68, 70, 72)

    def close(self):
        self.dealer.close()
