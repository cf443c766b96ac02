#!/usr/bin/env python3
"""The leader dies under load: nothing is lost, nothing happens twice."""
import json
import time
import unittest

import support


class Failover(unittest.TestCase):
    def count_while_killing(self, cluster, counters, times, kills):
        """Runs `counters` sessions that add 1, killing the leader `kills` times meanwhile."""
        running = [cluster.start_cli('-o', 'json', 'kv', 'count', f'counter-{i}', '--times', times,
                                     '--rate', 300, '--window', 32) for i in range(counters)]
        dead = None
        for _ in range(kills):
            time.sleep(1.5)
            if dead is not None:
                cluster.servers[dead].start()
                time.sleep(1)
            dead = cluster.leader()
            self.assertTrue(all(p.poll() is None for p in running), 'the load ended too early')
            cluster.servers[dead].kill()
        results = []
        for process in running:
            out, err = process.communicate(timeout=150)
            self.assertIn(process.returncode, (0, 3), err)
            results.append(json.loads(out))
        cluster.servers[dead].start()
        return results

    def check_counters(self, cluster, results):
        for i, result in enumerate(results):
            got = cluster.cli('kv', 'get', f'counter-{i}')
            self.assertEqual(got.returncode, 0, got.stderr)
            value = int(got.stdout)
            self.assertGreaterEqual(value, result['done'], f'counter-{i}: {result}')
            self.assertLessEqual(value, result['done'] + result['unknown'],
                                 f'counter-{i}: {result}')

    def test_counters_are_exact_when_leaders_are_killed(self):
        with support.Cluster(3) as cluster:
            cluster.leader()
            results = self.count_while_killing(cluster, counters=4, times=2400, kills=2)
            self.check_counters(cluster, results)
            # Deadlines are far away, so the library finds every answer.
            self.assertEqual([r['unknown'] for r in results], [0] * 4, results)
            self.assertEqual([r['done'] for r in results], [2400] * 4, results)
            status = cluster.converged()
            self.assertEqual(len(status['nodes']), 3)

    def test_short_deadlines_leave_only_honest_doubt(self):
        with support.Cluster(3) as cluster:
            cluster.leader()
            process = support.subprocess.Popen(
                [support.CLI, '-e', cluster.endpoints, '-o', 'json', '--timeout', '300', 'kv',
                 'count', 'counter-0', '--times', '1500', '--rate', '500', '--window', '64'],
                stdout=support.subprocess.PIPE, stderr=support.subprocess.PIPE, text=True)
            time.sleep(1.2)
            cluster.servers[cluster.leader()].kill()
            out, err = process.communicate(timeout=150)
            self.assertIn(process.returncode, (0, 1, 3, 4), err)
            time.sleep(1)  # an unknown command may still be on its way
            self.check_counters(cluster, [json.loads(out)])

    def test_without_a_majority_nothing_is_claimed(self):
        with support.Cluster(3) as cluster:
            leader = cluster.leader()
            put = cluster.cli('kv', 'put', 'before', '1')
            self.assertEqual(put.returncode, 0, put.stderr)
            for i in cluster.servers:
                if i != leader:
                    cluster.servers[i].kill()
            time.sleep(2)
            put = cluster.cli('kv', 'put', 'during', '1', timeout_ms=2000)
            self.assertIn(put.returncode, (3, 4), put.stderr)
            get = cluster.cli('kv', 'get', 'before', timeout_ms=2000)
            self.assertEqual((get.returncode, get.stdout), (4, ''), get.stderr)
            # What the one that is left has applied can be read all the same, if asked for.
            get = cluster.cli('kv', 'get', '--stale', 'before', timeout_ms=20000)
            self.assertEqual((get.returncode, get.stdout), (0, '1\n'), get.stderr)
            for i in cluster.servers:
                if i != leader:
                    cluster.servers[i].start()
            get = cluster.cli('kv', 'get', 'before')
            self.assertEqual((get.returncode, get.stdout), (0, '1\n'), get.stderr)


if __name__ == '__main__':
    unittest.main(verbosity=2)
