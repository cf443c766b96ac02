"""The asyncio client on answers that a real cluster gives only by luck; see test_standin.py."""
import asyncio
import os
import time
import unittest

import raftcs
from raftcs import _events, errors
from raftcs._library import api
from test_standin import CONFIG


class Asyncio(unittest.IsolatedAsyncioTestCase):
    async def test_operations(self):
        async with raftcs.AsyncClient(CONFIG) as c:
            await c.wait_connected()
            self.assertEqual((await c.submit("s", b"echo x")).data, b"x")
            self.assertEqual((await c.query("s", b"consistency", stale=True)).data, b"1")
            self.assertEqual((await c.admin("v"))["endpoint"], None)
            with self.assertRaises(raftcs.OutcomeUnknown):
                await c.submit("s", b"unknown")

    async def test_pipeline_over_the_limit_waits_for_room(self):
        async with raftcs.AsyncClient({**CONFIG, "standin.outstanding_max": 10}) as c:
            holds = [asyncio.ensure_future(c.submit("s", b"hold")) for _ in range(100)]
            while not all(hold.done() for hold in holds):
                await asyncio.sleep(0.001)
                await c.submit("s", b"release")
            replies = await asyncio.gather(*holds)
        self.assertEqual(len({reply.op_id for reply in replies}), 100)

    async def test_close_ends_those_that_wait_for_room(self):
        c = raftcs.AsyncClient({**CONFIG, "standin.outstanding_max": 10})
        calls = [asyncio.ensure_future(c.submit("s", b"never")) for _ in range(100)]
        await asyncio.sleep(0)
        await c.close()
        _, waiting = await asyncio.wait(calls, timeout=5)
        self.assertEqual(waiting, set())
        for call in calls:
            self.assertIsInstance(call.exception(), errors.Closed)

    async def only_one_wants_the_room(self, others, *then):
        """One operation is under way, 20 wait for its room, and one of them is not in `others`.
        What is in `then` happens before any task runs."""
        async with raftcs.AsyncClient({**CONFIG, "standin.outstanding_max": 1}) as c:
            c.start_submit("s", b"never")
            tasks = [asyncio.ensure_future(others(c)) for _ in range(19)]
            last = asyncio.ensure_future(c.submit("s", b"echo x"))
            await asyncio.sleep(0)
            self.assertEqual(len(c._room), 20)
            for step in then:
                step(c, tasks)
            done, _ = await asyncio.wait({last}, timeout=5)
            self.assertEqual(done, {last})
            self.assertEqual(last.result().data, b"x")
            await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    def reply(c, _):
        c._cancel(1)
        c._drain()

    @staticmethod
    def cancel(_, tasks):
        for task in tasks:
            task.cancel()

    async def test_room_is_not_given_to_what_is_cancelled(self):
        await self.only_one_wants_the_room(lambda c: c.submit("s", b"echo"), self.cancel,
                                           self.reply)

    async def test_room_is_passed_on_by_what_is_cancelled_with_it(self):
        await self.only_one_wants_the_room(lambda c: c.submit("s", b"echo"), self.reply,
                                           self.cancel)

    async def test_room_is_passed_on_by_what_is_refused_with_it(self):
        def others(c):
            answers = iter([errors.Busy("full"), errors.TooLarge("in any room")])

            def begin():
                raise next(answers)
            return c._when_room(begin)

        await self.only_one_wants_the_room(others, self.reply)

    async def test_thousands_at_once_keep_their_replies(self):
        async with raftcs.AsyncClient(CONFIG) as c:
            wanted = [str(i).encode() for i in range(2000)]
            replies = await asyncio.gather(*(c.submit("s", b"echo " + w) for w in wanted))
            self.assertEqual([reply.data for reply in replies], wanted)

    async def test_cancelling_the_awaitable_cancels_the_operation(self):
        async with raftcs.AsyncClient(CONFIG) as c:
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(c.submit("s", b"never"), 0.05)
            self.assertEqual(c.info().outstanding, 0)
            self.assertEqual((await c.submit("s", b"echo on")).data, b"on")

    async def test_an_interrupt_between_two_events_loses_none(self):
        async with raftcs.AsyncClient(CONFIG) as c:
            await c.wait_connected()
            on_event, answers = c._on_event, [errors.Internal("an interrupt, as it may come")]

            def interrupted(event):
                if answers:
                    raise answers.pop()
                on_event(event)

            c._on_event = interrupted
            asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
            c.start_submit("s", b"echo nobody waits")
            call = asyncio.ensure_future(c.submit("s", b"echo x"))
            done, _ = await asyncio.wait({call}, timeout=2)
            self.assertEqual(done, {call})

    async def test_streams(self):
        c = raftcs.AsyncClient(CONFIG)
        states, requests = [], []

        async def watch():
            async for event in c.state_events():
                states.append(event.state)

        async def serve():
            async for request in c.server_requests():
                requests.append(request.id)

        tasks = [asyncio.ensure_future(watch()), asyncio.ensure_future(serve())]
        await asyncio.sleep(0)
        await c.submit("s", b"push 300")
        await c.close()
        await asyncio.wait_for(asyncio.gather(*tasks), 5)
        self.assertEqual(requests, list(range(1, 301)))
        self.assertEqual(states[-1], raftcs.DISCONNECTED)

    async def test_a_lost_session_ends_the_requests_with_its_error(self):
        async with raftcs.AsyncClient(CONFIG) as c:
            await c.submit("s", b"push 1")
            await c.submit("s", b"lose")
            requests = c.server_requests()
            self.assertEqual((await requests.__anext__()).id, 1)
            with self.assertRaises(errors.SessionExpired):
                await requests.__anext__()

    async def test_a_loss_is_told_to_readers_also_when_a_new_session_has_followed(self):
        async with raftcs.AsyncClient(CONFIG) as c:
            await c.submit("s", b"push 1")
            await c.submit("s", b"lose")
            c.reopen()
            await c.submit("s", b"push 1")
            requests = c.server_requests()
            self.assertEqual((await requests.__anext__()).id, 1)
            with self.assertRaises(errors.SessionExpired):
                await requests.__anext__()
            self.assertEqual((await c.server_requests().__anext__()).id, 2)  # it counts on

    async def next_request(self, c, timeout=5):
        return await asyncio.wait_for(c.server_requests().__anext__(), timeout)

    async def is_lost(self, c):
        with self.assertRaises(errors.SessionExpired):
            await self.next_request(c)

    async def waits(self, c):
        with self.assertRaises(asyncio.TimeoutError):
            await self.next_request(c, 0.05)

    async def test_who_only_reads_requests_can_open_again(self):
        async with raftcs.AsyncClient(CONFIG) as c:
            for _ in range(2):
                await c.submit("s", b"lose")
                await self.is_lost(c)
                c.reopen()
                await c.wait_connected()
                await self.waits(c)

    async def test_a_session_that_follows_by_itself_ends_the_loss_that_was_told(self):
        async with raftcs.AsyncClient(CONFIG) as c:
            await c.submit("s", b"lose")
            await self.is_lost(c)
            api.raftcs_client_open(c._handle())  # what client.expiry = renew does, but later
            await self.waits(c)

    async def test_who_reads_on_after_a_loss_lets_the_loop_run(self):
        async with raftcs.AsyncClient(CONFIG) as c:
            await c.submit("s", b"lose")
            ticks = []
            asyncio.get_running_loop().call_later(0.05, ticks.append, 1)
            end = time.monotonic() + 2
            while not ticks and time.monotonic() < end:
                await self.told(c)
            self.assertEqual(ticks, [1])

    async def told(self, c):
        try:
            await c.server_requests().__anext__()
        except errors.SessionExpired:
            pass

    async def test_a_loss_that_was_not_taken_before_reopen_is_told_once(self):
        async with raftcs.AsyncClient(CONFIG) as c:
            for _ in range(_events.BATCH - 4):  # the loss is the last of its batch
                c.start_submit("s", b"echo")
            c.start_submit("s", b"lose")
            c.reopen()
            await self.is_lost(c)
            await self.waits(c)

    async def test_a_loss_that_was_taken_before_reopen_and_not_told_is_told_once(self):
        async with raftcs.AsyncClient(CONFIG) as c:
            await c.submit("s", b"lose")
            c._drain()
            c.reopen()
            await self.is_lost(c)
            await self.waits(c)

    async def test_each_loss_is_told(self):
        async with raftcs.AsyncClient(CONFIG) as c:
            for _ in range(2):
                await c.submit("s", b"lose")
                c._drain()
                if c._requests.items:
                    await self.is_lost(c)  # the first, while the second is not followed yet
                c.reopen()
                c._drain()
            await self.is_lost(c)
            await self.waits(c)

    async def test_close_twice_and_with_operations_under_way(self):
        c = raftcs.AsyncClient(CONFIG)
        under_way = asyncio.ensure_future(c.submit("s", b"never"))
        await asyncio.sleep(0)
        await asyncio.gather(c.close(), c.close())
        await c.close()
        with self.assertRaises(errors.Closed):
            await under_way

    async def test_descriptors_do_not_leak(self):
        for _ in range(3):
            await raftcs.AsyncClient(CONFIG).close()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(20):
            await raftcs.AsyncClient(CONFIG).close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


if __name__ == "__main__":
    unittest.main()
