"""faults.py: what the nemesis does to a cluster, and how it is known that it was done.

A fault is aimed, begins, lasts, and ends. Those of different kinds may be under way at once; all
are aimed before the first begins, as a cluster under a fault may have no leader to aim at. What
must hold: `wait_done()` returns only once the fault has had
an effect that can be counted, and says what it was; a fault that had none is an error.
"""
import time

import topology

WAIT_S = 20
LOST_LEAST = 5  # messages or packets on the links of a cut
KINDS = ('link', 'process')  # in the order in which they begin
FAULTS = {}


class Invalid(Exception):
    """The run has proved nothing: a fault did not happen, or nobody was there to feel it."""


def fault(cls):
    FAULTS[cls.name] = cls
    return cls


def wait_until(condition, what):
    end = time.monotonic() + WAIT_S
    while not condition():
        if time.monotonic() > end:
            raise Invalid(f'waited {WAIT_S} s for: {what}')
        time.sleep(0.05)


def process_state(pid):
    """T is stopped by a signal."""
    with open(f'/proc/{pid}/stat', encoding='ascii') as f:
        return f.read().rsplit(')', 1)[1].split()[0]


class Fault:
    name = ''
    kind = 'process'

    def __init__(self, cluster, rng):
        self.cluster = cluster
        self.random = rng
        self.servers = cluster.servers

    def any_node(self):
        return self.random.choice(sorted(self.servers))

    def aim(self):
        """Chooses what it will strike."""
        raise NotImplementedError

    def begin(self):
        raise NotImplementedError

    def wait_done(self):
        """What happened."""
        raise NotImplementedError

    def end(self):
        """Takes the fault back; nodes that died are started."""
        raise NotImplementedError


# --- processes ------------------------------------------------------------------------------

class Kill(Fault):
    def victims(self):
        raise NotImplementedError

    def aim(self):
        self.killed = self.victims()

    def begin(self):
        for node in self.killed:
            self.servers[node].process.kill()

    def wait_done(self):
        for node in self.killed:
            if self.servers[node].process.wait() != -9:
                raise Invalid(f'node {node} ended by itself: {self.servers[node].text()}')
        return f'killed {self.killed}'

    def end(self):
        for node in self.killed:
            self.servers[node].launch()
        for node in self.killed:
            self.servers[node].wait_ready()


@fault
class KillLeader(Kill):
    name = 'kill_leader'

    def victims(self):
        return [self.cluster.leader()]


@fault
class KillRandom(Kill):
    name = 'kill_random'

    def victims(self):
        return [self.any_node()]


@fault
class KillAll(Kill):
    name = 'kill_all'

    def victims(self):
        return sorted(self.servers)


class Pause(Fault):
    def victim(self):
        raise NotImplementedError

    def aim(self):
        self.node = self.victim()

    def begin(self):
        self.servers[self.node].pause()

    def wait_done(self):
        pid = self.servers[self.node].process.pid
        wait_until(lambda: process_state(pid) == 'T', f'node {self.node} to stand still')
        return f'paused {self.node}'

    def end(self):
        if process_state(self.servers[self.node].process.pid) != 'T':
            raise Invalid(f'node {self.node} went on by itself')
        self.servers[self.node].go_on()


@fault
class PauseLeader(Pause):
    name = 'pause_leader'

    def victim(self):
        return self.cluster.leader()


@fault
class PauseRandom(Pause):
    name = 'pause_random'

    def victim(self):
        return self.any_node()


# --- links ----------------------------------------------------------------------------------

class Cut(Fault):
    """Links on which everything, or a share, is lost."""

    kind = 'link'
    share = 1.0

    def links(self):
        raise NotImplementedError

    def aim(self):
        self.cut = list(self.links())

    def begin(self):
        self.before = {link: self.cluster.lost(*link) for link in self.cut}
        for link in self.cut:
            self.cluster.cut(*link, self.share)

    def wait_done(self):
        def counts():
            return {link: self.cluster.lost(*link) - self.before[link] for link in self.cut}
        # Not on each: a link between two followers carries nothing until one wants to lead.
        wait_until(lambda: sum(counts().values()) >= LOST_LEAST, f'losses on {self.cut}')
        return f'{sum(counts().values())} lost on {self.cut}'

    def end(self):
        self.cluster.mend()


def both(a, b):
    return [(a, b), (b, a)]


@fault
class OneWay(Cut):
    """The leader hears nobody, or nobody hears it, or one link goes one way only."""

    name = 'one_way'

    def links(self):
        leader = self.cluster.leader()
        others = [n for n in self.servers if n != leader]
        kind = self.random.randrange(3)
        if kind == 0:
            return [(leader, n) for n in others]
        if kind == 1:
            return [(n, leader) for n in others]
        return [(leader, self.random.choice(others))]


@fault
class Isolate(Cut):
    """The leader is alone, and its clients may still reach it."""

    name = 'isolate'

    def links(self):
        leader = self.cluster.leader()
        return [link for n in self.servers if n != leader for link in both(leader, n)]


@fault
class Halves(Cut):
    """A partition at random."""

    name = 'halves'

    def links(self):
        nodes = sorted(self.servers)
        self.random.shuffle(nodes)
        size = self.random.randint(1, len(nodes) - 1)
        return [link for a in nodes[:size] for b in nodes[size:] for link in both(a, b)]


@fault
class Bridge(Cut):
    """Two halves that only one node sees both of; the leader is not that node."""

    name = 'bridge'

    def links(self):
        leader = self.cluster.leader()
        others = [n for n in self.servers if n != leader]
        self.random.shuffle(others)
        rest = others[1:]  # others[0] is the bridge
        half = max(1, len(rest) // 2) if len(rest) > 1 else 1
        return [link for a in rest[:half] for b in [leader, *rest[half:]] for link in both(a, b)]


@fault
class Loss(Cut):
    """Some of all that members say to each other is lost."""

    name = 'loss'
    share = 0.2

    def links(self):
        return [(a, b) for a in self.servers for b in self.servers if a != b]


@fault
class CutClients(Cut):
    """No client reaches the leader, though its peers do."""

    name = 'cut_clients'

    def links(self):
        return [(topology.CLIENTS, self.cluster.leader())]


