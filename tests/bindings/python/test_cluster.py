"""The Python binding on real clusters of one and three raftcs-server processes."""
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import raftcs
from cluster import Cluster, free_ports, wait_for
from raftcs import errors, kv, msgpack, queue

RESUMER = """
import json, sys
import raftcs
from raftcs import kv
token = bytes.fromhex(sys.argv[2])
with raftcs.Client({"client.endpoints": sys.argv[1]}, session=token) as client:
    service = kv.Kv(client)
    print(json.dumps([service.incr("resumed") for _ in range(3)]))
"""


def config(cluster):
    return {"client.endpoints": cluster.endpoints}


class OneCluster:
    """One node for all tests of a class."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(1).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__()


class OneNode(OneCluster, unittest.TestCase):
    def test_commands_and_queries(self):
        with raftcs.Client(config(self.cluster)) as client:
            service = kv.Kv(client.wait_connected())
            service.put("a", b"1\0")
            self.assertEqual(service.get("a"), b"1\0")
            self.assertIsNone(service.get("absent"))
            self.assertTrue(service.cas("a", b"1\0", "2"))
            self.assertFalse(service.cas("a", "1", "3"))
            self.assertTrue(service.cas("fresh", None, "x"))
            self.assertEqual([service.incr("n"), service.incr("n", 41)], [1, 42])
            service.append("a", "b")
            self.assertEqual(service.get("a", stale=True), b"2b")
            self.assertEqual(service.range("a", "b").entries, [(b"a", b"2b")])
            self.assertTrue(service.delete("a"))
            self.assertFalse(service.delete("a"))

    def test_errors(self):
        with raftcs.Client(config(self.cluster)) as client:
            service = kv.Kv(client)
            service.put("word", "letters")
            with self.assertRaises(kv.KvError) as refused:
                service.incr("word")
            self.assertEqual(refused.exception.code, kv.NOT_A_NUMBER)
            self.assertEqual(client.submit("kv", b"\xc1").app_code, kv.MALFORMED)
            with self.assertRaises(errors.NotFound):
                client.submit("no-such-service", b"x")

    def test_admin(self):
        with raftcs.Client(config(self.cluster), open=False) as client:
            status = client.admin("status", endpoint=self.cluster.endpoints)
            self.assertEqual((status["id"], status["leader"]), (1, 1))
            with self.assertRaises(raftcs.RaftcsError):
                client.admin("no-such-verb")

    def test_watch_comes_as_server_requests(self):
        with raftcs.Client(config(self.cluster)) as watcher, \
                raftcs.Client(config(self.cluster)) as writer:
            kv.Kv(watcher).watch("seen")
            for i in range(20):
                kv.Kv(writer).put("seen", str(i))
            changes = []
            for request in watcher.server_requests(timeout=10):
                changes.append(kv.read_change(request))
                if len(changes) == 20:
                    break
            self.assertEqual([change.value for change in changes],
                             [str(i).encode() for i in range(20)])
            self.assertEqual({change.key for change in changes}, {b"seen"})

    def test_a_second_process_resumes_the_session(self):
        client = raftcs.Client(config(self.cluster)).wait_connected()
        self.assertEqual(kv.Kv(client).incr("resumed"), 1)
        token = client.export_session()
        client.close(keep_session=True)
        run = subprocess.run([sys.executable, "-c", RESUMER, self.cluster.endpoints, token.hex()],
                             capture_output=True, text=True, timeout=60)
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(json.loads(run.stdout), [2, 3, 4])


class Workers(OneCluster, unittest.TestCase):
    def test_a_slow_job_costs_its_neighbours_no_attempt(self):
        for capacity in (1, 2):
            name = f"slow{capacity}"
            worker = queue.worker(config(self.cluster), name, capacity)
            with worker.client:
                worker.create(name, visibility_ms=2500, attempts_max=2)
                for payload in ("slow", "quick"):
                    worker.put(name, payload)
                run = []

                def handle(job):
                    held = [row["attempts"] for row in worker.jobs(name, "assigned")
                            if row["job"] == job.id]
                    run.append((job.payload, job.attempt, held))
                    if job.payload == b"slow":
                        time.sleep(5.5)

                self.assertEqual(worker.work(handle, idle=3), 2)
                self.assertEqual(run, [(b"slow", 1, [1]), (b"quick", 1, [1])])
                stats = worker.stats(name)
                self.assertEqual((stats["done"], stats["timed_out"], stats["dead"]), (2, 0, 0))

    def test_a_job_that_was_taken_away_while_it_waited_is_not_run(self):
        worker = queue.worker(config(self.cluster), "taken", 2)
        with worker.client, raftcs.Client(config(self.cluster)) as client:
            other = queue.Queue(client)
            other.create("taken", attempts_max=1)
            jobs = [other.put("taken", payload) for payload in ("first", "second", "third")]
            run = []

            def handle(job):
                run.append(job.payload)
                if job.payload == b"first":  # an operator ends the one that waits here
                    client.submit("queue", msgpack.pack(["done", jobs[1], None]))

            self.assertEqual(worker.work(handle, idle=3), 2)
            self.assertEqual(run, [b"first", b"third"])


class OneNodeAsync(OneCluster, unittest.IsolatedAsyncioTestCase):
    async def test_thousand_commands_at_once(self):
        async with raftcs.AsyncClient(config(self.cluster)) as client:
            await client.wait_connected()
            service = kv.AsyncKv(client)
            values = await asyncio.gather(*(service.incr("n") for _ in range(1000)))
            self.assertEqual(sorted(values), list(range(1, 1001)))
            self.assertEqual(await service.get("n"), b"1000")

    async def test_commands_and_watch(self):
        async with raftcs.AsyncClient(config(self.cluster)) as client:
            service = kv.AsyncKv(client)
            await service.watch("w", prefix=True)
            await service.put("w1", "x")
            self.assertTrue(await service.cas("w1", "x", "y"))
            requests = client.server_requests()
            seen = [kv.read_change(await asyncio.wait_for(requests.__anext__(), 10)).value
                    for _ in range(2)]
            self.assertEqual(seen, [b"x", b"y"])


    async def test_a_client_whose_session_was_taken_opens_a_new_one(self):
        async with raftcs.AsyncClient(config(self.cluster)) as client:
            await client.wait_connected()
            for is_told in (True, False):  # the loss, before reopen
                lost = client.info().sessions_lost
                with raftcs.Client(config(self.cluster), session=client.export_session()) as thief:
                    thief.wait_connected()
                    while client.info().sessions_lost == lost:  # its events stay in the queue
                        time.sleep(0.01)
                    if is_told:
                        with self.assertRaises(errors.SessionTaken):
                            await asyncio.wait_for(client.server_requests().__anext__(), 10)
                    client.reopen()
                    await client.wait_connected()
                    self.assertEqual(client.info().state, raftcs.CONNECTED)
                await asyncio.wait_for(client.submit("kv", kv.incr("x").payload), 10)

    async def test_wait_connected_does_not_believe_an_event_of_the_session_before(self):
        async with raftcs.AsyncClient(config(self.cluster)) as client:
            calls = [client.start_submit("kv", kv.incr("y").payload) for _ in range(100)]
            while client.info().completed < len(calls):  # nobody takes events meanwhile, so the
                time.sleep(0.01)  # loss comes with a later batch than CONNECTED
            with raftcs.Client(config(self.cluster), session=client.export_session()) as thief:
                thief.wait_connected()
                while client.info().sessions_lost == 0:
                    time.sleep(0.01)
                os.kill(self.cluster.pids[1], signal.SIGSTOP)
                try:
                    client.reopen()
                    with self.assertRaises(raftcs.RaftcsError):
                        await client.wait_connected(0.3)
                finally:
                    os.kill(self.cluster.pids[1], signal.SIGCONT)
                await client.wait_connected()
            await asyncio.gather(*calls)


class ThreeNodes(unittest.IsolatedAsyncioTestCase):
    def leader(self, client, cluster):
        for node in cluster.nodes:
            if node.process is None:
                continue
            try:
                status = client.admin("status", endpoint=node.endpoint, timeout=1)
            except raftcs.RaftcsError:
                continue
            if status["leader"]:
                return status["leader"]
        return 0

    async def test_increments_count_once_while_the_leader_is_killed(self):
        with Cluster(3) as cluster:
            with raftcs.Client(config(cluster), open=False) as admin:
                leader = wait_for(lambda: self.leader(admin, cluster))
            async with raftcs.AsyncClient(config(cluster)) as client:
                await client.wait_connected()
                service = kv.AsyncKv(client)

                async def work(count):
                    return [await service.incr("n", timeout=60) for _ in range(count)]

                tasks = [asyncio.ensure_future(work(100)) for _ in range(10)]
                while int(await service.get("n", timeout=60) or 0) < 200:
                    await asyncio.sleep(0.005)
                cluster.kill(leader)
                seen = [value for part in await asyncio.gather(*tasks) for value in part]
                self.assertEqual(sorted(seen), list(range(1, 1001)))
                self.assertEqual(await service.get("n", timeout=60), b"1000")

    def test_blocking_client_goes_on_with_a_new_leader(self):
        with Cluster(3) as cluster, raftcs.Client(config(cluster)) as client:
            service = kv.Kv(client)
            self.assertEqual(service.incr("n", timeout=60), 1)
            killed = wait_for(lambda: self.leader(client, cluster))
            cluster.kill(killed)
            self.assertEqual(service.incr("n", timeout=60), 2)
            cluster.start(killed)
            self.assertEqual(service.incr("n", timeout=60), 3)


class Embedded(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="raftcs-embedded-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        ports = free_ports(2)
        self.config = {"server.id": 1, "server.data": os.path.join(self.folder, "node"),
                       "server.client_listen": f"tcp://127.0.0.1:{ports[0]}",
                       "server.peer_listen": f"tcp://127.0.0.1:{ports[1]}",
                       "server.plugins": os.environ["RAFTCS_PLUGINS_DIR"]}

    def test_a_node_in_this_process_keeps_its_data(self):
        with raftcs.Server(self.config) as server:
            self.assertEqual(server.wait_leader(), 1)
            with raftcs.Client({"client.endpoints": server.info().client_address}) as client:
                self.assertEqual(kv.Kv(client).incr("kept"), 1)
            self.assertEqual(server.admin("status")["id"], 1)
        with raftcs.Server(self.config) as server:
            with raftcs.Client({"client.endpoints": server.info().client_address}) as client:
                self.assertEqual(kv.Kv(client).incr("kept"), 2)

    def test_errors_of_start(self):
        with self.assertRaises(raftcs.RaftcsError):
            raftcs.Server({**self.config, "server.client_listen": "nonsense"}).start()
        server = raftcs.Server(self.config)
        server.stop()
        with self.assertRaises(errors.Closed):
            server.start()


if __name__ == "__main__":
    unittest.main()
