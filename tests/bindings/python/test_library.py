"""The Python binding on the real library, without any server."""
import asyncio
import gc
import math
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import types
import unittest
import unittest.mock

import raftcs
from cluster import free_ports
from raftcs import _ffi, errors
from raftcs._library import api


def nowhere():
    """Settings of a cluster that does not answer."""
    return {"client.endpoints": f"tcp://127.0.0.1:{free_ports(1)[0]}"}


def use_inherited(client, out):
    try:
        client.submit("kv", b"x")
    except raftcs.RaftcsError as error:
        out.put(error.status)


def replace_inherited(owner):
    """The inherited client goes to its finaliser and is ended when the new one is."""
    owner.client = raftcs.Client(nowhere())
    gc.collect()
    try:
        owner.client.submit("kv", b"x", timeout=0.2)
    except errors.TimedOut:
        owner.client.close()


class Library(unittest.TestCase):
    def test_version_and_features(self):
        self.assertRegex(raftcs.library_version(), r"^\d+\.\d+")
        self.assertTrue(raftcs.has("client"))
        self.assertFalse(raftcs.has("teleport"))

    def test_the_status_table_is_the_header_s(self):
        declared = {value for name, value in vars(_ffi).items()
                    if name.startswith("ERR_") and isinstance(value, int)}
        self.assertEqual(declared, set(errors.BY_STATUS))
        for status, made in errors.BY_STATUS.items():
            self.assertTrue(issubclass(made, errors.family(status)))
            self.assertTrue(made.__doc__)

    def test_every_declared_function_is_there(self):
        missing = [name for name in _ffi.FUNCTIONS if getattr(api, name) is None]
        self.assertEqual(missing, [])

    def test_errors_of_settings(self):
        with self.assertRaisesRegex(errors.UnknownOption, "client.endpoints"):
            raftcs.Config({"client.endpoint": "tcp://127.0.0.1:1"})
        with self.assertRaises(errors.InvalidArgument):
            raftcs.Config({"client.request.timeout_ms": "soon"})
        with self.assertRaises(raftcs.RaftcsError):
            raftcs.Client({})
        with self.assertRaises(raftcs.RaftcsError):
            raftcs.Config(file="/does/not/exist.toml")

    def test_settings_are_listed_and_have_their_defaults(self):
        rows = {row.name: row for row in raftcs.settings()}
        row = rows["client.request.timeout_ms"]
        self.assertEqual((row.type, row.unit), ("duration_ms", "ms"))
        self.assertEqual(raftcs.Config().get(row.name), row.default)


class WithoutServer(unittest.TestCase):
    def test_a_deadline_passes_and_nothing_was_applied(self):
        with raftcs.Client(nowhere()) as client:
            begun = time.monotonic()
            with self.assertRaises(errors.TimedOut) as caught:
                client.submit("kv", b"x", timeout=0.3)
            self.assertEqual(caught.exception.outcome, raftcs.NOT_APPLIED)
            self.assertNotIsInstance(caught.exception, raftcs.OutcomeUnknown)
            self.assertLess(time.monotonic() - begun, 5)

    def test_cancel_of_what_never_left(self):
        with raftcs.Client(nowhere()) as client:
            pending = client.start_submit("kv", b"x")
            pending.cancel()
            with self.assertRaises(errors.Cancelled) as caught:
                pending.result()
            self.assertEqual(caught.exception.outcome, raftcs.NOT_APPLIED)

    def test_close_ends_what_is_outstanding(self):
        client = raftcs.Client(nowhere())
        pending = client.start_submit("kv", b"x", timeout=float("inf"))
        client.close()
        with self.assertRaises(errors.Closed):
            pending.result()
        with self.assertRaises(errors.Closed):
            client.submit("kv", b"x")

    def test_what_a_close_refuses_did_not_happen(self):
        client = raftcs.Client(nowhere())
        api.raftcs_client_close(client._handle(), 1)  # as another thread does meanwhile
        for call in (lambda: client.submit("kv", b"x"), lambda: client.ack(1), client.reopen,
                     client.wait_connected):
            with self.assertRaises(errors.Closed) as caught:
                call()
            self.assertEqual(caught.exception.outcome, raftcs.NOT_APPLIED)
        client.close()

    def test_wait_connected_times_out(self):
        with raftcs.Client(nowhere()) as client:
            with self.assertRaises(raftcs.RaftcsError):
                client.wait_connected(0.2)

    def test_wait_connected_waits_as_long_as_it_is_told(self):
        with raftcs.Client(nowhere()) as client:
            for timeout, least in ((0.35, 0.35), (0, 0), (-0.001, 0), (-1, 0), (-math.inf, 0)):
                begun = time.monotonic()
                with self.subTest(timeout):
                    with self.assertRaises((errors.TimedOut, errors.Unreachable)):
                        client.wait_connected(timeout)
                    self.assertGreaterEqual(time.monotonic() - begun, least)
                    self.assertLess(time.monotonic() - begun, least + 1)

    def test_an_interrupt_ends_wait_connected(self):
        with raftcs.Client(nowhere()) as client:
            for timeout in (5, math.inf):
                timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
                timer.start()
                begun = time.monotonic()
                with self.subTest(timeout), self.assertRaises(KeyboardInterrupt):
                    client.wait_connected(timeout)
                self.assertLess(time.monotonic() - begun, 2)
                timer.join()

    def test_wait_connected_goes_on_after_what_one_server_says(self):
        answers = [_ffi.ERR_NO_LEADER, _ffi.ERR_WRONG_CLUSTER, _ffi.OK]
        with raftcs.Client(nowhere()) as client, unittest.mock.patch.object(
                api, "raftcs_client_wait_connected", lambda handle, ms: answers.pop(0)):
            client.wait_connected()
        self.assertEqual(answers, [])

    def test_a_bad_token_is_refused(self):
        with self.assertRaises(errors.Malformed):
            raftcs.Client(nowhere(), session=b"nonsense")

    def test_a_forked_child_may_not_use_a_handle(self):
        with raftcs.Client(nowhere()) as client:
            context = multiprocessing.get_context("fork")
            out = context.Queue()
            child = context.Process(target=use_inherited, args=(client, out))
            child.start()
            self.assertEqual(out.get(timeout=10), _ffi.ERR_FORKED)
            child.join(10)

    def test_a_forked_child_may_replace_its_client(self):
        owner = types.SimpleNamespace(client=raftcs.Client(nowhere()))
        child = multiprocessing.get_context("fork").Process(target=replace_inherited, args=(owner,))
        child.start()
        child.join(20)
        self.assertEqual(child.exitcode, 0)
        with owner.client, self.assertRaises(errors.TimedOut):
            owner.client.submit("kv", b"x", timeout=0.1)

    def test_a_verb_with_a_nul_is_refused_by_a_server(self):
        server = raftcs.Server({"server.id": 1, "server.data": "/nowhere"})
        with self.assertRaisesRegex(ValueError, "^verb .*NUL"):
            server.admin("status\0")
        server.stop()

    def test_a_process_may_end_with_objects_alive(self):
        code = ("import raftcs\n"
                f"c = raftcs.Client({nowhere()!r})\n"
                "p = c.start_submit('kv', b'x')\n")
        run = subprocess.run([sys.executable, "-c", code], timeout=30, capture_output=True,
                             env=os.environ)
        self.assertEqual((run.returncode, run.stdout, run.stderr), (0, b"", b""))


class AsyncWithoutServer(unittest.IsolatedAsyncioTestCase):
    async def test_deadlines_and_close(self):
        async with raftcs.AsyncClient(nowhere()) as client:
            results = await asyncio.gather(
                *(client.submit("kv", b"x", timeout=0.2) for _ in range(100)),
                return_exceptions=True)
            for result in results:
                self.assertIsInstance(result, errors.TimedOut)
                self.assertEqual(result.outcome, raftcs.NOT_APPLIED)

    async def test_cancelling_leaves_nothing_outstanding(self):
        async with raftcs.AsyncClient(nowhere()) as client:
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(client.submit("kv", b"x"), 0.1)
            self.assertEqual(client.info().outstanding, 0)

    async def test_the_loop_stays_awake(self):
        async with raftcs.AsyncClient(nowhere()) as client:
            task = asyncio.ensure_future(client.submit("kv", b"x", timeout=0.5))
            ticks = 0
            while not task.done():
                await asyncio.sleep(0.01)
                ticks += 1
            self.assertGreater(ticks, 10)
            self.assertIsInstance(task.exception(), errors.TimedOut)


if __name__ == "__main__":
    unittest.main()
