#!/usr/bin/env python3
"""Requests that the server starts, on real processes: numbered without gaps, in order, until they
are acknowledged, whatever happens to leaders and connections. kv's watches make them."""
import os
import signal
import time
import unittest

import suite
from suite import kv, wait_for


def take(client, count, seconds=suite.WAIT_S):
    """The next requests of a client as (number, value); fewer when they do not come."""
    seen = []
    for request in client.server_requests(timeout=seconds):
        seen.append((request.id, kv.read_change(request).value))
        if len(seen) == count:
            break
    return seen


def numbered(first, values):
    return [(first + i, str(v).encode()) for i, v in enumerate(values)]


class ServerRequests(suite.Suite):
    def test_SRQ04_order_and_numbers_hold_when_leaders_are_killed(self):
        watcher, writer = self.connected(), kv.Kv(self.connected())
        kv.Kv(watcher).watch('SRQ-04')
        for i in range(60):
            writer.put('SRQ-04', str(i), timeout=60)
            if i in (20, 40):
                self.servers[self.leader()].kill()
                writer.put('SRQ-04-other', 'x', timeout=60)
                for server in self.servers.values():
                    if not server.running():
                        server.start()
        self.assertEqual(take(watcher, 60), numbered(1, range(60)))

    def test_SRQ05_lost_pushes_come_again_and_doubled_ones_are_delivered_once(self):
        watcher, writer = self.connected(), kv.Kv(self.connected())
        kv.Kv(watcher).watch('SRQ-05')
        links = self.network.client.values()
        chance = self.random.random

        def lose(message):
            return message.type == 73 and chance() < 0.3
        for link in links:
            link.drop = lose
        for i in range(50):
            writer.put('SRQ-05', str(i), timeout=60)
            if i % 10 == 9:  # what was lost is asked for when the session is continued
                for link in links:
                    self.network.close_all(link)
        wait_for(lambda: sum(link.count('dropped', 73) for link in links) >= 5, 'pushes to be lost')
        self.network.heal()
        for link in links:
            self.network.close_all(link)
        self.assertEqual(take(watcher, 50), numbered(1, range(50)), f'seed {suite.SEED}')

    def test_SRQ13_manual_acknowledgement_and_redelivery_to_the_next_process(self):
        watcher, writer = self.connected(push__ack='manual'), kv.Kv(self.connected())
        session = self.session_id(watcher)
        kv.Kv(watcher).watch('SRQ-13')
        for i in range(6):
            writer.put('SRQ-13', str(i))
        self.assertEqual(take(watcher, 6), numbered(1, range(6)))
        watcher.ack(2)
        wait_for(lambda: self.sessions()[session]['acked_push'] == 2, 'the acknowledgement')
        token = watcher.export_session()
        watcher.close(keep_session=True)
        heir = self.connected(session=token, push__ack='manual')
        self.assertEqual(self.session_id(heir), session)
        self.assertEqual(take(heir, 4), numbered(3, range(2, 6)), 'what was not acknowledged')
        heir.ack(6)
        wait_for(lambda: self.sessions()[session]['acked_push'] == 6, 'the acknowledgement')

    def test_SRQ10_a_continue_delivers_at_once(self):
        # The ancestor waited for up to 20 s; here nothing but the continue itself is waited for.
        watcher, writer = self.worker(), kv.Kv(self.connected())
        token = (watcher.open(), watcher.call('watch', key='SRQ-10'), watcher.call('export'))[2]
        watcher.kill()
        for i in range(5):
            writer.put('SRQ-10', str(i))
        heir = self.connected(session=bytes.fromhex(token['token']))
        self.assertEqual(take(heir, 5), numbered(1, range(5)))

    def test_SRQ17_the_time_of_creation_stays_the_same_in_every_redelivery(self):
        node, proof = self.leader(), os.urandom(16)
        raw = self.raw(node)
        raw.hello()
        session = raw.create(proof=proof)[3]
        self.assertEqual(raw.request(1, kv.watch('SRQ-17').payload)[0], suite.RESPONSE)
        writer = kv.Kv(self.connected())
        for i in range(3):
            writer.put('SRQ-17', str(i))
        first = [raw.receive(73)[2:] for _ in range(3)]
        again = self.raw(node)
        again.hello()
        self.assertEqual(again.go_on(session, proof)[0], suite.CONTINUED)
        self.assertEqual([again.receive(73)[2:] for _ in range(3)], first)
        times = [push[2] for push in first]
        self.assertEqual(times, sorted(times))
        self.assertGreater(times[0], 0)

    def test_SRQ07_acknowledgements_share_log_entries(self):
        watcher, writer_client = self.connected(), self.connected()
        kv.Kv(watcher).watch('SRQ-07')
        session = self.session_id(watcher)
        pending = [writer_client.start_submit('kv', kv.put('SRQ-07', str(i)).payload)
                   for i in range(500)]
        for each in pending:
            each.result()
        before = self.status(self.leader())['commit']
        self.assertEqual(len(take(watcher, 500)), 500)
        wait_for(lambda: self.sessions()[session]['acked_push'] == 500, 'all acknowledgements')
        entries = self.status(self.leader())['commit'] - before
        print(f'{entries} log entries while 500 requests were acknowledged')
        self.assertLess(entries, 250)

    def test_T_I10_requests_and_commands_do_not_wait_for_each_other(self):
        client, writer = self.connected(), kv.Kv(self.connected())
        store = kv.Kv(client)
        store.watch('T-I10')
        for i in range(40):
            writer.put('T-I10', str(i))
        # Nothing of the stream is taken, and commands still end.
        self.assertEqual([store.incr('T-I10-n') for _ in range(40)], list(range(1, 41)))
        self.assertEqual(take(client, 40), numbered(1, range(40)))
        # Commands are lost on the way, and the stream goes on.
        link = self.network.client[self.leader()]
        link.drop = lambda m: m.type == 5 and b'T-I10-stuck' in m.body
        stuck = client.start_submit('kv', kv.incr('T-I10-stuck').payload, timeout=60)
        wait_for(lambda: link.count('dropped', 5) > 0, 'the command to be lost')
        for i in range(40, 50):
            writer.put('T-I10', str(i))
        self.assertEqual(take(client, 10), numbered(41, range(40, 50)))
        self.assertFalse(stuck.done())
        link.drop = None
        self.network.close_all(link)
        self.assertEqual(kv.incr('').read(stuck.result()), 1)

    def test_T_K30_a_graceful_stop_during_a_watch(self):
        watch = self.cluster.start_cli('kv', 'watch', 'T-K30', '--count', 4, '--for', 60)
        self.assertIn('watching', watch.stderr.readline())
        store = kv.Kv(self.connected())
        for i in range(2):
            store.put('T-K30', f'before {i}', timeout=60)
        stopped = self.leader()
        self.assertEqual(self.servers[stopped].stop(), 0)
        for i in range(2):
            store.put('T-K30', f'after {i}', timeout=60)
        out, err = watch.communicate(timeout=70)
        self.assertEqual(watch.returncode, 0, err)
        self.assertEqual([line.split('\t')[2] for line in out.splitlines()],
                         ['before 0', 'before 1', 'after 0', 'after 1'])

    def test_T_K33_a_restart_while_a_watch_is_registered(self):
        for link in self.network.client.values():  # the registration is applied, its reply lost
            link.drop = lambda m: m.type == suite.RESPONSE
        watch = self.cluster.start_cli('kv', 'watch', 'T-K33', '--count', 2, '--for', 60)
        wait_for(lambda: sum(link.count('dropped', suite.RESPONSE)
                             for link in self.network.client.values()), 'the reply to be lost')
        leader = self.leader()
        self.servers[leader].kill()
        self.network.heal()
        self.servers[leader].start()
        self.assertIn('watching', watch.stderr.readline())
        store = kv.Kv(self.connected())
        for i in range(2):
            store.put('T-K33', str(i), timeout=60)
        out, err = watch.communicate(timeout=70)
        self.assertEqual(watch.returncode, 0, err)
        self.assertEqual([line.split('\t')[:3] for line in out.splitlines()],
                         [['put', 'T-K33', '0'], ['put', 'T-K33', '1']])

    def test_W_C8_a_consumer_that_stands_still_holds_nobody_up(self):
        slow, writer_client = self.worker(push__ack='manual'), self.connected()
        session = slow.open()['session']
        slow.call('watch', key='W-C8')
        slow.process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        pending = [writer_client.start_submit('kv', kv.put('W-C8', str(i)).payload, timeout=60)
                   for i in range(3000)]
        for each in pending:
            each.result()
        print(f'3000 writes past a consumer that stands still: {time.monotonic() - begun:.1f} s')
        row = self.sessions().get(session)
        self.assertIsNotNone(row, 'the session has ended too early for this test')
        self.assertEqual((row['last_push'], row['acked_push']), (3000, 0))
        slow.process.send_signal(signal.SIGCONT)


if __name__ == '__main__':
    unittest.main(verbosity=2)
