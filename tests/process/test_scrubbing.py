#!/usr/bin/env python3
"""A byte rots under one of three running nodes under load: scrubbing finds it and the node mends it."""
import json
import os
import unittest

import members
import support

FAST = ('storage.scrub_mib_per_s=64', 'storage.scrub_period_ms=500')


class Scrubbing(unittest.TestCase):
    def dump(self, data):
        return [json.loads(line) for line in
                support.cli('log', 'dump', '--data', data).stdout.splitlines()]

    def closed_segments(self, data):
        """Segments that others follow, in order."""
        begun = [f['file'] for f in self.dump(data)
                 if f.get('file', '').startswith('log-') and f.get('begun')]
        return begun[:-1]

    def entry_in(self, data, segment):
        """Offset and index of an entry in the middle of a segment."""
        entries = [r for r in self.dump(data) if r.get('record') == 'entry' and
                   f"log-{r['segment']:016x}" == segment]
        self.assertGreater(len(entries), 20)
        r = entries[len(entries) // 2]
        return r['offset'], r['index']

    def rot_under_load(self, count, of_leader):
        with members.Members(count, FAST) as c:
            c.found(tuple(range(1, count + 1)))
            leader = c.leader()
            bad = leader if of_leader else next(n for n in c.servers if n != leader)
            running = c.load(2, 1500)
            c.wait('closed segments', lambda: len(self.closed_segments(c.data(bad))) >= 2)
            before = c.status(bad)
            self.assertEqual(before['scrub']['found'], 0)
            segment = self.closed_segments(c.data(bad))[1]
            offset, index = self.entry_in(c.data(bad), segment)
            path = os.path.join(c.data(bad), segment)
            support.flip_byte(path, offset + 20)
            c.wait('it is found', lambda: c.status(bad).get('scrub', {}).get('found', 0) == 1)
            c.wait('it is mended', lambda: c.status(bad)['scrub']['mended'] == 1)
            told = c.servers[bad].text()
            self.assertIn(f'scrubbing found: {path} at offset ', told)
            self.assertIn(f'(the last good entry is {index - 1})', told)
            self.assertIn(f'the damage of {path} is made good', told)
            self.assertFalse(os.path.exists(path))
            c.check_load(running, 1500)
            now = c.status(bad)
            self.assertEqual(now['health'], 'ok')
            self.assertEqual(now['scrub']['damage'], [])
            self.assertEqual(now['incarnation'], before['incarnation'])
            self.assertEqual(now['standing'], 'voter')
            # Nothing is wrong on the disk, and a start finds nothing.
            c.servers[bad].stop()
            verify = support.cli('log', 'verify', '--data', c.data(bad))
            self.assertEqual(verify.returncode, 0, verify.stdout)
            c.servers[bad].start()
            c.must('-o', 'json', 'status', '--converged', timeout_ms=60000)
            self.assertEqual(c.status(bad)['incarnation'], before['incarnation'])
            self.assertFalse(os.path.exists(os.path.join(c.data(bad), 'damaged')))
            for node in c.servers:
                self.assertEqual(c.status(node)['scrub']['found'], 0)
            self.assertEqual(int(c.must('kv', 'get', 'counter-0').stdout), 1500)

    def test_PS_06_rot_under_a_follower(self):
        self.rot_under_load(3, of_leader=False)

    def test_PS_06_rot_under_a_leader(self):
        self.rot_under_load(3, of_leader=True)

    def test_a_cluster_of_one_mends_itself(self):
        self.rot_under_load(1, of_leader=True)


if __name__ == '__main__':
    unittest.main(verbosity=2)
