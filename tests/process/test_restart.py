#!/usr/bin/env python3
"""What was acknowledged is there after any restart; the command line's own behaviour."""
import json
import unittest

import support


class Restart(unittest.TestCase):
    def test_one_node_keeps_its_data_over_stop_and_kill(self):
        with support.Cluster(1) as cluster:
            server = cluster.servers[1]
            for round_number in range(4):
                put = cluster.cli('kv', 'put', f'key-{round_number}', f'value {round_number}')
                self.assertEqual(put.returncode, 0, put.stderr)
                if round_number % 2 == 0:
                    self.assertEqual(server.stop(), 0, server.text())
                else:
                    server.kill()
                server.start()
                for i in range(round_number + 1):
                    got = cluster.cli('kv', 'get', f'key-{i}')
                    self.assertEqual(got.stdout, f'value {i}\n', got.stderr)

    def test_three_nodes_all_killed_at_once_come_back(self):
        with support.Cluster(3) as cluster:
            lines = ''.join(f'key-{i}\tvalue {i}\n' for i in range(2000))
            load = cluster.cli('kv', 'load', '--verify-none', stdin=lines, timeout_ms=60000)
            self.assertEqual(load.returncode, 0, load.stderr)
            for server in cluster.servers.values():
                server.process.kill()
            for server in cluster.servers.values():
                server.process.wait()
                server.start()
            verify = cluster.cli('-o', 'json', 'kv', 'verify', stdin=lines, timeout_ms=60000)
            self.assertEqual(verify.returncode, 0, verify.stderr)
            self.assertEqual(json.loads(verify.stdout)['checked'], 2000)
            cluster.converged()

    def test_snapshots_are_taken_and_survive(self):
        settings = ('snapshot.entries=50', 'snapshot.trailing_entries=10')
        with support.Cluster(1, settings) as cluster:
            for i in range(120):
                self.assertEqual(cluster.cli('kv', 'incr', 'n').returncode, 0)
            status = json.loads(cluster.cli('-o', 'json', 'status').stdout)
            self.assertGreater(status['snapshot_index'], 0, status)
            cluster.servers[1].kill()
            cluster.servers[1].start()
            self.assertEqual(cluster.cli('kv', 'get', 'n').stdout, '120\n')


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = support.Cluster(1)
        cls.cluster.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.__exit__()

    def test_kv_commands_and_exit_codes(self):
        run = self.cluster.cli
        missing = run('kv', 'get', 'nothing')
        self.assertEqual((missing.returncode, missing.stdout), (1, ''))
        self.assertIn('nothing', missing.stderr)
        self.assertEqual(run('kv', 'put', 'k', 'v').returncode, 0)
        self.assertEqual(run('kv', 'append', 'k', 'w').returncode, 0)
        self.assertEqual(run('kv', 'get', 'k').stdout, 'vw\n')
        self.assertEqual(run('kv', 'cas', 'k', '--expect', 'x', '--value', 'y').returncode, 1)
        self.assertEqual(run('kv', 'cas', 'k', '--expect', 'vw', '--value', 'y').returncode, 0)
        self.assertEqual(run('kv', 'cas', 'fresh', '--absent', '--value', '1').returncode, 0)
        self.assertEqual(run('kv', 'incr', 'fresh', '41').stdout, '42\n')
        self.assertEqual(run('kv', 'incr', 'fresh', '--by=-2').stdout, '40\n')
        self.assertEqual(run('kv', 'incr', 'k').returncode, 1)
        self.assertEqual(run('kv', 'range', 'f', 'g').stdout, 'fresh\t40\n')
        self.assertEqual(run('kv', 'del', 'fresh').returncode, 0)
        self.assertEqual(run('kv', 'del', 'fresh').returncode, 1)
        odd = 'line\nfeed\tand tab'
        self.assertEqual(run('kv', 'put', 'odd', stdin=odd).returncode, 0)
        got = json.loads(run('-o', 'json', 'kv', 'get', 'odd').stdout)
        self.assertEqual(got['value'], odd)
        self.assertIn('odd\tline\\nfeed\\tand tab\n', run('kv', 'dump').stdout)

    def test_verify_finds_what_is_wrong(self):
        run = self.cluster.cli
        self.assertEqual(run('kv', 'load', stdin='va\t1\nvb\t2\nva\t3\n').returncode, 0)
        bad = run('-o', 'json', 'kv', 'verify', stdin='va\t3\nvb\tother\nvc\t1\n')
        self.assertEqual(bad.returncode, 1, bad.stderr)
        found = json.loads(bad.stdout)
        self.assertEqual((found['checked'], found['missing'], found['different']), (3, 1, 1))
        self.assertEqual(run('kv', 'load', stdin='no tab here\n').returncode, 2)

    def test_watch_delivers_in_order(self):
        watch = self.cluster.start_cli('kv', 'watch', 'w/', '--prefix', '--count', 4, '--for', 60)
        self.assertIn('watching', watch.stderr.readline())
        for i in range(3):
            self.assertEqual(self.cluster.cli('kv', 'put', f'w/{i}', f'v{i}').returncode, 0)
        self.assertEqual(self.cluster.cli('kv', 'del', 'w/1').returncode, 0)
        out, err = watch.communicate(timeout=60)
        self.assertEqual(watch.returncode, 0, err)
        fields = [line.split('\t')[:3] for line in out.splitlines()]
        self.assertEqual(fields, [['put', 'w/0', 'v0'], ['put', 'w/1', 'v1'], ['put', 'w/2', 'v2'],
                                  ['del', 'w/1', '-']])

    def test_administration(self):
        run = self.cluster.cli
        status = json.loads(run('-o', 'json', 'status').stdout)
        for name in ('id', 'role', 'term', 'leader', 'commit', 'applied', 'first_index',
                     'last_index', 'snapshot_index', 'members', 'incarnation', 'state_hash',
                     'sessions'):
            self.assertIn(name, status)
        self.assertEqual((status['id'], status['role'], status['leader']), (1, 'leader', 1))
        self.assertIn('leader', run('status').stdout)
        self.assertEqual(len(json.loads(run('-o', 'json', 'member', 'list').stdout)), 1)
        services = json.loads(run('-o', 'json', 'service', 'list').stdout)
        self.assertIn('kv', [s['name'] for s in services])
        kind = next(s['type'] for s in services if s['name'] == 'kv')
        self.assertEqual(run('service', 'create', 'second', kind).returncode, 0)
        self.assertEqual(run('service', 'create', 'second', kind).returncode, 1)
        self.assertEqual(run('kv', 'put', 'k2', 'v2', '--service', 'second').returncode, 0)
        self.assertEqual(run('kv', 'get', 'k2').returncode, 1)
        self.assertEqual(run('kv', 'put', 'k', 'v', '--service', 'none').returncode, 1)
        self.assertEqual(run('session', 'list').returncode, 0)
        self.assertEqual(run('plugin', 'list').returncode, 0)
        self.assertEqual(run('snapshot').returncode, 0)
        self.assertEqual(run('leader', 'transfer', '9').returncode, 1)

    def test_usage_and_unreachable(self):
        self.assertEqual(support.cli('kv', 'get', 'k').returncode, 2)  # no endpoint
        self.assertEqual(self.cluster.cli('kv', 'fetch', 'k').returncode, 2)
        self.assertEqual(self.cluster.cli('-o', 'xml', 'status').returncode, 2)
        nobody = support.free_ports(1)[0]
        for command in (('kv', 'put', 'k', 'v'), ('kv', 'get', 'k'), ('status',)):
            gone = support.cli('-e', f'127.0.0.1:{nobody}', *command, timeout_ms=800)
            self.assertEqual((gone.returncode, gone.stdout if command[0] == 'kv' else ''), (4, ''),
                             gone.stderr)

    def test_log_of_a_stopped_node(self):
        with support.Cluster(1) as other:
            self.assertEqual(other.cli('kv', 'put', 'k', 'v').returncode, 0)
            self.assertEqual(other.servers[1].stop(), 0)
            data = support.os.path.join(other.folder, 'node-1')
            verify = support.cli('log', 'verify', '--data', data)
            self.assertEqual(verify.returncode, 0, verify.stderr)
            dump = support.cli('log', 'dump', '--data', data)
            self.assertEqual(dump.returncode, 0, dump.stderr)
            self.assertTrue([json.loads(x) for x in dump.stdout.splitlines()])
            nothing = support.cli('log', 'verify', '--data', data + '-none')
            self.assertIn(nothing.returncode, (1, 2), nothing.stderr)
            self.assertIn('node-1-none', nothing.stderr)


if __name__ == '__main__':
    unittest.main(verbosity=2)
