"""The binding's own code on answers that a real cluster gives only by luck.

RAFTCS_LIBRARY names the stand-in here, so this proves nothing about the library itself.
"""
import array
import collections
import ctypes
import gc
import math
import os
import signal
import threading
import time
import types
import unittest
import unittest.mock

import raftcs
from raftcs import _events, _ffi, errors, kv, msgpack
from raftcs._library import api

CONFIG = {"client.endpoints": ["tcp://127.0.0.1:1", "tcp://127.0.0.1:2"]}


def client(**more):
    return raftcs.Client({**CONFIG, **more})


def let_two_meet(mail):
    """Two threads that may both leave mail.wait do so before either goes on."""
    barrier, wait = threading.Barrier(2), mail.wait

    def wait_and_meet(ready, timeout=None):
        found = wait(ready, timeout)
        try:
            barrier.wait(0.3)
        except threading.BrokenBarrierError:
            pass
        return found
    mail.wait = wait_and_meet


class Readers:
    """Two threads that each take one item of an iterator of their own."""

    def __init__(self, items):
        self.seen = []
        self.threads = [threading.Thread(target=self._read, args=(items(),), daemon=True)
                        for _ in range(2)]
        for thread in self.threads:
            thread.start()

    def _read(self, items):
        self.seen.append(next(items, None))

    def after(self, count):
        """What they have seen some time after `count` of them have ended."""
        end = time.monotonic() + 5
        while sum(not thread.is_alive() for thread in self.threads) < count:
            if time.monotonic() > end:
                break
            time.sleep(0.01)
        time.sleep(0.1)
        return self.seen


class Errors(unittest.TestCase):
    def test_classes_are_made_from_the_library_s_table(self):
        self.assertTrue(issubclass(errors.TimedOut, errors.ReachError))
        self.assertTrue(issubclass(errors.FromTheFuture, errors.ReachError))
        self.assertFalse(issubclass(errors.TimedOut, raftcs.OutcomeUnknown))
        self.assertEqual(errors.Busy("x").status, -200)
        self.assertTrue(errors.Busy("x").retriable)

    def test_the_outcome_is_the_event_s(self):
        with client() as c:
            with self.assertRaises(raftcs.OutcomeUnknown) as unknown:
                c.submit("s", b"unknown")
            self.assertIsInstance(unknown.exception, errors.TimedOut)
            with self.assertRaises(errors.TimedOut) as late:
                c.submit("s", b"late")
            self.assertNotIsInstance(late.exception, raftcs.OutcomeUnknown)
            self.assertEqual(late.exception.outcome, raftcs.NOT_APPLIED)
            self.assertTrue(unknown.exception.retriable)
            self.assertFalse(unknown.exception.safe_to_retry)
            self.assertTrue(late.exception.safe_to_retry)

    def test_a_status_that_nobody_knows_has_its_family(self):
        with client() as c:
            with self.assertRaises(raftcs.OutcomeUnknown) as caught:
                c.submit("s", b"unlisted")
            self.assertEqual(caught.exception.status, -399)
        self.assertIsInstance(errors.make(-399), errors.ConsensusError)
        self.assertIsInstance(errors.make(-9999), raftcs.RaftcsError)

    def test_unknown_with_an_unlisted_status_keeps_its_family(self):
        made = errors.make(-399, outcome=raftcs.UNKNOWN)
        self.assertIsInstance(made, errors.ConsensusError)
        self.assertIsInstance(made, raftcs.OutcomeUnknown)

    def test_errors_of_settings_carry_the_sentence(self):
        with self.assertRaisesRegex(errors.UnknownOption, "no setting nonsense"):
            raftcs.Config({"nonsense": "1"})
        with self.assertRaisesRegex(errors.InvalidArgument, "client.endpoints"):
            raftcs.Client({})

    def test_values_are_written_the_library_s_way(self):
        config = raftcs.Config(CONFIG)
        self.assertEqual(config["client.endpoints"], "tcp://127.0.0.1:1,tcp://127.0.0.1:2")
        config["client.flag"] = True
        self.assertEqual(config.get("client.flag"), "true")


class Blocking(unittest.TestCase):
    def test_submit_query_admin_ack(self):
        with client() as c:
            c.wait_connected()
            self.assertEqual(c.submit("s", b"echo hello").data, b"hello")
            self.assertEqual(c.submit("s", bytearray(b"echo a\0b")).data, b"a\0b")
            self.assertEqual(c.submit("s", b"code 7").app_code, 7)
            self.assertEqual(c.query("s", b"consistency").data, b"0")
            self.assertEqual(c.query("s", b"consistency", stale=True).data, b"1")
            self.assertEqual(c.admin("status", {"a": [1]}, endpoint="tcp://x:1"),
                             {"verb": "status", "endpoint": "tcp://x:1", "args": {"a": [1]}})
            c.ack(5)
            self.assertEqual(c.submit("s", b"acked").data, b"5")
            events = c.states()
            states = [event.state for event in events]
            self.assertEqual(states, [raftcs.CONNECTING_NEW, raftcs.CONNECTED])
            self.assertEqual(events[0].details, {"attempt": 3, "at_risk": False})

    def test_info_has_every_field(self):
        with client() as c:
            self.assertEqual(tuple(c.info())[-9:], (11, 12, 13, 14, 15, 16, 17, 18, -200))

    def test_a_lost_session_is_reopened(self):
        with client() as c:
            c.submit("s", b"lose")
            with self.assertRaises(errors.SessionExpired):
                next(c.server_requests(5))
            c.reopen()
            c.submit("s", b"push 1")
            self.assertEqual(next(c.server_requests(5)).id, 1)

    def test_a_loss_is_told_to_readers_also_when_a_new_session_has_followed(self):
        with client() as c:
            c.submit("s", b"push 1")
            c.submit("s", b"lose")
            c.reopen()  # with client.expiry = renew the library does it
            c.submit("s", b"push 2")
            self.assertEqual(next(c.server_requests(5)).id, 1)
            with self.assertRaises(errors.SessionExpired):
                next(c.server_requests(5))
            self.assertEqual([r.id for r in c.server_requests(0.05)], [2, 3])  # it counts on

    def lose(self, c):
        c.submit("s", b"lose")
        with self.assertRaises(errors.SessionExpired):
            next(c.server_requests(5))

    def test_who_only_reads_requests_can_open_again(self):
        with client() as c:
            for _ in range(2):
                self.lose(c)
                c.reopen()
                c.wait_connected()
                self.assertIsNone(next(c.server_requests(0.05), None))

    def test_a_session_that_follows_by_itself_ends_the_loss_that_was_told(self):
        with client() as c:
            self.lose(c)
            api.raftcs_client_open(c._handle())  # what client.expiry = renew does, but later
            self.assertIsNone(next(c.server_requests(0.05), None))

    def test_a_loss_that_was_not_taken_before_reopen_is_told_once(self):
        with client() as c:
            for _ in range(_events.BATCH - 4):  # the loss is the last of its batch
                c.start_submit("s", b"echo")
            c.start_submit("s", b"lose")
            c.reopen()
            with self.assertRaises(errors.SessionExpired):
                next(c.server_requests(5))
            self.assertIsNone(next(c.server_requests(0.05), None))

    def test_a_loss_that_was_taken_before_reopen_and_not_told_is_told_once(self):
        with client() as c:
            c.submit("s", b"lose")
            c.states()
            c.reopen()
            with self.assertRaises(errors.SessionExpired):
                next(c.server_requests(5))
            self.assertIsNone(next(c.server_requests(0.05), None))

    def test_a_loss_of_the_new_session_is_not_taken_for_the_old_one(self):
        with client() as c:
            self.lose(c)
            opened = api.raftcs_client_open

            def lost_at_once(handle):
                opened(handle)
                c.start_submit("s", b"lose")
                reader.start()
                reader.join(0.2)  # it takes the events now if it can
                return _ffi.OK

            def read():
                with self.assertRaises(errors.SessionExpired):
                    next(c.server_requests(5))

            reader = threading.Thread(target=read)
            with unittest.mock.patch.object(api, "raftcs_client_open", lost_at_once):
                c.reopen()
            reader.join(5)
            with self.assertRaises(errors.SessionExpired):
                next(c.server_requests(0.05))

    def test_a_loss_is_still_told_after_close(self):
        with client() as c:
            self.lose(c)
        with self.assertRaises(errors.SessionExpired):
            next(c.server_requests(0.05))

    def test_settings_live_until_the_client_is_made(self):
        for _ in range(200):
            raftcs.Client(dict(CONFIG)).close()

    def test_many_threads_share_one_client(self):
        found, failed = [], []

        def work(c, number):
            try:
                for i in range(50):
                    text = f"{number}.{i}".encode()
                    found.append(c.submit("s", b"echo " + text).data == text)
            except BaseException as error:
                failed.append(error)

        with client() as c:
            threads = [threading.Thread(target=work, args=(c, n)) for n in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(failed, [])
        self.assertEqual(found, [True] * 400)

    def test_a_waiter_is_served_by_another_thread(self):
        with client() as c:
            held = c.start_submit("s", b"hold")
            waiter = threading.Thread(target=held.wait)
            waiter.start()
            time.sleep(0.05)
            self.assertTrue(waiter.is_alive())
            c.submit("s", b"release")
            waiter.join(5)
            self.assertFalse(waiter.is_alive())

    def test_cancel_and_close_end_operations(self):
        with client() as c:
            first, second = c.start_submit("s", b"never"), c.start_submit("s", b"never")
            first.cancel()
            with self.assertRaises(errors.Cancelled):
                first.result()
            c.close()
            with self.assertRaises(errors.Closed) as closed:
                second.result()
            self.assertEqual(closed.exception.outcome, raftcs.UNKNOWN)
            with self.assertRaises(errors.Closed):
                c.submit("s", b"echo")
            c.close()

    def test_an_interrupt_ends_a_wait_and_cancels(self):
        with client() as c:
            timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            begun = time.monotonic()
            with self.assertRaises(KeyboardInterrupt):
                c.submit("s", b"never")
            self.assertLess(time.monotonic() - begun, 2)
            self.assertEqual(c.info().outstanding, 0)
            self.assertEqual(c.submit("s", b"echo on").data, b"on")

    def test_server_requests(self):
        with client() as c:
            c.submit("s", b"push 200")
            seen = [request.id for request in c.server_requests(timeout=0.05)]
            self.assertEqual(seen, list(range(1, 201)))
            c.submit("s", b"push 1")
            c.submit("s", b"lose")
            requests = c.server_requests()
            self.assertEqual(next(requests).id, 201)
            with self.assertRaises(errors.SessionExpired):
                next(requests)

    def test_a_request_for_one_of_two_readers_does_not_end_the_other(self):
        with client() as c:
            let_two_meet(c._mail)
            readers = Readers(lambda: (request.id for request in c.server_requests()))
            c.start_submit("s", b"push 1")
            self.assertEqual(readers.after(1), [1])
            c.start_submit("s", b"push 1")
            self.assertEqual(readers.after(2), [1, 2])

    def test_an_event_for_one_of_two_readers_does_not_end_the_other(self):
        silent = types.SimpleNamespace(fetch=lambda ms: time.sleep(0.01), hand_on=lambda handler: 0)
        server = raftcs.Server.__new__(raftcs.Server)  # the stand-in has no nodes
        server._life, server._events = types.SimpleNamespace(closed=False), collections.deque()
        server._mail = _events.Mailbox(silent, None)
        let_two_meet(server._mail)
        readers = Readers(server.events)
        first, second = (_events.Event(*range(8), b"", text) for text in ("first", "second"))
        server._events.append(first)
        self.assertEqual(readers.after(1), [first])
        server._events.append(second)
        self.assertEqual(readers.after(2), [first, second])

    def test_states_may_be_taken_by_another_thread_meanwhile(self):
        class TakenByAnother(collections.deque):
            def __bool__(self):  # it looks before the other takes
                return True

        with client() as c:
            c._states = TakenByAnother()
            self.assertEqual(len(c.states()), 2)

    def test_two_threads_that_close_destroy_once(self):
        barrier, made, destroyed = threading.Barrier(2), ctypes.c_void_p, []
        queue = types.SimpleNamespace(destroy=lambda: None)
        life = _events.Life(made(1), queue, destroyed.append, destroyed.append)

        def meet():
            try:
                barrier.wait(0.3)
            except threading.BrokenBarrierError:
                pass
            return made()

        with unittest.mock.patch.object(_events, "c_void_p", meet):
            threads = [threading.Thread(target=life.end) for _ in range(2)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(len(destroyed), 1)

    def test_export_and_resume(self):
        with client() as c:
            token = c.export_session()
        self.assertEqual(len(token), 5000)
        raftcs.Client(CONFIG, session=token).wait_connected().close()
        with self.assertRaises(errors.Malformed):
            raftcs.Client(CONFIG, session=b"nonsense")

    def test_a_finaliser_only_closes_and_a_later_call_destroys(self):
        before = len(_events._living)
        lost = client()
        lost.start_submit("s", b"never")
        del lost
        gc.collect()
        self.assertEqual(len(_events._orphans), 1)
        client().close()
        self.assertEqual(_events._orphans, [])
        self.assertEqual(len(_events._living), before)

    def test_two_threads_may_sweep_at_once(self):
        class SweptByAnother(list):
            def __len__(self):  # it counts before the other sweeps
                return 1

        with unittest.mock.patch.object(_events, "_orphans", SweptByAnother()):
            _events.sweep()


class Arguments(unittest.TestCase):
    """What C would cut silently is refused."""

    def test_text_with_a_nul(self):
        with client() as c:
            for name, call in (
                    ("service", lambda: c.submit("s\0", b"echo")),
                    ("service", lambda: c.query("\0s", b"echo")),
                    ("verb", lambda: c.admin("sta\0tus")),
                    ("endpoint", lambda: c.admin("status", endpoint="tcp://x:1\0")),
                    ("name", lambda: raftcs.Config({"client.flag\0": 1})),
                    ("value of client.flag", lambda: raftcs.Config({"client.flag": ["a", "b\0"]})),
                    ("name", lambda: raftcs.Config(CONFIG).get("client.endpoints\0")),
                    ("path", lambda: raftcs.Config(file="/a\0b")),
                    ("feature", lambda: raftcs.has("client\0"))):
                with self.subTest(name), self.assertRaisesRegex(ValueError, f"^{name} .*NUL"):
                    call()
            self.assertEqual(c.admin("v", {"a": "\0"})["args"], {"a": "\0"})  # JSON escapes it

    def test_numbers_out_of_range(self):
        with client() as c:
            for number in (-1, 1 << 64, (1 << 64) + 5):
                with self.subTest(number), self.assertRaises(OverflowError):
                    c.ack(number)
            self.assertEqual(c.submit("s", b"acked").data, b"0")
            c.ack((1 << 64) - 1)
            self.assertEqual(int(c.submit("s", b"acked").data), (1 << 64) - 1)

    def test_timeouts(self):
        longest = 1 << 40
        for seconds, wanted in ((None, 0), (math.inf, -1), (0, 1), (-5, 1), (-math.inf, 1),
                                (1.5, 1500), (1e15, longest), (1e308, longest),
                                (10**400, longest), (-10**400, 1)):
            with self.subTest(seconds):
                self.assertEqual(_events.milliseconds(seconds), wanted)
        self.assertEqual(_ffi.CallOptions(timeout_ms=longest).timeout_ms, longest)

    def test_a_timeout_that_is_no_number(self):
        with client() as c:
            for call in (lambda: c.submit("s", b"echo", timeout=math.nan),
                         lambda: c.wait_connected(math.nan),
                         lambda: next(c.server_requests(math.nan), None)):
                with self.assertRaises(ValueError):
                    call()

    def test_a_payload_is_bytes(self):
        with client() as c:
            for payload in (5, [1, 2], "text", None):
                with self.subTest(payload), self.assertRaises(TypeError):
                    c.submit("s", payload)
            self.assertEqual(c.submit("s", memoryview(b"echo x")).data, b"x")


class Msgpack(unittest.TestCase):
    def test_values_come_back(self):
        values = [None, True, False, 0, 127, 128, -32, -33, 255, 256, 65535, 65536, 2**32,
                  2**64 - 1, -2**63, 1.5, "", "x" * 31, "x" * 32, "x" * 300, "x" * 70000, b"",
                  b"\0" * 300, [1, [2, b"3"]], list(range(20)), {"a": 1, "b": [None]},
                  {i: i for i in range(40)}]
        for value in values:
            self.assertEqual(msgpack.unpack(msgpack.pack(value)), value)

    def test_shortest_forms(self):
        for value, wanted in ((5, "05"), (-1, "ff"), (200, "ccc8"), (-200, "d1ff38"),
                              ("a", "a161"), (b"a", "c40161"), ([1], "9101"), ({}, "80")):
            self.assertEqual(msgpack.pack(value).hex(), wanted)

    def test_a_view_has_the_length_of_its_bytes(self):
        numbers = array.array("I", [1, 2])
        self.assertEqual(msgpack.unpack(msgpack.pack(memoryview(numbers))), numbers.tobytes())

    def test_damaged_input_is_a_value_error(self):
        for raw in ("", "c1", "cc", "a5616263", "92c0", "c40561", "0000", "9190" * 0 + "91" * 40,
                    "a1ff", "81900", "8190c0"):
            with self.assertRaises(ValueError):
                msgpack.unpack(bytes.fromhex(raw))
        with self.assertRaises(ValueError):
            msgpack.pack(2**64)
        with self.assertRaises(TypeError):
            msgpack.pack(object())


class KvCodec(unittest.TestCase):
    def reply(self, value=None, code=0):
        return raftcs.Reply(b"" if value is None else msgpack.pack(value), code, 0, 0)

    def test_payloads(self):
        self.assertEqual(kv.put("k", b"v").payload, b"\x93\xa3put\xc4\x01k\xc4\x01v")
        self.assertEqual(kv.cas("k", None, "v").payload, b"\x94\xa3cas\xc4\x01k\xc0\xc4\x01v")
        self.assertEqual(kv.range_of("a", None).payload, b"\x94\xa5range\xc4\x01a\xc0\xcd\x03\xe8")

    def test_answers(self):
        self.assertEqual(kv.put("k", "v").read(self.reply([7])), 7)
        self.assertEqual(kv.incr("k").read(self.reply([-3, 8])), -3)
        self.assertEqual(kv.get("k").read(self.reply([b"v", 8])), b"v")
        self.assertIsNone(kv.get("k").read(self.reply(code=kv.NOT_FOUND)))
        self.assertFalse(kv.cas("k", "a", "b").read(self.reply([b"c", 8], kv.COMPARE_FAILED)))
        rows = kv.range_of("a", "b").read(self.reply([True, [[b"a", b"1", 5]]]))
        self.assertEqual(rows, kv.Range([(b"a", b"1")], True))
        with self.assertRaises(kv.KvError):
            kv.incr("k").read(self.reply(code=kv.NOT_A_NUMBER))

    def test_changes(self):
        for event, wanted in ((["put", b"k", b"v", 9], kv.Change("put", b"k", b"v", 9)),
                              (["del", b"k", None, 9], kv.Change("del", b"k", None, 9)),
                              (["lost", b"k", False, 0], kv.Change("lost", b"k", None, 0)),
                              (["lost", b"k", True, 0],
                               kv.Change("lost", b"k", None, 0, prefix=True))):
            request = raftcs.ServerRequest(1, msgpack.pack(event))
            self.assertEqual(kv.read_change(request), wanted)


if __name__ == "__main__":
    unittest.main()
