#!/usr/bin/env python3
"""The majority is lost for good: one survivor becomes a new cluster, and the old one is fenced."""
import json
import shutil
import unittest

import members
import support


class Recovery(unittest.TestCase):
    def test_MB_12_a_survivor_is_forced_and_the_old_cluster_is_refused(self):
        with members.Members(5) as c:
            c.found((1, 2, 3))
            c.leader()
            for i in range(20):
                c.must('kv', 'put', f'key-{i}', str(i))
            c.must('-o', 'json', 'status', '--converged', timeout_ms=60000)
            old = c.status(1)['cluster']
            for node in (1, 2, 3):
                c.servers[node].kill()
            shutil.rmtree(c.data(2))  # 3 is lost too, they believe; its disk turns up later
            look = support.cli('-o', 'json', 'force-new-cluster', '--data', c.data(1))
            self.assertEqual(look.returncode, 1, look.stderr)
            self.assertIn('--yes', look.stderr)
            self.assertFalse(json.loads(look.stdout)['changed'])
            done = support.cli('-o', 'json', 'force-new-cluster', '--data', c.data(1), '--yes')
            self.assertEqual(done.returncode, 0, done.stderr)
            told = json.loads(done.stdout)
            self.assertEqual(told['cluster'], old)
            self.assertNotEqual(told['new_cluster'], old)
            c.in_cluster = {1}
            c.servers[1].start()
            self.assertEqual(c.leader(), 1)
            for i in range(20):
                self.assertEqual(c.must('kv', 'get', f'key-{i}').stdout, f'{i}\n')
            self.assertEqual(c.status(1)['cluster'], told['new_cluster'])
            self.assertEqual(json.loads(c.must('-o', 'json', 'session', 'list').stdout), [])
            # A member of the old cluster comes back: it is refused, and says why.
            c.servers[3].start()
            c.wait('the old member knows',
                   lambda: 'belongs to cluster' in c.status(3).get('health', ''))
            self.assertEqual(c.roles(), {1: 'voter'})
            add = c.cli('member', 'add', 3, c.peer[3], c.client[3])
            self.assertEqual(add.returncode, 1, add.stderr)
            self.assertIn('another cluster', add.stderr)
            # New nodes join.
            for node in (4, 5):
                c.add_voter(node)
            self.assertEqual(c.roles(), {1: 'voter', 4: 'voter', 5: 'voter'})
            c.servers[1].kill()
            self.assertEqual(c.must('kv', 'get', 'key-7', timeout_ms=60000).stdout, '7\n')

    def test_what_cannot_be_forced_is_refused_with_a_reason(self):
        with members.Members(1) as c:
            c.found()
            c.leader()
            running = support.cli('force-new-cluster', '--data', c.data(1), '--yes')
            self.assertEqual(running.returncode, 1, running.stderr)
            c.servers[1].stop()
            alone = support.cli('force-new-cluster', '--data', c.data(1), '--yes')
            self.assertEqual(alone.returncode, 1, alone.stderr)
            self.assertIn('only member', alone.stderr)
            missing = support.cli('force-new-cluster', '--data', c.data(1) + '-no', '--yes')
            self.assertEqual(missing.returncode, 1, missing.stderr)


if __name__ == '__main__':
    unittest.main(verbosity=2)
