#!/usr/bin/env python3
"""Sixteen sessions add 1 to counters of their own, four commands under way each, while leaders are
killed, paused or cut off every one to two seconds and a relay loses one reply in twenty. Every
session's replies must be exactly 1..N in order, and its counter must be N.

  exactly_once_60s.py [SECONDS]     60 by default; ctest runs a short form
                                    (scripts/exactly_once.sh runs the long one)

The sessions are in four processes, so that they do not all share one connection. RAFTCS_SEED
repeats the choice of faults; what the machine does in between is its own.
"""
import collections
import random
import subprocess
import sys
import threading
import time
import unittest

import suite
from suite import kv, wait_for

SESSIONS, WINDOW, PROCESSES, LOSS = 16, 4, 4, 0.05
SECONDS = 60.0


class Program:
    """One process with some of the sessions; see drive()."""

    def __init__(self, test, first, count):
        settings = {**test.config(session_timeout_ms=6000, backoff__max_ms=200),
                    'client.request.window': WINDOW}
        arguments = [sys.executable, __file__, '--drive', str(first), str(count)]
        arguments += [f'{name}={value}' for name, value in settings.items()]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)
        test.addCleanup(self.end)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def results(self):
        """{session: (answers, what was wrong, times sent again)}, after telling it to end."""
        self.process.stdin.write('end\n')
        self.process.stdin.flush()
        late = threading.Timer(3 * suite.WAIT_S, self.process.kill)
        late.start()
        out = {}
        for line in self.process.stdout:
            number, answers, resent, wrong = line.rstrip('\n').split('\t')
            out[int(number)] = (int(answers), wrong, int(resent))
        late.cancel()
        return out


class ExactlyOnce(suite.Suite):
    def setUp(self):
        super().setUp()
        self.faults = collections.Counter()

    def lose(self):
        chance = random.Random(suite.SEED).random
        for link in self.network.client.values():
            link.drop = lambda m: m.type == suite.RESPONSE and chance() < LOSS

    def fault(self, kind):
        """One fault at the leader, for half a second to one and a half."""
        leader = self.leader()
        server, lasts = self.servers[leader], self.random.uniform(0.5, 1.5)
        if kind == 'killed':
            server.kill()
        elif kind == 'paused':
            server.pause()
        else:
            self.network.cut_peers(leader)
        self.faults[kind] += 1
        end = time.monotonic() + lasts
        wait_for(lambda: time.monotonic() > end, 'the fault to last')
        if kind == 'killed':
            server.start()
        elif kind == 'paused':
            server.go_on()
        else:
            self.network.cut_peers(leader, False)

    def test_every_reply_once_and_in_order(self):
        share = SESSIONS // PROCESSES
        programs = [Program(self, i * share, share) for i in range(PROCESSES)]
        wait_for(lambda: len(self.sessions()) >= SESSIONS, 'all sessions')
        self.lose()
        end, kinds = time.monotonic() + SECONDS, []
        while time.monotonic() < end:
            if not kinds:
                kinds = ['killed', 'paused', 'cut off']
                self.random.shuffle(kinds)
            self.fault(kinds.pop())
        dropped = sum(link.count('dropped', suite.RESPONSE)
                      for link in self.network.client.values())
        passed = sum(link.count('passed', suite.RESPONSE) for link in self.network.client.values())
        self.network.heal()
        # A reply that was lost on a connection that lives is asked for after a long time only (it
        # cannot be told from a slow command): the last ones are not waited for in the short form.
        for link in self.network.client.values():
            self.network.close_all(link)
        results = {}
        for program in programs:
            results.update(program.results())
        answers = [results[i][0] for i in sorted(results)]
        print(f'{sum(answers)} commands in {SECONDS:.0f} s by {len(answers)} sessions (least '
              f'{min(answers)}), sent again {sum(r[2] for r in results.values())}; faults '
              f'{dict(self.faults)}; {dropped} of {dropped + passed} reply frames dropped')
        self.assertEqual([r[1] for r in results.values() if r[1]], [], f'seed {suite.SEED}')
        self.assertEqual(len(answers), SESSIONS)
        store = kv.Kv(self.connected())
        for number, count in enumerate(answers):
            self.assertEqual(store.get(f'exactly-once-{number}'), str(count).encode())
        # Too little of anything says nothing.
        self.assertGreaterEqual(min(answers), 5 * SECONDS / 6)
        self.assertGreaterEqual(dropped, SECONDS)
        for kind in ('killed', 'paused', 'cut off'):
            self.assertGreaterEqual(self.faults[kind], SECONDS / 12)
        self.cluster.converged()


def drive(first, count, settings):
    """Runs the sessions first..first+count-1 until a line comes on stdin, then prints for each:
    number, answers, times sent again, what was wrong."""
    ended = threading.Event()
    rows = []

    def session(number):
        client = suite.raftcs.Client(settings)
        call, under_way, answers, wrong = kv.incr(f'exactly-once-{number}'), [], 0, ''
        while not wrong:
            while len(under_way) < WINDOW and not ended.is_set():
                under_way.append(client.start_submit('kv', call.payload, timeout=300))
            if not under_way:
                break
            try:
                value = call.read(under_way.pop(0).result())
            except suite.raftcs.RaftcsError as error:
                wrong = f'session {number}: after {answers} answers: {error}'
                break
            answers += 1
            if value != answers:
                wrong = f'session {number}: answer {answers} is {value}'
        rows.append(f'{number}\t{answers}\t{client.info().resent}\t{wrong}')
        client.close()
    threads = [threading.Thread(target=session, args=(first + i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    sys.stdin.readline()
    ended.set()
    for thread in threads:
        thread.join()
    print('\n'.join(rows), flush=True)


if __name__ == '__main__':
    if sys.argv[1:2] == ['--drive']:
        drive(int(sys.argv[2]), int(sys.argv[3]), dict(x.split('=', 1) for x in sys.argv[4:]))
    else:
        if len(sys.argv) > 1:
            SECONDS = float(sys.argv.pop(1))
        unittest.main(verbosity=2)
