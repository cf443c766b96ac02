#!/usr/bin/env python3
"""One of three nodes runs a plugin that is not deterministic: it is named, out of service, and
right again once it has the right plugin and its data from the others."""
import os
import shutil
import unittest

import members
import support

HOSTILE = os.path.join(support.BUILD, 'plugins-hostile')


class Divergence(unittest.TestCase):
    def give_plugin(self, c, node, name):
        folder = os.path.join(c.folder, f'plugins-{node}')
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        shutil.copy(os.path.join(HOSTILE, name + '.so'), os.path.join(folder, 'answer.so'))
        line = c.servers[node].arguments
        line[line.index('--plugins') + 1] = folder

    def test_RC_08_the_odd_one_is_named_quarantined_and_reseeded(self):
        with members.Members(3) as c:
            peers = ','.join(f'{n}=tcp://{c.peer[n]}/tcp://{c.client[n]}' for n in (1, 2, 3))
            for n in (1, 2, 3):
                c.servers[n] = c.server(n, '--cluster', peers)
                self.give_plugin(c, n, 'answer_odd' if n == 2 else 'answer')
            for n in (1, 2, 3):
                c.servers[n].launch()
            for n in (1, 2, 3):
                c.servers[n].wait_ready()
                c.in_cluster.add(n)
            if c.leader() == 2:  # a wrong leader is found as well; here the other case
                c.must('leader', 'transfer', 1)
            for i in range(5):
                c.must('call', 'answer', str(i), timeout_ms=60000)
            c.wait('all name it', lambda: all(
                c.status(n).get('divergence', {}).get('wrong') == [2] for n in (1, 2, 3)))
            odd = c.status(2)
            self.assertTrue(odd['divergence']['quarantined'])
            self.assertIn("differs from the majority's at index", odd['health'])
            for n in (1, 2, 3):
                self.assertIn('the state of node 2 differs', c.servers[n].text())
            # It has a vote, and that is all: when the leader dies the third one leads.
            leader = c.leader()
            third = 4 - leader
            c.servers[leader].kill()
            c.wait('the third leads', lambda: c.status(third).get('serving'))
            c.must('call', 'answer', 'after', timeout_ms=60000)
            c.servers[leader].start()
            # The right plugin, and the data of the others.
            c.wait('the others have a majority without it', lambda: c.cli(
                'member', 'reseed', 2, '--dry-run').returncode == 0)
            dry = c.must('member', 'reseed', 2, '--dry-run')
            self.assertIn('no voter may fail until it has its vote back', dry.stdout)
            self.assertFalse(c.status(2)['reseed'])
            c.must('member', 'reseed', 2)
            self.assertTrue(c.status(2)['reseed'])
            c.servers[2].stop()
            self.give_plugin(c, 2, 'answer')
            c.servers[2].start()
            self.assertIn(os.path.join(c.data(2), 'damaged'), c.servers[2].text())
            c.wait('it is a voter again', lambda: c.status(2).get('standing') == 'voter')
            c.must('call', 'answer', 'more', timeout_ms=60000)
            c.wait('nobody is wrong', lambda: all(
                c.status(n).get('divergence', {}).get('wrong') == [] and
                c.status(n).get('health') == 'ok' for n in (1, 2, 3)))
            c.must('-o', 'json', 'status', '--converged', timeout_ms=60000)


if __name__ == '__main__':
    unittest.main(verbosity=2)
