#!/usr/bin/env python3
"""When sessions end and when they must not, on real processes: clients that vanish or stand still,
leaders that change all the time, clusters without a majority."""
import signal
import time
import unittest

import suite
from suite import errors, kv, wait_for


class SessionTimeouts(suite.Suite):
    def test_T_I13_a_client_that_vanishes_is_gone_after_its_timeout(self):
        worker = self.worker(session_timeout_ms=1000)
        session = worker.open()['session']
        token = bytes.fromhex(worker.call('export')['token'])
        self.assertIn(session, self.sessions())
        worker.kill()
        killed = time.monotonic()
        self.gone(session)
        self.assertGreater(time.monotonic() - killed, 0.5, 'it went before its timeout')
        with self.assertRaises(errors.SessionExpired):
            self.client(session=token).wait_connected(suite.WAIT_S)

    def test_T_K29_a_short_timeout_while_watching(self):
        watcher, writer = self.connected(session_timeout_ms=500), kv.Kv(self.connected())
        session = self.session_id(watcher)
        kv.Kv(watcher).watch('T-K29')
        begun = time.monotonic()
        wait_for(lambda: time.monotonic() - begun > 3, 'six timeouts without a command')
        writer.put('T-K29', 'late')
        request = next(iter(watcher.server_requests(timeout=suite.WAIT_S)))
        self.assertEqual(kv.read_change(request).value, b'late')
        self.assertEqual(self.session_id(watcher), session)

    def test_KAL11_elections_every_half_timeout_end_no_living_session(self):
        client = self.connected(session_timeout_ms=4000)
        session, store = self.session_id(client), kv.Kv(client)
        terms = {self.status(self.leader())['term']}
        begun = time.monotonic()
        while time.monotonic() - begun < 9 or len(terms) < 4:
            to = self.random.choice(self.followers())
            self.cluster.cli('leader', 'transfer', to)
            terms.add(self.status(self.leader())['term'])
            next_at = time.monotonic() + 1.5
            wait_for(lambda at=next_at: time.monotonic() > at, 'the next election')
            self.assertIn(session, self.sessions(), f'ended in terms {terms}')
        self.assertGreaterEqual(len(terms), 4, 'too few elections')
        self.assertEqual(store.incr('KAL-11', timeout=60), 1)
        self.assertEqual(self.session_id(client), session)

    def test_W_S7_elections_do_not_keep_a_dead_session(self):
        worker = self.worker(session_timeout_ms=2000)
        session = worker.open()['session']
        worker.kill()
        elections = 0
        end = time.monotonic() + suite.WAIT_S
        while session in self.sessions() and time.monotonic() < end:
            self.cluster.cli('leader', 'transfer', self.random.choice(self.followers()))
            elections += 1
            self.leader()
            next_at = time.monotonic() + 0.8
            wait_for(lambda at=next_at: time.monotonic() > at, 'the next election')
        self.assertGreaterEqual(elections, 2, 'too few elections for what this test says')
        print(f'gone after {elections} elections')
        self.assertLess(elections, 20, 'it ages only while a leader stays')

    def test_W_S2_without_a_majority_no_session_ends(self):
        client = self.connected(session_timeout_ms=1000)
        session = self.session_id(client)
        leader = self.leader()
        for node in self.followers(leader):
            self.servers[node].pause()
        wait_for(lambda: not self.status(leader)['serving'], 'the leader to notice')
        begun = time.monotonic()
        wait_for(lambda: time.monotonic() - begun > 4, 'four timeouts without a majority')
        self.assertIn(session, self.sessions(leader))
        for node in self.followers(leader):
            self.servers[node].go_on()
        self.assertEqual(kv.Kv(client).incr('W-S2', timeout=60), 1)
        self.assertEqual(self.session_id(client), session)

    def test_SES14_a_client_that_stood_still_too_long_is_told(self):
        worker = self.worker(session_timeout_ms=1000)
        session = worker.open()['session']
        self.assertEqual(worker.call('incr', key='SES-14')['values'], [1])
        worker.process.send_signal(signal.SIGSTOP)
        self.gone(session)
        worker.process.send_signal(signal.SIGCONT)
        self.assertEqual(worker.call('incr', key='SES-14')['error'], 'SESSION_EXPIRED')
        self.assertEqual(kv.Kv(self.connected()).get('SES-14'), b'1')
        self.assertNotIn(session, self.sessions(), 'it came back')

    def test_KAL05_a_server_that_hangs_is_left(self):
        client = self.connected(session_timeout_ms=3000)
        session = self.session_id(client)
        old = self.leader()
        self.servers[old].pause()
        self.leader(besides=old)
        wait_for(lambda: client.info().leader not in (0, old) and
                 client.info().state == suite.CONNECTED, 'the client to move by itself')
        self.assertEqual(self.session_id(client), session)
        self.servers[old].go_on()

    def test_SRV11_who_is_connected_is_told_soon_that_its_session_expired(self):
        # Also when no session was there before: nothing looks at sessions then for a long time.
        wait_for(lambda: not self.sessions(), 'earlier sessions to end')
        raw = self.raw(self.leader())
        raw.hello()
        for _ in range(3):
            session = raw.create(timeout_ms=600)[3]
            begun = time.monotonic()
            told = raw.receive(suite.CLOSED)
            self.assertEqual((told[1], told[2]), (1, 5), told)
            self.assertLess(time.monotonic() - begun, 4, 'two timeouts are 1.2 s')
            self.gone(session.hex())
            self.assertEqual(raw.request(1, kv.incr('SRV-11').payload)[0], suite.CLOSED)

    def test_KAL10_the_timeout_in_force_is_told(self):
        raw = self.raw(self.leader())
        welcome = raw.hello()
        least, most = welcome[10:12]
        self.assertEqual(least, 200)
        self.assertEqual(raw.create(timeout_ms=1)[4], least)
        self.assertEqual(raw.create(channel=2, timeout_ms=10 ** 12)[4], most)
        raw.send(8, 2).receive(suite.CLOSED)

    def test_KAL02_keep_alives_are_echoed_and_stay_out_of_the_log(self):
        node = self.leader()
        raw = self.raw(node)
        raw.hello()
        raw.create()
        before = self.status(node)['commit']
        for stamp in (0, 1, 2 ** 63, 2 ** 64 - 1):
            raw.send(4, 1, stamp)
            self.assertEqual(raw.receive(69)[1:3], [1, stamp])
        for i in range(200):
            raw.send(4, 1, i)
            raw.receive(69)
        self.assertLess(self.status(node)['commit'] - before, 100)


if __name__ == '__main__':
    unittest.main(verbosity=2)
