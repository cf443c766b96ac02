"""faults.py: what the nemesis does to a cluster, and how it is known that it was done.

A fault is aimed, begins, lasts, and ends. Those of different kinds may be under way at once; all
are aimed before the first begins, as a cluster under a fault may have no leader to aim at. What
must hold: `wait_done()` returns only once the fault has had
an effect that can be counted, and says what it was; a fault that had none is an error.
"""
import errno
import time

import shim
import topology

WAIT_S = 40  # a bound for loaded machines
LOST_LEAST = 5  # messages or packets on the links of a cut
# In the order in which they begin: each must be able to have its effect under those before it.
# Faults of kind "error" are alone: they need a node that writes, and end with its restart.
KINDS = ('disk', 'clock', 'link', 'process', 'error')
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
    groups = 1  # of clients that it needs
    lasts_s = (0.3, 3.5)
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
class Split(Cut):
    """The leader and some clients are on one side, the rest on the other: who asks the old leader
    must not be answered as if it led."""

    name = 'split'
    groups = 2
    lasts_s = (2.5, 5)  # an old leader must have had the time to step down

    def links(self):
        leader = self.cluster.leader()
        rest = [n for n in self.servers if n != leader]
        clients = [(topology.CLIENTS, leader)] + [(topology.OTHERS, n) for n in rest]
        return [link for n in rest for link in both(leader, n)] + clients


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
        leader = self.cluster.leader()
        return [(group, leader) for group in self.cluster.groups]


@fault
class CutReplies(Cut):
    """The leader hears its clients and does what they want, and they do not hear of it: they ask
    again, and it must not be done again."""

    name = 'cut_replies'
    lasts_s = (2.5, 5)

    def links(self):
        leader = self.cluster.leader()
        return [(leader, group) for group in self.cluster.groups]




# --- disks and clocks -----------------------------------------------------------------------

class Shimmed(Fault):
    """Something that shim.c does to one node, the leader or any."""

    counter = 0  # of what it does
    least = 1

    def aim(self):
        self.node = self.cluster.leader() if self.random.random() < 0.5 else self.any_node()
        self.shim = self.cluster.shims[self.node]

    def begin(self):
        self.before = self.shim[self.counter]
        self.spoil()

    def spoil(self):
        raise NotImplementedError

    def count(self):
        return self.shim[self.counter] - self.before

    def wait_done(self):
        wait_until(lambda: self.count() >= self.least, f'node {self.node} to meet {self.name}')
        return f'{self.count()} times at {self.node}'


@fault
class SlowDisk(Shimmed):
    name, kind, counter, least = 'slow_disk', 'disk', shim.SLOWED, 3

    def spoil(self):
        self.shim[shim.SYNC_DELAY_US] = self.random.randint(20, 400) * 1000

    def end(self):
        self.shim[shim.SYNC_DELAY_US] = 0


@fault
class DiskFull(Shimmed):
    name, kind, counter = 'disk_full', 'error', shim.REFUSED

    def spoil(self):
        self.shim[shim.FULL] = 1

    def end(self):
        self.shim[shim.FULL] = 0
        if not self.servers[self.node].running():
            raise Invalid(f'node {self.node} ended: {self.servers[self.node].text()}')


class DiskFails(Shimmed):
    """A node takes no part behind an error of its disk until it is started again."""

    slot = 0

    def spoil(self):
        self.shim[self.slot] = errno.EIO

    def end(self):
        self.shim[self.slot] = 0
        server = self.servers[self.node]
        if server.running():
            server.kill()
        server.start()


@fault
class WriteFails(DiskFails):
    name, kind, counter, slot = 'write_fails', 'error', shim.WRITES_FAILED, shim.WRITE_ERRNO


@fault
class SyncFails(DiskFails):
    name, kind, counter, slot = 'sync_fails', 'error', shim.SYNCS_FAILED, shim.SYNC_ERRNO


@fault
class WallClock(Shimmed):
    """A node comes back with a wall clock that is off by up to a day, and is right later. Servers
    read it for the lines of their logs, and at a start there are some."""

    name, kind, counter = 'wall_clock', 'process', shim.WALL_READ

    def spoil(self):
        self.shim[shim.WALL_NS] = self.random.choice((-1, 1)) * \
            self.random.randint(1, 86400) * 10 ** 9
        self.servers[self.node].kill()
        self.servers[self.node].start()

    def end(self):
        self.shim[shim.WALL_NS] = 0


@fault
class ClockRate(Shimmed):
    """The monotonic clock runs at half to double speed, and maybe jumps ahead first, as after a
    machine was suspended."""

    name, kind, counter, least = 'clock_rate', 'clock', shim.MONOTONIC_READ, 100

    def spoil(self):
        rate = self.random.choice((0.5, 0.7, 1.5, 2.0))
        self.shim.run_clock(rate, self.random.choice((0, 0, 3, 60)))

    def end(self):
        self.shim.run_clock(1.0)
