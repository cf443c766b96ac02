#!/usr/bin/env python3
"""The four states of a client on real processes, what is told about them, and what happens to
commands in each."""
import unittest

import suite
from suite import DISCONNECTED, CONNECTING_NEW, CONNECTING_EXISTING, CONNECTED
from suite import errors, kv, wait_for


class ConnectionStates(suite.Suite):
    def hold(self, on=True):
        for link in self.network.client.values():
            link.hold = on

    def refuse(self, on=True):
        for link in self.network.client.values():
            link.refuse = on
            if on:
                self.network.close_all(link)

    def state(self, client, wanted):
        wait_for(lambda: client.info().state == wanted, f'state {wanted}')

    def told(self, client, wanted, count):
        """The changes of state that were told, once there are so many. A state is told again at
        some of the attempts that it takes."""
        seen = []

        def enough():
            for e in client.states():
                if e.kind == suite.STATE_EVENT and seen[-1:] != [e.state]:
                    seen.append(e.state)
            return len(seen) >= count
        wait_for(enough, f'{wanted}, there is {seen}')
        return seen

    def test_CLI02_every_state_is_told_in_order(self):
        self.refuse()
        client = self.client()
        self.state(client, CONNECTING_NEW)
        self.refuse(False)
        self.state(client, CONNECTED)
        self.refuse()
        self.state(client, CONNECTING_EXISTING)
        self.refuse(False)
        self.state(client, CONNECTED)
        seen = self.told(client, 'four states', 4)
        self.assertEqual(seen, [CONNECTING_NEW, CONNECTED, CONNECTING_EXISTING, CONNECTED])

    def test_T_I07_commands_of_every_state_before_connected_are_queued(self):
        self.refuse()
        client = self.client(open=False)
        self.assertEqual(client.info().state, DISCONNECTED)
        early = [client.start_submit('kv', kv.append('T-I07', f'{i},').payload, timeout=60)
                 for i in range(3)]
        client._open(None, True)  # pylint: disable=protected-access
        self.state(client, CONNECTING_NEW)
        early += [client.start_submit('kv', kv.append('T-I07', f'{i},').payload, timeout=60)
                  for i in range(3, 6)]
        wait_for(lambda: sum(link.refused for link in self.network.client.values()) > 2,
                 'connections to be refused')
        self.assertFalse(any(p.done() for p in early))
        self.refuse(False)
        for pending in early:
            self.assertEqual(pending.result().app_code, 0)
        self.assertEqual(kv.Kv(client).get('T-I07'), b'0,1,2,3,4,5,')

    def test_T_I08_a_lost_link_keeps_what_is_pending(self):
        client = self.connected()
        store = kv.Kv(client)
        self.assertEqual(store.incr('T-I08'), 1)
        self.hold()
        old = [client.start_submit('kv', kv.incr('T-I08').payload, timeout=60) for _ in range(5)]
        self.state(client, CONNECTING_EXISTING)
        new = [client.start_submit('kv', kv.incr('T-I08').payload, timeout=60) for _ in range(5)]
        self.assertFalse(any(p.done() for p in old + new))
        self.hold(False)
        values = [kv.incr('').read(p.result()) for p in old + new]
        self.assertEqual(values, list(range(2, 12)))
        self.assertGreater(sum(link.held for link in self.network.client.values()), 0)

    def test_T_I09_a_closed_client_ends_what_is_pending_and_another_goes_on(self):
        client = self.connected()
        token = client.export_session()
        self.hold()
        pending = [client.start_submit('kv', kv.incr('T-I09').payload, timeout=60)
                   for _ in range(5)]
        client.close()
        for each in pending:
            with self.assertRaises(errors.Closed):
                each.result()
        with self.assertRaises(errors.Closed):
            client.submit('kv', b'x')
        self.hold(False)
        # The session is not lost with the object: the next one may go on with it, or open its own.
        heir = self.client(open=False)
        queued = heir.start_submit('kv', kv.incr('T-I09-new').payload, timeout=60)
        heir._open(None, True)  # pylint: disable=protected-access
        self.assertEqual(kv.incr('').read(queued.result()), 1)
        self.assertTrue(token)

    def test_T_I12_actions_in_each_state(self):
        client = self.client(open=False)
        # Disconnected: a deadline is kept, cancel works, no session is exported, ack is harmless.
        with self.assertRaises(errors.TimedOut) as late:
            client.submit('kv', kv.incr('T-I12').payload, timeout=0.2)
        self.assertEqual(late.exception.outcome, suite.NOT_APPLIED)
        with self.assertRaises(errors.RaftcsError):
            client.export_session()
        waiting = client.start_submit('kv', kv.incr('T-I12').payload, timeout=60)
        waiting.cancel()
        with self.assertRaises(errors.Cancelled) as ended:
            waiting.result()
        self.assertEqual(ended.exception.outcome, suite.NOT_APPLIED)
        # Connecting: the same, and a second open changes nothing.
        self.refuse()
        client._open(None, True)  # pylint: disable=protected-access
        client._open(None, True)  # pylint: disable=protected-access
        self.state(client, CONNECTING_NEW)
        with self.assertRaises(errors.RaftcsError) as late:
            client.submit('kv', kv.incr('T-I12').payload, timeout=0.2)
        self.assertEqual(late.exception.outcome, suite.NOT_APPLIED)
        self.refuse(False)
        self.state(client, CONNECTED)
        self.assertEqual(kv.Kv(client).incr('T-I12'), 1, 'what never left was applied')
        # Connecting again: what left is unknown at its deadline, what did not is not applied.
        self.hold()
        with self.assertRaises(errors.OutcomeUnknown):
            client.submit('kv', kv.incr('T-I12').payload, timeout=0.2)
        self.state_after_silence(client)
        with self.assertRaises(errors.RaftcsError) as late:
            client.submit('kv', kv.incr('T-I12').payload, timeout=0.2)
        self.assertEqual(late.exception.outcome, suite.NOT_APPLIED)
        self.hold(False)
        self.state(client, CONNECTED)
        self.assertIn(kv.Kv(client).get('T-I12', timeout=60), (b'1', b'2'))
        client.close()
        client.close()

    def state_after_silence(self, client):
        """An operation that waits makes the client look at its link."""
        waiting = client.start_submit('kv', kv.incr('T-I12-other').payload, timeout=60)
        self.state(client, CONNECTING_EXISTING)
        waiting.cancel()
        with self.assertRaises(errors.RaftcsError):
            waiting.result()

    def test_CLI19_all_members_unreachable_is_no_hot_loop(self):
        client = self.connected()
        self.refuse()
        before = sum(link.refused for link in self.network.client.values())
        pending = client.start_submit('kv', kv.incr('CLI-19').payload, timeout=60)
        self.state(client, CONNECTING_EXISTING)
        wait_for(lambda: sum(link.refused for link in self.network.client.values()) - before >= 6,
                 'more attempts')
        self.assertFalse(pending.done())
        self.refuse(False)
        self.assertEqual(kv.incr('').read(pending.result()), 1)


if __name__ == '__main__':
    unittest.main(verbosity=2)
