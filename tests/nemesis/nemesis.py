#!/usr/bin/env python3
"""nemesis.py: clients of real servers while a nemesis is at work; then their history is judged.

  nemesis.py [--seconds S | --minutes M] [--workload W,...] [--faults F,...] [--seed N]
             [--net auto|loopback|namespaces] [--nodes N] [--keep DIR]

One round is one cluster, all workloads at once, and faults one after the other (sometimes two at
a time); --minutes runs rounds until the time is over, with 3 or 5 nodes. A round ends with
everything healed, all replicas equal, and a last read of every key.

Exit codes: 0 all was done and all is well; 1 a violation, an undecided history or a cluster that
did not heal; 2 bad arguments; 3 INVALID: a fault did not happen or there was too little traffic.
What failed is kept in DIR (or a new folder): histories, the servers' output and data.
"""
import argparse
import collections
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import topology
import faults
import record
import support

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKER = os.path.join(support.BUILD, 'tests', 'history', 'raftcs-check-history')
BANK = os.path.join(support.BUILD, 'plugins-nemesis', 'bank.so')
WHERE = {place.kind: place for place in (topology.Loopback, topology.Namespaces)}
WORKLOADS = ('register', 'counter', 'append', 'bank', 'watch')
SETTINGS = ('raft.heartbeat_ms=40', 'raft.election_timeout_ms=400', 'session.timeout_min_ms=200',
            'log.segment_bytes=262144', 'snapshot.entries=500', 'snapshot.trailing_entries=50')
CLIENT = ('client.connect_timeout_ms=1000', 'client.session_timeout_ms=6000',
          'client.backoff.max_ms=200', 'client.expiry=renew')
THREADS = 4         # of each workload
BETWEEN_LEAST = 30  # operations done between two faults
ROUND_S = 40.0
SNAPSHOT_S = 20.0   # rounds from this length on must see one
ANSWER_S = 120      # for a client process to stop, or to do its last reads


TOTAL = collections.Counter()  # of all rounds: operations by outcome, and faults


class Failed(Exception):
    """The cluster is wrong, or did not heal."""


class Client:
    """A process of workloads.py."""

    def __init__(self, cluster, kind, group, seed, folder):
        self.kind = kind
        name = f'{kind}{-group}'
        self.path = os.path.join(folder, f'{name}.history')
        self.log = os.path.join(folder, f'{name}.log')
        endpoints = 'client.endpoints=' + ','.join(cluster.addresses.values())
        command = cluster.inside(group) + support.WITH_US + [
            sys.executable, os.path.join(HERE, 'workloads.py'), kind, '--out', self.path,
            '--name', name, '--seed', str(seed),
            '--threads', str(THREADS // len(cluster.groups)), '--settings', endpoints, *CLIENT]
        environment = {**os.environ, 'PYTHONDONTWRITEBYTECODE': '1'}
        environment.setdefault('RAFTCS_LIBRARY', os.path.join(support.BUILD, 'libraftcs.so'))
        with open(self.log, 'wb') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=log,
                                            stdout=subprocess.PIPE, text=True, env=environment)

    def ask(self, word):
        """Sends a word and waits for its answer."""
        late = threading.Timer(ANSWER_S, self.process.kill)
        late.start()
        try:
            self.process.stdin.write(word + '\n')
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ''
        late.cancel()
        if not answer:
            with open(self.log, encoding='utf-8', errors='replace') as f:
                raise Failed(f'the {self.kind} clients did not {word}: {f.read()[-2000:]}')

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


class Round:
    """One cluster and its history."""

    def __init__(self, options, seed, seconds, folder):
        self.options = options
        self.seed = seed
        self.seconds = seconds
        self.folder = folder
        self.random = random.Random(seed)
        self.happened = collections.Counter()
        self.told = []
        nodes = options.nodes or (5 if seed % 3 == 0 else 3)
        self.cluster = WHERE[options.net](nodes, SETTINGS)
        shutil.copy(BANK, self.cluster.plugins)
        self.clients = []

    def say(self, sentence):
        self.told.append(f'{time.monotonic():.3f} {sentence}')
        if self.options.verbose:
            print(self.told[-1], flush=True)

    def run(self):
        with self.cluster as cluster:
            try:
                cluster.leader()
                self.clients = [Client(cluster, kind, group, self.seed, self.folder)
                                for kind in self.options.workload for group in cluster.groups]
                self.tail = record.Tail([c.path for c in self.clients])
                self.load()
                self.heal()
            except BaseException:
                self.keep()
                raise
            finally:
                for client in self.clients:
                    client.end()

    def load(self):
        """Faults from a shuffled bag, so that each comes as often as the others."""
        end, bag = time.monotonic() + self.seconds, []
        while time.monotonic() < end or len(self.happened) < len(self.options.faults):
            self.traffic()
            if not bag:
                bag = list(self.options.faults)
                self.random.shuffle(bag)
            names = [bag.pop()]
            kind = faults.FAULTS[names[0]].kind
            others = [n for n in bag if faults.FAULTS[n].kind not in (kind, 'error')
                      and kind != 'error']
            if others and self.random.random() < 0.2:
                names.append(others[-1])
                bag.remove(others[-1])
            self.strike(names)

    def traffic(self):
        """Waits until enough was done since the last fault."""
        before = self.tail.count()
        faults.wait_until(lambda: self.tail.count() >= before + BETWEEN_LEAST,
                          f'{BETWEEN_LEAST} operations between faults')
        time.sleep(self.random.uniform(0, 0.5))

    def strike(self, names):
        """Faults of different kinds, for a while; two of a kind would take each other back."""
        under_way = [faults.FAULTS[name](self.cluster, self.random) for name in names]
        under_way.sort(key=lambda fault: faults.KINDS.index(fault.kind))
        for fault in under_way:
            fault.aim()
        for fault in under_way:
            fault.begin()
            self.say(f'{fault.name}: {fault.wait_done()}')
        time.sleep(max(self.random.uniform(*fault.lasts_s) for fault in under_way))
        for fault in reversed(under_way):
            fault.end()
            self.happened[fault.name] += 1

    def heal(self):
        self.cluster.mend()
        for client in self.clients:
            client.ask('stop')
        status = self.cluster.converged()
        snapshots = [n['snapshot_index'] for n in status['nodes']]
        self.say(f'converged: {len(status["nodes"])} nodes, snapshots at {snapshots}')
        if self.seconds >= SNAPSHOT_S and not any(snapshots):
            raise faults.Invalid('no snapshot was made')
        for client in self.clients:
            client.ask('final')

    def keep(self):
        with open(os.path.join(self.folder, 'faults.log'), 'w', encoding='utf-8') as f:
            f.write('\n'.join(self.told) + '\n')
        for server in self.cluster.servers.values():  # so that their files stand still
            if server.running():
                server.process.kill()
                server.process.wait()
        shutil.copytree(self.cluster.folder, os.path.join(self.folder, 'cluster'),
                        dirs_exist_ok=True)

    def judge(self):
        """Runs the checker over each workload; gives what it printed last."""
        lines = []
        for kind in self.options.workload:
            result = subprocess.run(
                [CHECKER, '--least', str(max(1, int(self.seconds))), '--out',
                 os.path.join(self.folder, 'violations'),
                 *(c.path for c in self.clients if c.kind == kind)],
                capture_output=True, text=True, check=False)
            if result.returncode == 4:
                raise faults.Invalid(f'{kind}: {result.stdout}')
            if result.returncode != 0:
                raise Failed(f'{kind}: {result.stdout}{result.stderr}')
            lines.append(f'  {kind}: {result.stdout.strip().splitlines()[-1]}')
            for count, what in re.findall(r'(\d+) (operations done|unknown|notices)', lines[-1]):
                TOTAL[what] += int(count)
        return lines


def options_of(arguments):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seconds', type=float, default=None, help='one round of this length')
    parser.add_argument('--minutes', type=float, default=None, help='rounds for this long')
    parser.add_argument('--workload', default=','.join(WORKLOADS))
    parser.add_argument('--faults', default='all', help='of ' + ', '.join(faults.FAULTS))
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(2 ** 31))
    parser.add_argument('--net', choices=('auto', 'loopback', 'namespaces'), default='auto')
    parser.add_argument('--nodes', type=int, default=0, choices=(0, 3, 4, 5, 7))
    parser.add_argument('--keep', default='')
    parser.add_argument('--verbose', action='store_true')
    options = parser.parse_args(arguments)
    if options.net == 'auto':
        options.net = 'namespaces' if topology.Namespaces.permitted() else 'loopback'
    elif options.net == 'namespaces' and not topology.Namespaces.permitted():
        parser.error('network namespaces need root, ip (iproute2) and iptables; '
                     'use --net loopback elsewhere')
    groups = len(WHERE[options.net].groups)
    can = [name for name, fault in faults.FAULTS.items() if fault.groups <= groups]
    options.workload = options.workload.split(',')
    options.faults = can if options.faults == 'all' else options.faults.split(',')
    for names, known in ((options.workload, WORKLOADS), (options.faults, can)):
        for name in names:
            if name not in known:
                parser.error(f'{name} is not one of {", ".join(known)}')
    return options


def run_round(options, seed, seconds):
    """True if all is well; the exit code otherwise is in `code`."""
    folder = tempfile.mkdtemp(prefix='raftcs-nemesis-')
    begin, code = time.monotonic(), 0
    one = Round(options, seed, seconds, folder)
    print(f'seed {seed}: {len(one.cluster.servers)} nodes, {options.net}', flush=True)
    try:
        one.run()
        print('\n'.join(one.judge()))
    except faults.Invalid as error:
        code = 3
        print(f'INVALID: {error}')
    except (Failed, AssertionError) as error:
        code = 1
        print(f'FAILED: {error}')
    print(f'  {time.monotonic() - begin:.0f} s; faults: {dict(one.happened)}', flush=True)
    TOTAL['faults'] += sum(one.happened.values())
    if code == 0:
        shutil.rmtree(folder)
        return 0
    if options.keep:
        kept = os.path.join(options.keep, f'seed-{seed}')
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        shutil.rmtree(folder)
        folder = kept
    if not options.verbose:
        print('\n'.join(one.told))
    print(f'what there is of it: {folder}\nagain: scripts/nemesis.sh --seconds {seconds:.0f} '
          f'--seed {seed} --net {options.net} --nodes {len(one.cluster.servers)} '
          f'--workload {",".join(options.workload)} --faults {",".join(options.faults)}')
    return code


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that clusters are ended
    options = options_of(sys.argv[1:])
    if options.minutes is None:
        code = run_round(options, options.seed, options.seconds or ROUND_S)
        print('nemesis: ' + {0: 'passed', 3: 'INVALID'}.get(code, 'failed'))
        return code
    end, rounds = time.monotonic() + options.minutes * 60, 0
    while rounds == 0 or time.monotonic() < end:
        code = run_round(options, options.seed + rounds, options.seconds or ROUND_S)
        rounds += 1
        if code != 0:
            print(f'nemesis: round {rounds} failed')
            return code
    print(f'nemesis: {rounds} rounds passed: {dict(TOTAL)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
