#!/usr/bin/env python3
"""Work dispatch on real servers: workers and leaders die, every job is done once."""
import json
import os
import sys
import time
import unittest

import support

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'bindings',
                                'python'))


class QueueCluster(support.Cluster):
    def __init__(self, count=3, settings=()):
        super().__init__(count, settings)
        support.plugins_only(self.plugins, ('kv.so', 'queue.so'))

    def queue(self, *arguments):
        result = self.cli('-o', 'json', 'queue', *arguments)
        if result.returncode != 0:
            raise AssertionError(f'queue {arguments}: {result.stdout} {result.stderr}')
        return json.loads(result.stdout)

    def stats(self, name):
        return self.queue('stats', name)

    def wait_stats(self, name, good, seconds=60):
        deadline = time.monotonic() + seconds
        while True:
            stats = self.stats(name)
            if good(stats):
                return stats
            if time.monotonic() > deadline:
                raise AssertionError(f'after {seconds} s: {stats}')
            time.sleep(0.2)

    def worker(self, names, *arguments):
        process = self.start_cli('queue', 'work', names, *arguments)
        line = process.stderr.readline()
        if line != 'working\n':
            raise AssertionError('no worker: ' + line + process.stderr.read())
        return process


def lines_of(process):
    out, _ = process.communicate(timeout=60)
    return [json.loads(line) for line in out.splitlines()]


class WorkDispatch(unittest.TestCase):
    def test_a_killed_worker_and_a_killed_leader_lose_nothing(self):
        with QueueCluster(3) as cluster:
            cluster.leader()
            # Only the session's loss can bring a job back in time: visibility is long.
            cluster.queue('create', 'mail', '--visibility', 120000, '--grace', 500)
            stuck = cluster.worker('mail', '--exec', 'exec sleep 20')
            jobs = [cluster.queue('put', 'mail', f'job {i}')['job'] for i in range(30)]
            cluster.wait_stats('mail', lambda s: s['assigned'] == 1)
            workers = [cluster.worker('mail', '--exec', 'cat >/dev/null; sleep 0.1')
                       for _ in range(2)]
            time.sleep(0.5)
            self.assertIsNone(stuck.poll(), 'the stuck worker has ended too early')
            killed_at = time.monotonic()
            stuck.kill()
            dead = cluster.leader()
            cluster.servers[dead].kill()
            stats = cluster.wait_stats('mail', lambda s: s['done'] == len(jobs))
            seconds = time.monotonic() - killed_at
            self.assertGreaterEqual(stats['moved'], 1, stats)
            self.assertEqual((stats['waiting'], stats['assigned'], stats['dead']), (0, 0, 0), stats)
            self.assertEqual(stats['timed_out'], 0, stats)
            self.assertLess(seconds, 60)
            for worker in workers:
                worker.terminate()
            done = [line['job'] for worker in workers for line in lines_of(worker)
                    if line['result'] == 'done']
            stuck.wait()
            stuck.stdout.close()
            stuck.stderr.close()
            self.assertEqual(sorted(done), sorted(jobs), 'each job is done by one of the others')
            cluster.servers[dead].start()
            cluster.converged()

    def test_failing_commands_end_as_dead_letters(self):
        with QueueCluster(1) as cluster:
            cluster.leader()
            cluster.queue('create', 'q', '--attempts', 2)
            job = cluster.queue('put', 'q', 'poison')['job']
            worker = cluster.worker('*', '--exec', 'exit 3', '--retry', 50, '--count', 2)
            lines = lines_of(worker)
            self.assertEqual([(x['attempt'], x['result'], x['exit_code']) for x in lines],
                             [(1, 'failed', 3), (2, 'failed', 3)])
            dead = cluster.queue('dead', 'q')
            self.assertEqual([(x['job'], x['reason'], x['payload']) for x in dead],
                             [(job, 'exit code 3', 'poison')])
            self.assertEqual(cluster.queue('requeue', 'q')['requeued'], 1)
            lines = lines_of(cluster.worker('q', '--count', 1))
            self.assertEqual([(x['job'], x['result']) for x in lines], [(job, 'done')])
            self.assertEqual(cluster.queue('list')[0]['done'], 1)
            self.assertEqual(cluster.queue('workers'), [])
            refused = cluster.cli('queue', 'put', 'none', 'x')
            self.assertEqual(refused.returncode, 1)
            self.assertIn('no such queue', refused.stderr)

    def test_time_alone_gives_a_job_to_another_worker_after_a_leader_change(self):
        with QueueCluster(3) as cluster:
            cluster.leader()
            cluster.queue('create', 'q', '--visibility', 3000, '--grace', 60000)
            # A worker that holds its job and never answers: it was given to a client of the binding.
            import raftcs
            from raftcs import queue
            endpoints = ','.join('tcp://' + e for e in cluster.endpoints.split(','))
            with queue.worker({'client.endpoints': endpoints}, 'q').client as mute:
                service = queue.Queue(mute)
                job = service.put('q', b'slow')
                first = queue.read_job(next(mute.server_requests(20)))
                self.assertEqual((first.id, first.attempt), (job, 1))
                other = cluster.worker('q', '--count', 1)
                cluster.servers[cluster.leader()].kill()
                lines = lines_of(other)
                self.assertEqual([(x['job'], x['attempt']) for x in lines], [(job, 2)])
                with self.assertRaises(queue.NotHeld):
                    service.done(first)
                self.assertEqual(service.stats('q')['timed_out'], 1)
                self.assertIsInstance(raftcs.library_version(), str)

    def test_python_worker(self):
        with QueueCluster(1) as cluster:
            cluster.leader()
            from raftcs import queue
            settings = {'client.endpoints': 'tcp://' + cluster.endpoints}
            worker = queue.worker(settings, ['a', 'b'], capacity=2)
            with worker.client:
                for name in ('a', 'b'):
                    worker.create(name, attempts_max=2)
                for i in range(4):
                    worker.put('ab'[i % 2], f'{i}')
                seen = []

                def handle(job):
                    seen.append((job.queue, job.payload))
                    if job.payload == b'3' and job.attempt == 1:
                        raise ValueError('once')

                self.assertEqual(worker.work(handle, idle=1.5, retry_ms=10), 5)
                self.assertEqual(sorted(seen), [('a', b'0'), ('a', b'2'), ('b', b'1'), ('b', b'3'),
                                                ('b', b'3')])
                self.assertEqual(worker.stats('b')['failed'], 1)
                self.assertEqual([q['done'] for q in worker.queues()], [2, 2])
                self.assertEqual(worker.workers()[0]['queues'], ['a', 'b'])


class OldTokens(unittest.TestCase):
    def test_what_another_holder_acknowledged_is_said(self):
        """A token from before some requests were acknowledged: the gap is an event, not silence."""
        import raftcs
        from raftcs import _ffi, kv
        with support.Cluster(1) as cluster:
            cluster.leader()
            settings = {'client.endpoints': 'tcp://' + cluster.endpoints}
            with raftcs.Client(settings) as writer:
                first = raftcs.Client(settings)
                kv.Kv(first.wait_connected()).watch('k')
                token = first.export_session()
                for i in range(3):
                    kv.Kv(writer).put('k', f'{i}')
                requests = first.server_requests(20)
                self.assertEqual([next(requests).id for _ in range(3)], [1, 2, 3])
                deadline = time.monotonic() + 20
                while 3 not in [s['acked_push'] for s in writer.admin('sessions')]:
                    self.assertLess(time.monotonic(), deadline, 'never acknowledged')
                    time.sleep(0.02)
                first.close(keep_session=True)
                with raftcs.Client(settings, session=token) as second:
                    second.wait_connected()
                    kv.Kv(writer).put('k', 'next')
                    request = next(second.server_requests(20))
                    self.assertEqual(request.id, 4)
                    gone = [s for s in second.states() if s.kind == _ffi.EVENT_REQUESTS_GONE]
                    self.assertEqual([json.loads(s.data) for s in gone],
                                     [{'first': 1, 'last': 3}])
                counters = json.loads(cluster.cli('-o', 'json', 'status').stdout)
                self.assertIn('push_resets', json.dumps(counters))


if __name__ == '__main__':
    unittest.main(verbosity=2)
