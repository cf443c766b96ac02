#!/usr/bin/env python3
"""workloads.py: one client process of the nemesis.

  workloads.py KIND --out FILE --name NAME --seed N --threads N --settings NAME=VALUE...

KIND is register, counter, append, bank or watch. Each thread has a session of its own, waits a
little between operations, and gives many of them a deadline that faults outlast, so that outcomes
are unknown. Keys are used for some seconds only, so that the search through their histories stays
short; which one is a matter of the time, so that all processes agree without talking.

Reads lines from stdin: `stop` ends the load, `final` reads every key once more and lets watchers
hear what is left; each is answered by a line. What must hold: every outcome is recorded as the
library gave it, applied, not applied or unknown; nothing is tried again here.
"""
import argparse
import os
import random
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..', '..', 'bindings', 'python')]
# pylint: disable=wrong-import-position
import raftcs  # noqa: E402
from raftcs import kv, msgpack  # noqa: E402

import record  # noqa: E402

APPLIED, NOT_APPLIED = raftcs._ffi.OUTCOME_APPLIED, raftcs._ffi.OUTCOME_NOT_APPLIED
DEADLINES_S = (0.1, 0.2, 0.5, 3.0)
FINAL_S = 30
PAUSE_S = 0.03       # at most this long between two operations of a thread
PERIODS_S = (3, 9)   # how long a key is used; two at a time
ACCOUNTS, BALANCE = 6, 1000
WATCHED = 12         # keys


class Process:
    """What the threads share."""

    def __init__(self, arguments):
        self.name = arguments.name
        self.seed = arguments.seed
        self.settings = dict(pair.split('=', 1) for pair in arguments.settings)
        self.recorder = record.Recorder(arguments.out)
        self.stopping = threading.Event()
        self.keys = set()  # all that were used
        self.fence_key = f'fence-{self.name}'
        self.fence = None  # the value of its last change, which watchers wait for

    def key(self, rng, model):
        period = rng.choice(PERIODS_S)
        key = f'{model}:{self.seed}-{period}-{time.monotonic_ns() // (period * 10 ** 9)}'
        self.keys.add(key)
        return key


class Session(threading.Thread):
    """One thread, one session, one operation at a time."""

    settings = {}  # besides those of the process

    def __init__(self, process, number):
        super().__init__()
        self.process = process
        self.recorder = process.recorder
        self.base = f'{process.name}.{number}'
        self.name_now = self.base
        self.random = random.Random(f'{process.seed} {self.base}')
        self.client = self.connect()
        self.values = 0

    def connect(self):
        return raftcs.Client({**self.process.settings, **self.settings})

    def value(self):
        self.values += 1
        return f'{self.base}.{self.values}'

    def do(self, obj, kind, arguments, call, read, query=False, timeout=None, service='kv'):
        """One operation, from its call to its outcome. `read` gives the words of a reply."""
        timeout = timeout or self.random.choice(DEADLINES_S)
        self.recorder.call(self.name_now, obj, kind, *arguments)
        try:
            run = self.client.query if query else self.client.submit
            reply = run(service, call.payload, timeout=timeout)
        except raftcs.RaftcsError as error:
            not_done = error.outcome == NOT_APPLIED
            self.recorder.line(self.name_now, 'fail' if not_done else 'unknown')
            return None
        words = read(reply)
        self.recorder.line(self.name_now, 'ok', *words)
        return reply

    def run(self):
        while not self.process.stopping.is_set():
            self.operation()
            time.sleep(self.random.uniform(0, PAUSE_S))

    def final(self):
        """Reads all keys; called by the main thread when the others have ended."""
        for key in sorted(self.process.keys):
            self.read(key, FINAL_S)

    def close(self):
        self.client.close()


def text(value):
    return '-' if value is None else value.decode()


class Register(Session):
    last = '-'

    def read(self, key, timeout=None):
        def words(reply):
            self.last = text(kv.get(key).read(reply))
            return (self.last,)
        self.do(key, 'read', (), kv.get(key), words, query=True, timeout=timeout)

    def operation(self):
        key, kind = self.process.key(self.random, 'register'), self.random.random()
        if kind < 0.45:
            self.read(key)
        elif kind < 0.75:
            value = self.value()
            call = kv.put(key, value)
            self.do(key, 'write', (value,), call, lambda r: call.read(r) and ())
        else:
            value, old = self.value(), self.last
            call = kv.cas(key, None if old == '-' else old, value)
            self.do(key, 'cas', (old, value), call, lambda r: ('true' if call.read(r) else 'false',))


class Counter(Session):
    def read(self, key, timeout=None):
        call = kv.get(key)
        self.do(key, 'read', (), call, lambda r: ((call.read(r) or b'0').decode(),), query=True,
                timeout=timeout)

    def operation(self):
        key = self.process.key(self.random, 'counter')
        if self.random.random() < 0.3:
            return self.read(key)
        more = self.random.randint(1, 9)
        call = kv.incr(key, more)
        return self.do(key, 'add', (more,), call, lambda r: (call.read(r),))


class Append(Session):
    def read(self, key, timeout=None):
        call = kv.get(key)
        self.do(key, 'read', (), call, lambda r: (text(call.read(r)).removesuffix(','),),
                query=True, timeout=timeout)

    def operation(self):
        key = self.process.key(self.random, 'append')
        if self.random.random() < 0.4:
            return self.read(key)
        value = self.value()
        call = kv.append(key, value + ',')
        return self.do(key, 'append', (value,), call, lambda r: call.read(r) and ())


class Bank(Session):
    opened = ()

    def read(self, key, timeout=None):
        def words(reply):
            if reply.app_code == kv.NOT_FOUND:
                return ('-',)
            return (','.join(f'{i}={n}' for i, n in enumerate(msgpack.unpack(reply.data))),)
        call = kv.Call(msgpack.pack(['read', key]), None)
        self.do(key, 'read', (), call, words, query=True, timeout=timeout, service='bank')

    def operation(self):
        key = self.process.key(self.random, 'bank')
        if key not in self.opened:
            balances = ','.join(f'{i}={BALANCE}' for i in range(ACCOUNTS))
            call = kv.Call(msgpack.pack(['open', key, ACCOUNTS, BALANCE]), None)
            if self.do(key, 'open', (balances,), call, lambda r: (), service='bank'):
                self.opened += (key,)
            return
        if self.random.random() < 0.4:
            self.read(key)
            return
        a, b = self.random.sample(range(ACCOUNTS), 2)
        amount = self.random.randint(1, 700)
        call = kv.Call(msgpack.pack(['move', key, a, b, amount]), None)
        self.do(key, 'move', (a, b, amount), call,
                lambda r: ('true' if r.app_code == kv.OK else 'false',), service='bank')


class Writer(Session):
    """Changes watched keys."""

    def change(self, key, kind, timeout=None):
        obj = f'watch:{self.process.seed}'
        path = f'{obj}/{key}'
        if kind == 'put':
            value = self.value()
            call, arguments = kv.put(path, value), (key, value)
            read = lambda r: (call.read(r),)  # noqa: E731
        else:
            call, arguments = kv.delete(path), (key,)
            read = lambda r: (msgpack.unpack(r.data)[0] if r.app_code == kv.OK else 0,)  # noqa: E731
        return self.do(obj, kind, arguments, call, read, timeout=timeout)

    def operation(self):
        kind = 'put' if self.random.random() < 0.75 else 'del'
        self.change(f'k{self.random.randrange(WATCHED)}', kind)

    def final(self):
        if self.change(self.process.fence_key, 'put', FINAL_S) is None:
            raise SystemExit('the last change of watched keys was not done')
        self.process.fence = f'{self.base}.{self.values}'


class Watcher(Session):
    """Is told of all changes, from when it began to watch; begins again if it must. A watch ends
    with its session, so a lost one is not to be renewed in silence."""

    watches = 0
    settings = {'client.expiry': 'report'}

    def run(self):
        while not self.watch_once():
            self.client.close()
            time.sleep(0.2)
            self.client = self.connect()

    def watch_once(self):
        try:
            return self.watch()
        except raftcs.RaftcsError:
            return False

    def watch(self):
        """True when everything up to the fence was told."""
        obj = f'watch:{self.process.seed}'
        prefix = obj + '/'
        reply = self.client.submit('kv', kv.watch(prefix, True).payload, timeout=FINAL_S)
        self.watches += 1
        name = f'{self.base}.{self.watches}'
        self.recorder.line(name, 'watching', obj, reply.index)
        fence = None
        while fence is None or fence != self.process.fence:
            for request in self.client.server_requests(0.3):
                change = kv.read_change(request)
                if change.event == 'lost':
                    return False
                key = change.key.decode().removeprefix(prefix)
                value = () if change.value is None else (change.value.decode(),)
                self.recorder.line(name, 'told', obj, key, change.version, change.event, *value)
                if key == self.process.fence_key:
                    fence = value[0]
        self.recorder.line(name, 'drained', obj)
        return True


KINDS = {'register': Register, 'counter': Counter, 'append': Append, 'bank': Bank}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('kind', choices=[*KINDS, 'watch'])
    parser.add_argument('--out', required=True)
    parser.add_argument('--name', required=True)
    parser.add_argument('--seed', required=True)
    parser.add_argument('--threads', type=int, default=4)
    parser.add_argument('--settings', nargs='*', default=())
    arguments = parser.parse_args()
    process = Process(arguments)
    watchers = []
    if arguments.kind == 'watch':
        threads = [Writer(process, i) for i in range(arguments.threads)]
        watchers = [Watcher(process, f'w{i}') for i in range(2)]
    else:
        threads = [KINDS[arguments.kind](process, i) for i in range(arguments.threads)]
    for thread in threads + watchers:
        thread.start()
    for line in sys.stdin:
        if line.strip() == 'stop':
            process.stopping.set()
            for thread in threads:
                thread.join()
            print('stopped', flush=True)
        elif line.strip() == 'final':
            threads[0].final()
            for watcher in watchers:
                watcher.join()
            print('final', flush=True)
            break
    for thread in threads + watchers:
        thread.close()


if __name__ == '__main__':
    main()
