"""proxy.py: TCP relays between clients, servers and peers, with faults that can be counted.

A relay stands before each client port and each peer port of a cluster, and the addresses that the
members are told are the relays'. It reads ZMTP 3 (RFC 23): the greeting and commands pass as they
are, messages pass or are dropped as a whole, so that the stream stays well formed.

Links: `Network.client[j]` is all clients to node j, `Network.peer[i, j]` is what node i sends to
node j (a frame names its sender). Connections between members carry messages one way, so a drop on
one peer link is a one-way cut. Faults are switches of a link; all may change at any time:
  hold      nothing is carried, as with a cut cable: late after the switch goes back, or lost with
            the connection when one side gives up
  refuse    connections are closed as they come; close_all() ends those that are there
  drop      a function of a Message: True loses it, bytes go on in its place
  delay_s   each message waits for this long

What must hold: every fault is counted where it is done (`passed`, `dropped`, `held`, `refused`,
`closed`), so that a test can show that it happened; all runs in one thread of its own.
"""
import asyncio
import collections
import socket
import struct
import threading

import zmtp

UP, DOWN = 'up', 'down'  # towards the server, from it
GREETING = 64
STEP_S = 0.01  # how soon a held connection sees that it may go on
CLIENT_MAGIC, PEER_MAGIC = 0x52435331, 0x52435350
RESPONSE, PUSH, REQUEST, KEEP_ALIVE, KEEP_ALIVE_REPLY = 70, 73, 5, 4, 69

# One ZeroMQ message: the direction, the raftcs message type and how many messages are in it (0 when
# it is no frame of ours), the sending node of a peer frame (else 0), and its bytes.
Message = collections.namedtuple('Message', 'direction type items sender body')


def read_uint(data, at):
    """A msgpack unsigned integer as (value, position behind it)."""
    first = data[at]
    if first < 0x80:
        return first, at + 1
    size = {0xcc: 1, 0xcd: 2, 0xce: 4, 0xcf: 8}[first]
    return int.from_bytes(data[at + 1:at + 1 + size], 'big'), at + 1 + size


def read_array(data, at):
    """The length of a msgpack array as (length, position behind it)."""
    first = data[at]
    if 0x90 <= first < 0xa0:
        return first & 15, at + 1
    size = {0xdc: 2, 0xdd: 4}[first]
    return int.from_bytes(data[at + 1:at + 1 + size], 'big'), at + 1 + size


def describe(direction, body):
    """The Message of a body; foreign bytes are a message of type 0."""
    try:
        _, at = read_array(body, 0)
        magic, at = read_uint(body, at)
        _, at = read_uint(body, at)
        kind, at = read_uint(body, at)
        if magic == CLIENT_MAGIC:
            return Message(direction, kind, read_array(body, at)[0], 0, body)
        if magic == PEER_MAGIC and body[at:at + 2] == b'\xc4\x10':
            return Message(direction, kind, 1, read_uint(body, at + 18)[0], body)
    except (IndexError, KeyError):
        pass
    return Message(direction, 0, 0, 0, body)


class Splitter:
    """Bytes of one direction in; units out: (bytes, body or None). None passes unseen."""

    def __init__(self):
        self.data = bytearray()
        self.greeting = GREETING  # bytes of it still to come; each side waits for parts of it
        self.parts = b''
        self.body = b''

    def feed(self, chunk):
        self.data += chunk
        units = []
        if self.greeting:
            part = bytes(self.data[:self.greeting])
            del self.data[:self.greeting]
            self.greeting -= len(part)
            units.append((part, None))
        while True:
            unit = self.frame()
            if unit is None:
                return units
            flags, raw, body = unit
            if flags & 4:
                units.append((raw, None))
                continue
            self.parts += raw
            self.body += body
            if not flags & 1:
                units.append((self.parts, self.body))
                self.parts, self.body = b'', b''

    def frame(self):
        data = self.data
        head = 9 if data and data[0] & 2 else 2
        if len(data) < head:
            return None
        size = struct.unpack('>Q', data[1:9])[0] if head == 9 else data[1]
        if len(data) < head + size:
            return None
        raw = bytes(data[:head + size])
        del data[:head + size]
        return raw[0], raw, raw[head:]


class Link:
    """The switches and counters of one link."""

    def __init__(self, name):
        self.name = name
        self.hold = False
        self.refuse = False
        self.drop = None
        self.delay_s = 0.0
        self.passed = collections.Counter()   # (direction, type) -> messages
        self.dropped = collections.Counter()  # (direction, type) -> messages
        self.held = 0      # connections that stood still for a while
        self.accepted = 0
        self.refused = 0
        self.closed = 0
        self.connections = set()  # of the relay's thread

    def count(self, what, kind):
        """Messages of a type in both directions; `what` is 'passed' or 'dropped'."""
        table = dict(getattr(self, what))
        return sum(n for (_, each), n in table.items() if kind in (None, each))


class Relay:
    """One listening port in front of one port of a server."""

    def __init__(self, network, target, link_of):
        self.network = network
        self.target = target
        self.link_of = link_of  # sender -> Link
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]

    async def serve(self):
        self.server = await asyncio.start_server(self.connection, sock=self.listener)

    async def connection(self, reader, writer):
        link = self.link_of(0)
        if link.refuse:
            link.refused += 1
            writer.transport.abort()
            return
        link.accepted += 1
        link.connections.add(writer)
        try:
            out_reader, out_writer = await asyncio.open_connection('127.0.0.1', self.target)
        except OSError:
            link.connections.discard(writer)
            writer.transport.abort()
            return
        state = {'link': link}
        pumps = [asyncio.ensure_future(self.pump(state, UP, reader, out_writer)),
                 asyncio.ensure_future(self.pump(state, DOWN, out_reader, writer))]
        state['ends'] = (writer, out_writer)
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        for each in (writer, out_writer):
            each.transport.abort()
        await asyncio.gather(*pumps, return_exceptions=True)
        for each in self.network.links():
            each.connections.discard(writer)

    async def pump(self, state, direction, reader, writer):
        splitter = Splitter()
        try:
            while True:
                chunk = await reader.read(65536)
                if not chunk:
                    return
                await self.wait(state)
                for raw, body in splitter.feed(chunk):
                    writer.write(raw if body is None else
                                 self.passed(state, direction, raw, body))
                await writer.drain()
        except (ConnectionError, RuntimeError):
            return

    async def wait(self, state):
        link = state['link']
        if link.delay_s:
            await asyncio.sleep(link.delay_s)
        if link.hold:
            link.held += 1
            while link.hold:
                await asyncio.sleep(STEP_S)

    def passed(self, state, direction, raw, body):
        """The bytes that go on."""
        message = describe(direction, body)
        link = state['link']
        if message.sender:
            known = self.link_of(message.sender)
            if known is not link:
                link.connections.discard(state['ends'][0])
                known.connections.add(state['ends'][0])
                known.accepted += 1
                state['link'] = link = known
        lost = link.drop(message) if link.drop else False
        (link.dropped if lost is True else link.passed)[direction, message.type] += 1
        if isinstance(lost, bytes):
            return zmtp.frame(lost)
        return b'' if lost else raw


class Network:
    """Relays for all ports of a cluster: {node: client port}, {node: peer port}."""

    def __init__(self, client_ports, peer_ports):
        nodes = list(client_ports)
        self.client = {j: Link(f'clients->{j}') for j in nodes}
        self.peer = {(i, j): Link(f'{i}->{j}') for i in nodes for j in nodes if i != j}
        self.strange = {j: Link(f'?->{j}') for j in nodes}  # peers that have not named themselves
        self.relays = []
        self.client_ports = {j: self.add(client_ports[j], lambda _, j=j: self.client[j])
                             for j in nodes}
        self.peer_ports = {
            j: self.add(peer_ports[j], lambda i, j=j: self.peer.get((i, j), self.strange[j]))
            for j in nodes}
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.ready = threading.Event()
        self.thread.start()
        self.ready.wait()

    def add(self, target, link_of):
        self.relays.append(Relay(self, target, link_of))
        return self.relays[-1].port

    def links(self):
        return [*self.client.values(), *self.peer.values(), *self.strange.values()]

    def run(self):
        asyncio.set_event_loop(self.loop)
        for relay in self.relays:
            self.loop.run_until_complete(relay.serve())
        self.ready.set()
        self.loop.run_forever()

    def close(self):
        def end():
            for link in self.links():
                for writer in list(link.connections):
                    writer.transport.abort()
            for relay in self.relays:
                relay.server.close()
            self.loop.call_later(0.05, self.loop.stop)
        self.loop.call_soon_threadsafe(end)
        self.thread.join(5)

    def close_all(self, link):
        """Ends the link's connections, as a reset does it; how many they were."""
        done = threading.Event()
        counts = []

        def end():
            counts.append(len(link.connections))
            link.closed += len(link.connections)
            for writer in list(link.connections):
                writer.transport.abort()
            done.set()
        self.loop.call_soon_threadsafe(end)
        if not done.wait(10):
            raise AssertionError('the relays stand still')
        return counts[0]

    def cut_peers(self, node, cut=True):
        """Takes a node's links to and from all other members away, or gives them back."""
        for (i, j), link in self.peer.items():
            if node in (i, j):
                link.drop = (lambda _: True) if cut else None

    def heal(self):
        for link in self.links():
            link.hold = link.refuse = False
            link.drop, link.delay_s = None, 0.0
