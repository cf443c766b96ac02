#!/usr/bin/env python3
"""Everything a client tells comes through its one queue, each operation exactly once, on real
processes with faults."""
import collections
import json
import os
import unittest

import suite
from suite import CONNECTED, CONNECTING_EXISTING, errors, kv, wait_for


class EventStream(suite.Suite):
    def test_T_I11_keep_alives_time_outs_and_the_network_flow_through_one_queue(self):
        client = self.connected(session_timeout_ms=1500)
        store = kv.Kv(client)
        # Keep-alives: the round trip is known without any command.
        wait_for(lambda: client.info().rtt_us > 0, 'a round trip to be measured')
        # A time out, the network, the cluster.
        for link in self.network.client.values():
            link.hold = True
        with self.assertRaises(errors.RaftcsError):
            store.incr('T-I11', timeout=0.2)
        for link in self.network.client.values():
            link.hold = False
            self.network.close_all(link)
        wait_for(lambda: client.info().reconnects >= 1, 'a reconnect')
        old = self.leader()
        self.servers[old].kill()
        store.put('T-I11', '1', timeout=60)
        kinds, last = collections.Counter(), {}

        def gathered():
            for event in client.states():
                kinds[event.kind] += 1
                last[event.kind] = event
            return (kinds[suite.TOPOLOGY_EVENT] >= 1 and kinds[suite.STATE_EVENT] >= 4 and
                    json.loads(last[suite.TOPOLOGY_EVENT].data)['leader'] not in (0, old))
        wait_for(gathered, 'states and the new leader')
        self.assertEqual(last[suite.STATE_EVENT].state, CONNECTED)
        info = client.info()
        self.assertEqual(info.leader, json.loads(last[suite.TOPOLOGY_EVENT].data)['leader'])
        self.assertEqual((info.submitted, info.completed, info.outstanding), (2, 2, 0))

    def test_every_operation_ends_with_one_event(self):
        client = self.client(open=False)
        ended = collections.Counter()
        seen = client._mail._handler  # pylint: disable=protected-access

        def counting(event):
            if event.kind in (1, 2, 3):
                ended[event.op_id] += 1
            seen(event)
        client._mail._handler = counting  # pylint: disable=protected-access
        client._open(None, True)  # pylint: disable=protected-access
        pending = []
        for i in range(400):
            timeout = 60 if i % 7 else 0.05
            pending.append(client.start_submit('kv', kv.incr('events').payload, timeout=timeout))
            if i % 11 == 0:
                pending[-1].cancel()
            if i % 100 == 50:
                for link in self.network.client.values():
                    self.network.close_all(link)
            if i % 40 == 0:
                pending[-1].wait()
        outcomes = collections.Counter()
        for each in pending:
            outcomes[each.wait().outcome] += 1
        client.close()
        numbers = {p.op_id for p in pending}
        self.assertEqual(len(numbers), 400)
        self.assertEqual({n: ended[n] for n in numbers}, {n: 1 for n in numbers})
        print(f'applied {outcomes[suite.APPLIED]}, not applied {outcomes[suite.NOT_APPLIED]}, '
              f'unknown {outcomes[suite.UNKNOWN]}')
        self.assertGreater(outcomes[suite.APPLIED], 100)
        self.assertGreater(outcomes[suite.NOT_APPLIED] + outcomes[suite.UNKNOWN], 5)
        value = int(kv.Kv(self.connected()).get('events'))
        self.assertGreaterEqual(value, outcomes[suite.APPLIED])
        self.assertLessEqual(value, outcomes[suite.APPLIED] + outcomes[suite.UNKNOWN])

    def test_CLI11_late_replies_complete_nothing_twice(self):
        client = self.connected()
        store = kv.Kv(client)
        link = self.network.client[self.leader()]
        link.delay_s = 0.4
        with self.assertRaises(errors.OutcomeUnknown):
            store.incr('CLI-11', timeout=0.15)  # the reply comes later
        link.delay_s = 0.0
        self.assertEqual(store.incr('CLI-11', timeout=60), 2)
        info = client.info()
        self.assertEqual((info.submitted, info.completed, info.outstanding), (2, 2, 0))

    def test_SES14_a_lost_session_is_told_once_and_the_client_ends_calls(self):
        client = self.connected(session_timeout_ms=600)
        session = self.session_id(client)
        for link in self.network.client.values():
            link.drop = lambda m: True
        self.gone(session)
        pending = client.start_submit('kv', kv.incr('SES-14').payload, timeout=60)
        self.network.heal()
        with self.assertRaises(errors.RaftcsError) as ended:
            pending.result()
        self.assertEqual(ended.exception.name, 'SESSION_EXPIRED')
        lost = [e for e in client.states() if e.kind == suite.LOST_EVENT]
        self.assertEqual([e.status for e in lost], [errors.SessionExpired.default_status])
        with self.assertRaises(errors.SessionExpired):
            client.submit('kv', kv.incr('SES-14').payload)

    def test_W_C18_with_renew_a_new_session_follows(self):
        client = self.connected(session_timeout_ms=600, expiry='renew')
        session = self.session_id(client)
        for link in self.network.client.values():
            link.drop = lambda m: True
        self.gone(session)
        self.network.heal()
        wait_for(lambda: client.info().session_id.hex() not in (session, '0' * 32) and
                 client.info().state == CONNECTED, 'a new session')
        self.assertIn(suite.LOST_EVENT, [e.kind for e in client.states()])
        self.assertEqual(kv.Kv(client).incr('W-C18', timeout=60), 1)

    def test_CLI16_garbage_from_a_server_costs_the_link_only(self):
        # One bit of a reply is turned around on its way.
        client = self.connected()
        store, session = kv.Kv(client), self.session_id(client)
        self.assertEqual(store.incr('CLI-16'), 1)
        before = client.info().reconnects
        spoilt = []

        def spoil(message):
            if message.type == suite.RESPONSE and not spoilt:
                spoilt.append(message)
                return message.body[:-1] + bytes([0xc1])
            return False
        for link in self.network.client.values():
            link.drop = spoil
        self.assertEqual(store.incr('CLI-16', timeout=60), 2)
        self.assertEqual(len(spoilt), 1)
        self.assertEqual(self.session_id(client), session)
        self.assertGreater(client.info().reconnects, before)

    def test_the_descriptor_of_the_queue_is_readable_while_events_wait(self):
        client = self.connected()
        descriptor = client._queue.open_fd()  # pylint: disable=protected-access
        self.addCleanup(os.close, descriptor)
        client.states()
        self.assertIn(client.info().state, (CONNECTED, CONNECTING_EXISTING))
        client.start_submit('kv', kv.incr('descriptor').payload)
        wait_for(lambda: suite.readable(descriptor), 'the descriptor to be readable')
        wait_for(lambda: not (client.states() or suite.readable(descriptor)), 'it to be quiet')


if __name__ == '__main__':
    unittest.main(verbosity=2)
