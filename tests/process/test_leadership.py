#!/usr/bin/env python3
"""Leaders come and go on real processes: killed, paused, cut off, moved, stopped. Clients move
along, learn what is so, and nobody turns in circles."""
import json
import threading
import time
import unittest

import suite
from suite import errors, kv, wait_for


class Load:
    """Adds 1 to a key in a thread until it is ended; every answer must be the next number."""

    def __init__(self, test, client, key):
        self.store = kv.Kv(client)
        self.key, self.values, self.failures = key, [], []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        test.addCleanup(self.end)

    def run(self):
        while not self.ended.is_set():
            try:
                self.values.append(self.store.incr(self.key, timeout=60))
            except Exception as error:  # pylint: disable=broad-except
                self.failures.append(error)
                return
            time.sleep(0.005)

    def progress(self, count=20):
        """Waits for so many more answers."""
        goal = len(self.values) + count
        wait_for(lambda: len(self.values) >= goal or self.failures, f'{count} answers')
        return self

    def end(self):
        self.ended.set()
        self.thread.join(suite.WAIT_S)
        return self.values


class Leadership(suite.Suite):
    def check(self, load):
        values = load.end()
        self.assertEqual(load.failures, [])
        self.assertEqual(values, list(range(1, len(values) + 1)))
        self.assertGreaterEqual(len(values), 40)

    def test_T_I04_the_session_goes_on_when_the_leader_is_killed(self):
        client = self.connected()
        session, before = self.session_id(client), client.info().reconnects
        load = Load(self, client, 'T-I04').progress()
        old = self.leader()
        self.servers[old].kill()
        new = self.leader()
        self.assertNotEqual(new, old)
        load.progress()
        self.assertEqual(self.session_id(client), session)
        self.assertGreater(client.info().reconnects, before)
        row = self.sessions(new)[session]
        self.assertTrue(row['connected_here'], 'no route at the new leader')
        self.check(load)

    def test_LDR08_a_paused_leader_is_left(self):
        client = self.connected()
        load = Load(self, client, 'paused').progress()
        old = self.leader()
        self.servers[old].pause()
        self.leader(besides=old)
        load.progress()
        self.servers[old].go_on()
        wait_for(lambda: (self.status(old) or {}).get('role') == 'follower', 'it to step down')
        self.assertEqual(self.status(old)['serving'], False)
        self.check(load)

    def test_LDR06_a_leader_cut_off_from_its_peers_is_left_in_bounded_time(self):
        client = self.connected()
        load = Load(self, client, 'cut').progress()
        old = self.leader()
        self.network.cut_peers(old)  # the clients still reach it
        self.leader(besides=old)
        wait_for(lambda: not self.status(old)['serving'], 'the lonely leader to step down')
        load.progress()
        lost = sum(self.network.peer[link].count('dropped', None)
                   for link in self.network.peer if old in link)
        self.assertGreater(lost, 10, 'the cut cut nothing')
        self.network.cut_peers(old, False)
        self.check(load)

    def test_T_K31_after_a_partition_the_last_value_wins(self):
        store = kv.Kv(self.connected())
        store.put('T-K31', 'before')
        old = self.leader()
        self.network.cut_peers(old)
        self.leader(besides=old)
        store.put('T-K31', 'during', timeout=60)
        self.network.cut_peers(old, False)
        store.put('T-K31', 'after', timeout=60)
        self.assertEqual(store.get('T-K31', timeout=60), b'after')
        applied = self.status(self.leader())['applied']
        wait_for(lambda: self.status(old)['applied'] >= applied, 'the old leader to catch up')
        hashes = json.loads(self.cluster.cli('-o', 'json', 'status', '--converged').stdout)
        self.assertTrue(hashes['converged'])

    def test_LDR12_a_graceful_stop_moves_the_clients_without_an_error(self):
        client = self.connected()
        session = self.session_id(client)
        load = Load(self, client, 'graceful').progress()
        for _ in range(2):
            old = self.leader()
            term = self.status(old)['term']
            self.assertEqual(self.servers[old].stop(), 0)
            new = self.leader()
            load.progress()
            self.assertGreater(self.status(new)['term'], term)
            self.servers[old].start()
        self.assertEqual(self.session_id(client), session)
        self.check(load)

    def test_LDR10_a_transfer_is_seen_by_the_client(self):
        client = self.connected()
        load = Load(self, client, 'transfer').progress()
        old = self.leader()
        to = self.followers(old)[0]
        moved = self.cluster.cli('leader', 'transfer', to)
        self.assertEqual(moved.returncode, 0, moved.stderr)
        wait_for(lambda: client.info().leader == to, 'the client to know the new leader')
        wait_for(lambda: to in [json.loads(e.data)['leader'] for e in client.states()
                                if e.kind == suite.TOPOLOGY_EVENT], 'an event that names it')
        load.progress()
        self.check(load)

    def test_LDR06_without_a_majority_calls_end_at_their_deadline(self):
        client = self.connected()
        kv.Kv(client).put('LDR-06', 'x')
        leader = self.leader()
        for node in self.followers(leader):
            self.servers[node].pause()
        wait_for(lambda: not self.status(leader)['serving'], 'the leader to notice')
        begun = time.monotonic()
        with self.assertRaises(errors.RaftcsError) as failed:
            kv.Kv(client).get('LDR-06', timeout=1.5)
        self.assertLess(time.monotonic() - begun, 20)
        self.assertIn(failed.exception.name, ('TIMED_OUT', 'NO_LEADER', 'NO_QUORUM'))
        raw = self.raw(leader)
        self.assertIsNone(raw.hello()[6], 'a leader is named that nobody follows')
        refused = raw.create()
        self.assertEqual((refused[0], refused[3], refused[4]),
                         (suite.REJECTED, suite.NOT_LEADER, None))
        self.assertGreater(refused[5], 0, 'no time to wait for is told')
        for node in self.followers(leader):
            self.servers[node].go_on()
        self.assertEqual(kv.Kv(client).get('LDR-06', timeout=60), b'x')

    def test_LDR04_without_a_leader_clients_ask_at_a_measured_pace(self):
        client = self.connected()
        kv.Kv(client).put('LDR-04', 'x')
        leader = self.leader()
        survivor, other = self.followers(leader)
        for node in (leader, other):
            self.servers[node].kill()
        pending = client.start_submit('kv', kv.put('LDR-04', 'y').payload, timeout=60)

        def asked():
            return sum(link.accepted + link.count('passed', 2) + link.count('passed', 3)
                       for link in self.network.client.values())
        begun, before = time.monotonic(), asked()
        wait_for(lambda: time.monotonic() - begun > 3, 'three seconds of asking')
        attempts = asked() - before
        self.assertGreater(attempts, 1, 'the client did not ask again')
        self.assertLess(attempts, 150, 'a tight loop')
        print(f'{attempts} attempts in {time.monotonic() - begun:.1f} s; node {survivor} was left')
        self.servers[leader].start()
        self.servers[other].start()
        self.assertEqual(pending.result().app_code, 0)

    def test_LDR07_members_and_leader_are_told(self):
        leader = self.leader()
        raw = self.raw(self.followers(leader)[0])
        welcome = raw.hello()
        expected = [[i, self.cluster.addresses[i], True] for i in sorted(self.servers)]
        for leader_told, members in (welcome[6:8], raw.send(10).receive(74)[1:3]):
            self.assertEqual(list(leader_told), [leader, self.cluster.addresses[leader]])
            self.assertEqual(sorted(list(m)[:3] for m in members), expected)


if __name__ == '__main__':
    unittest.main(verbosity=2)
