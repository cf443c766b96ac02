#!/usr/bin/env python3
"""Members come, go and are replaced on real clusters, under load; counters stay exact."""
import json
import shutil
import unittest

import members
import support


class Membership(unittest.TestCase):
    def test_grow_to_five_and_shrink_to_three_without_the_leader(self):
        with members.Members(5) as c:
            c.found()
            running = c.load(counters=2, times=3000)
            for node in (2, 3, 4, 5):
                c.add_voter(node)
            self.assertEqual(set(c.roles().values()), {'voter'})
            self.assertEqual(len(c.roles()), 5)
            leader = c.leader()
            other = next(n for n in (1, 2, 3, 4, 5) if n != leader)
            self.assertTrue(all(p.poll() is None for p in running), 'the load ended too early')
            c.must('member', 'remove', leader, other, timeout_ms=60000)
            c.in_cluster -= {leader, other}
            self.assertEqual(set(c.roles()), c.in_cluster)
            c.wait('one of those that stay leads', lambda: c.leader() in c.in_cluster)
            c.check_load(running, 3000)
            # Whoever was removed knows it, and disturbs nobody.
            for node in (leader, other):
                c.wait(f'node {node} knows that it was removed',
                       lambda n=node: c.status(n).get('standing') in ('removed', 'refused'))
            term = c.status(c.leader())['term']
            c.must('kv', 'put', 'after', '1')
            self.assertEqual(c.status(c.leader())['term'], term)
            status = json.loads(c.must('-o', 'json', 'status', '--converged',
                                       timeout_ms=60000).stdout)
            self.assertTrue(status['converged'])

    def test_a_dead_node_is_replaced_by_another(self):
        with members.Members(4) as c:
            c.found((1, 2, 3))
            c.leader()
            running = c.load(counters=1, times=1500)
            dead = next(n for n in (1, 2, 3) if n != c.leader())
            c.servers[dead].kill()
            shutil.rmtree(c.data(dead))
            c.in_cluster.discard(dead)
            c.start_joining(4)
            self.assertEqual(c.status(4).get('standing'), 'waiting')
            c.must('member', 'replace', dead, 4, c.peer[4], c.client[4], timeout_ms=60000)
            c.in_cluster.add(4)
            self.assertEqual(c.roles(), {n: 'voter' for n in c.in_cluster})
            c.check_load(running, 1500)
            # Two of three suffice: the new one counts.
            old = next(n for n in (1, 2, 3) if n != dead and n != c.leader())
            c.servers[old].kill()
            c.must('kv', 'put', 'after', '1', timeout_ms=60000)

    def test_MB_08_a_lost_disk_is_refused_until_it_is_admitted_again(self):
        with members.Members(3) as c:
            c.found((1, 2, 3))
            c.leader()
            c.must('kv', 'put', 'before', '1')

            def bound():
                listed = json.loads(c.must('-o', 'json', 'member', 'list').stdout)
                return all(m['incarnation'] for m in listed)
            c.wait('all disks are bound', bound)
            lost = next(n for n in (1, 2, 3) if n != c.leader())
            c.servers[lost].kill()
            shutil.rmtree(c.data(lost))
            c.servers[lost].start()  # the same command line, an empty directory
            c.wait('the node knows that it is refused',
                   lambda: c.status(lost).get('standing') == 'refused')
            self.assertIn('another disk', c.status(lost)['health'])
            c.must('member', 'replace', lost, lost, timeout_ms=60000)
            self.assertEqual(c.roles(), {1: 'voter', 2: 'voter', 3: 'voter'})
            c.wait('it is a voter', lambda: c.status(lost).get('standing') == 'voter')
            c.must('-o', 'json', 'status', '--converged', timeout_ms=60000)
            other = next(n for n in (1, 2, 3) if n not in (lost, c.leader()))
            c.servers[other].kill()
            c.must('kv', 'put', 'after', '1', timeout_ms=60000)

    def test_plans_and_refusals(self):
        with members.Members(4) as c:
            c.found((1, 2, 3))
            leader = c.leader()
            down = next(n for n in (1, 2, 3) if n != leader)
            up = next(n for n in (1, 2, 3) if n not in (leader, down))
            c.must('member', 'add', 4, c.peer[4], c.client[4])  # before it runs: says so
            c.servers[down].kill()
            c.wait('the leader sees that one is down', lambda: any(
                m['id'] == down and not m['up']
                for m in json.loads(c.must('-o', 'json', 'member', 'list').stdout)))
            promote = c.cli('member', 'promote', 4, timeout_ms=20000)
            self.assertEqual(promote.returncode, 1, promote.stderr)
            self.assertIn('not heard of', promote.stderr)
            c.must('kv', 'put', 'k', '1')  # MB-09: it did not count
            plan = c.cli('-o', 'json', 'member', 'remove', up, '--dry-run')
            self.assertEqual(plan.returncode, 1, plan.stderr)
            step = json.loads(plan.stdout)['steps'][0]
            self.assertTrue(step['loses_quorum'])
            self.assertEqual(step['before'],
                             {'voters': 3, 'needed': 2, 'up': 2, 'tolerates': 0})
            self.assertEqual(step['after'], {'voters': 2, 'needed': 2, 'up': 1, 'tolerates': 0})
            self.assertEqual(step['down'], [down])
            refused = c.cli('member', 'remove', up)
            self.assertEqual(refused.returncode, 1, refused.stderr)
            self.assertIn('--force', refused.stderr)
            for arguments, text in (
                    (('add', 4, '127.0.0.1:1', '127.0.0.1:2'), 'there already'),
                    (('add', 5, c.peer[1], '127.0.0.1:2'), 'has the address'),
                    (('remove', 9), 'no member 9'),
                    (('change', 'remove 1', 'remove 2', 'remove 3'), 'no voter')):
                result = c.cli('member', *arguments)
                self.assertEqual(result.returncode, 1, (arguments, result.stderr))
                self.assertIn(text, result.stderr)
            transfer = c.cli('leader', 'transfer', down, timeout_ms=3000)
            self.assertEqual(transfer.returncode, 1, transfer.stderr)
            self.assertIn('did not take over in time', transfer.stderr)
            self.assertEqual(c.leader(), leader)
            c.must('member', 'priority', up, 200)
            c.wait('the one of higher priority leads', lambda: c.leader() == up, 90)


if __name__ == '__main__':
    unittest.main(verbosity=2)
