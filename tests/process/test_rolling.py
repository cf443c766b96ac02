#!/usr/bin/env python3
"""Servers are drained and restarted one after another under load: no operation fails."""
import json
import time
import unittest

import support


class Rolling(unittest.TestCase):
    def start_load(self, cluster, counters, times):
        return [cluster.start_cli('-o', 'json', 'kv', 'count', f'counter-{i}', '--times', times,
                                  '--rate', 400, '--window', 16) for i in range(counters)]

    def check_load(self, cluster, running, times):
        for i, process in enumerate(running):
            out, err = process.communicate(timeout=150)
            self.assertEqual(process.returncode, 0, f'{out} {err}')
            result = json.loads(out)
            self.assertEqual((result['done'], result['unknown']), (times, 0), result)
            self.assertEqual(cluster.cli('kv', 'get', f'counter-{i}').stdout, f'{times}\n')
        nodes = cluster.converged()['nodes']
        self.assertEqual(len(nodes), 3)
        self.assertEqual([n['counters']['sessions_expired'] for n in nodes], [0, 0, 0])

    def test_a_rolling_restart_fails_no_operation(self):
        with support.Cluster(3) as cluster:
            cluster.leader()
            running = self.start_load(cluster, counters=3, times=4000)
            leaders = 0
            for i, server in cluster.servers.items():
                time.sleep(0.5)
                leaders += cluster.leader() == i
                self.assertTrue(all(p.poll() is None for p in running), 'the load ended too early')
                self.assertEqual(server.stop(), 0, server.text())
                server.start()
                time.sleep(1)
            last = cluster.leader()  # so that a leader is among those stopped, whatever happened
            self.assertEqual(cluster.servers[last].stop(), 0)
            self.assertTrue(all(p.poll() is None for p in running), 'the load ended too early')
            self.assertNotEqual(cluster.leader(), last)
            cluster.servers[last].start()
            self.check_load(cluster, running, 4000)

    def test_drained_nodes_do_not_lead(self):
        with support.Cluster(3) as cluster:
            first = cluster.leader()
            running = self.start_load(cluster, counters=2, times=2000)
            time.sleep(0.5)
            endpoint = f'127.0.0.1:{cluster.client_ports[first]}'
            drained = support.cli('-e', endpoint, 'drain')
            self.assertEqual(drained.returncode, 0, drained.stderr)
            self.assertNotEqual(cluster.leader(), first)
            status = json.loads(support.cli('-e', endpoint, '-o', 'json', 'status').stdout)
            self.assertTrue(next(n for n in status['nodes'] if n['id'] == first)['draining'])
            self.assertTrue(all(p.poll() is None for p in running), 'the load ended too early')
            self.assertEqual(support.cli('-e', endpoint, 'drain', '--off').returncode, 0)
            self.check_load(cluster, running, 2000)

    def test_a_lone_node_is_not_drained(self):
        with support.Cluster(1) as cluster:
            refused = cluster.cli('drain')
            self.assertEqual(refused.returncode, 1, refused.stderr)
            self.assertIn('nobody else could', refused.stderr)
            self.assertEqual(cluster.cli('kv', 'put', 'k', 'v').returncode, 0)


if __name__ == '__main__':
    unittest.main(verbosity=2)
