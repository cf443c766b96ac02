#!/usr/bin/env python3
"""What a session outlives: leaders, connections, restarts of all servers, partitions, and the
process that opened it."""
import time
import unittest

import suite
from suite import errors, kv, wait_for


class SessionDurability(suite.Suite):
    def test_SES07_one_session_through_everything(self):
        client = self.connected(session_timeout_ms=20000)
        session, store = self.session_id(client), kv.Kv(client)
        self.assertEqual(store.incr('SES-07', timeout=60), 1)
        old = self.leader()
        self.servers[old].kill()  # the leader
        self.assertEqual(store.incr('SES-07', timeout=60), 2)
        self.servers[old].start()
        for link in self.network.client.values():  # every connection
            self.network.close_all(link)
        self.assertEqual(store.incr('SES-07', timeout=60), 3)
        for server in self.servers.values():  # all servers
            server.kill()
        for server in self.servers.values():
            server.start()
        self.assertEqual(store.incr('SES-07', timeout=60), 4)
        for server in self.servers.values():  # all servers, gracefully
            server.stop()
        for server in self.servers.values():
            server.start()
        self.assertEqual(store.incr('SES-07', timeout=60), 5)
        self.assertEqual(self.session_id(client), session)
        self.assertGreaterEqual(client.info().reconnects, 4)

    def test_T_I06_a_partition_of_the_client_that_heals(self):
        # 45 s against the ancestor's session timeout of 90 s: here 3 s of 6 s.
        client = self.connected(session_timeout_ms=6000)
        session, store = self.session_id(client), kv.Kv(client)
        self.assertEqual(store.incr('T-I06'), 1)
        before = client.info().reconnects
        for link in self.network.client.values():
            link.hold = True
        pending = client.start_submit('kv', kv.incr('T-I06').payload, timeout=60)
        wait_for(lambda: client.info().state == suite.CONNECTING_EXISTING, 'the cut to be noticed')
        begun = time.monotonic()
        wait_for(lambda: time.monotonic() - begun > 1.0, 'a while of the partition')
        self.assertFalse(pending.done())
        # The old route falls with the old connection, also where nobody told the server.
        for link in self.network.client.values():
            self.network.close_all(link)
            link.hold = False
        self.assertEqual(kv.incr('').read(pending.result()), 2)
        self.assertEqual(self.session_id(client), session)
        self.assertGreater(client.info().reconnects, before)
        held = sum(link.held for link in self.network.client.values())
        self.assertGreater(held, 0, 'nothing was held back')

    def test_SES18_a_restarted_program_collects_its_replies(self):
        first, reader = self.worker(session_timeout_ms=20000), kv.Kv(self.connected())
        session = first.open()['session']
        self.assertEqual(first.call('incr', key='SES-18')['values'], [1])
        # The commands reach the cluster, their replies do not come back; then the program dies.
        for link in self.network.client.values():
            link.drop = lambda m: m.type == suite.RESPONSE
        first.call('start', key='SES-18', times=10)
        token = first.call('export')['token']
        wait_for(lambda: reader.get('SES-18') == b'11', 'the commands to be applied')
        first.kill()
        lost = sum(link.count('dropped', suite.RESPONSE) for link in self.network.client.values())
        self.assertGreater(lost, 0)
        self.network.heal()
        second = self.worker(session_timeout_ms=20000)
        self.assertEqual(second.open(token=token)['session'], session)
        second.call('start', key='SES-18', times=10)
        self.assertEqual(second.call('results')['values'], list(range(2, 12)),
                         'not the first replies')
        self.assertEqual(second.call('incr', key='SES-18')['values'], [12])

    def test_SES10_a_session_taken_over_stops_its_older_holder(self):
        holder, heir = self.worker(), self.worker()
        session = holder.open()['session']
        token = holder.call('export')['token']
        self.assertEqual(heir.open(token=token)['session'], session)
        lost = wait_for(lambda: [s for s in holder.call('states')['states']
                                 if s[0] == suite.LOST_EVENT], 'the older holder to be told')
        self.assertEqual(lost[0][2], errors.SessionTaken.default_status)
        reconnects = sum(link.accepted for link in self.network.client.values())
        self.assertEqual(heir.call('incr', key='taken', times=20)['values'], list(range(1, 21)))
        self.assertEqual(holder.call('incr', key='taken')['error'], 'SESSION_TAKEN')
        after = sum(link.accepted for link in self.network.client.values())
        self.assertLessEqual(after - reconnects, 1, 'the holders take it from one another')

    def test_CMD02_killed_servers_do_not_double_what_was_under_way(self):
        client = self.connected()
        pending = [client.start_submit('kv', kv.append('CMD-02', f'{i},').payload, timeout=60)
                   for i in range(200)]
        victim = self.leader()
        self.servers[victim].kill()
        more = [client.start_submit('kv', kv.append('CMD-02', f'{i},').payload, timeout=60)
                for i in range(200, 300)]
        for each in pending + more:
            self.assertEqual(each.result().app_code, 0)
        self.assertEqual(kv.Kv(client).get('CMD-02').decode(),
                         ''.join(f'{i},' for i in range(300)))

    def test_T_K28_a_watch_goes_on_across_restarts(self):
        watcher, writer = self.connected(), kv.Kv(self.connected())
        kv.Kv(watcher).watch('T-K28')
        for i in range(3):
            writer.put('T-K28', str(i), timeout=60)
            for server in self.servers.values():
                server.kill()
            for server in self.servers.values():
                server.start()
        writer.put('T-K28', '3', timeout=60)
        seen = []
        for request in watcher.server_requests(timeout=suite.WAIT_S):
            seen.append(kv.read_change(request).value)
            if len(seen) == 4:
                break
        self.assertEqual(seen, [b'0', b'1', b'2', b'3'])

    def test_SES23_any_member_that_leads_knows_the_session(self):
        client = self.connected()
        session, store = self.session_id(client), kv.Kv(client)
        led = set()
        for i, node in enumerate([*self.servers, 1]):
            if self.leader() != node:
                moved = self.cluster.cli('leader', 'transfer', node)
                self.assertEqual(moved.returncode, 0, moved.stderr)
                wait_for(lambda node=node: (self.status(node) or {}).get('serving'),
                         f'node {node} to lead')
            self.assertEqual(store.incr('SES-23', timeout=60), i + 1)
            self.assertEqual(self.session_id(client), session)
            led.add(node)
        self.assertEqual(led, set(self.servers))


if __name__ == '__main__':
    unittest.main(verbosity=2)
