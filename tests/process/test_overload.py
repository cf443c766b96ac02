#!/usr/bin/env python3
"""More than the cluster takes: told so, not lost; a modest session gets through."""
import json
import unittest

import support


class Overload(unittest.TestCase):
    def test_a_modest_session_completes_beside_a_flood(self):
        # A budget of 64 KiB is some two hundred commands: a fraction of what the floods have open.
        settings = ('limits.inflight_bytes=65536', 'session.timeout_min_ms=1000')
        with support.Cluster(3, settings) as cluster:
            cluster.leader()
            floods = [cluster.start_cli('-o', 'json', 'kv', 'count', f'flood-{i}', '--times', 12000,
                                        '--window', 1000) for i in range(3)]
            for i in range(100):
                done = cluster.cli('kv', 'incr', 'modest', timeout_ms=20000)
                self.assertEqual(done.returncode, 0, done.stderr)
                if all(f.poll() is not None for f in floods):
                    break
            self.assertGreaterEqual(i, 3, 'the floods ended too early to prove anything')
            for n, flood in enumerate(floods):
                out, err = flood.communicate(timeout=150)
                self.assertEqual(flood.returncode, 0, err)
                result = json.loads(out)
                self.assertEqual((result['done'], result['unknown']), (12000, 0), result)
                self.assertEqual(cluster.cli('kv', 'get', f'flood-{n}').stdout, '12000\n')
            self.assertEqual(cluster.cli('kv', 'get', 'modest').stdout, f'{i + 1}\n')
            nodes = cluster.converged()['nodes']
            refused = sum(sum(n['counters']['refused']['commands'].values()) for n in nodes)
            self.assertGreater(refused, 100, 'nothing was refused: this was no overload')
            self.assertEqual([n['counters']['sessions_expired'] for n in nodes], [0, 0, 0])

    def test_each_limit_has_its_answer(self):
        settings = ('limits.sessions=1', 'limits.payload_bytes=1000')
        with support.Cluster(1, settings) as cluster:
            big = cluster.cli('kv', 'put', 'k', 'v' * 2000)
            self.assertEqual(big.returncode, 1, big.stderr)
            self.assertIn('limit', big.stderr)
            holder = cluster.start_cli('kv', 'watch', 'w', '--for', 60)
            self.assertIn('watching', holder.stderr.readline())
            put = cluster.cli('kv', 'put', 'k', 'v', timeout_ms=1500)
            self.assertEqual(put.returncode, 4, put.stderr)
            counters = json.loads(cluster.cli('-o', 'json', 'status').stdout)['counters']
            self.assertGreater(counters['refused']['sessions_limit'], 0, counters)
            holder.terminate()
            holder.communicate(timeout=30)


if __name__ == '__main__':
    unittest.main(verbosity=2)
