#!/usr/bin/env python3
"""A plugin that is put into the directory of a running node is found, without a restart."""
import json
import os
import shutil
import unittest

import support


def drop_in(cluster, name):
    """As the guide says: a copy under another name, then a rename."""
    path = os.path.join(cluster.plugins, name)
    shutil.copy(os.path.join(support.PLUGINS, name), path + '.new')
    os.rename(path + '.new', path)


class DroppedIn(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(support.Cluster(1, plugins=()))

    def plugins(self):
        result = self.cluster.cli('-o', 'json', 'plugin', 'list')
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def must(self, *arguments):
        result = self.cluster.cli(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_the_list_shows_it(self):
        self.assertEqual(self.plugins(), [])
        drop_in(self.cluster, 'kv.so')
        (file,) = self.plugins()
        self.assertEqual((file['file'], file['types']), ('kv.so', ['org.raftcs.kv']))

    def test_a_service_of_it_is_made(self):
        create = ('service', 'create', 'kv', 'org.raftcs.kv')
        missing = self.cluster.cli(*create)
        self.assertNotEqual(missing.returncode, 0)
        self.assertIn('no plugin of the leader offers', missing.stderr)
        drop_in(self.cluster, 'kv.so')
        self.must(*create)
        self.must('kv', 'put', 'k', 'v')


if __name__ == '__main__':
    unittest.main(verbosity=2)
