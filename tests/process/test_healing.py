#!/usr/bin/env python3
"""Bits rot on one of three nodes under load: it is found at the start, told, and healed."""
import json
import os
import unittest

import members
import support


class Healing(unittest.TestCase):
    def entry_in_the_middle(self, data):
        """File and offset of a stored entry that has others behind it."""
        dump = support.cli('log', 'dump', '--data', data)
        self.assertEqual(dump.returncode, 0, dump.stderr)
        records = [json.loads(line) for line in dump.stdout.splitlines()]
        entries = [r for r in records if r.get('record') == 'entry' and r.get('type') == 'ops']
        self.assertGreater(len(entries), 20, 'the load was too small')
        r = entries[len(entries) // 2]
        return os.path.join(data, f"log-{r['segment']:016x}"), r['offset'] + 50, r['index']

    def test_PS_06_a_bad_record_is_told_and_healed_under_load(self):
        with members.Members(3) as c:
            c.found((1, 2, 3))
            leader = c.leader()
            bad = next(n for n in (1, 2, 3) if n != leader)
            old = c.status(bad)['incarnation']
            running = c.load(2, 1500)
            c.wait('half of the load', lambda: c.status(leader).get('applied', 0) > 150)
            c.servers[bad].kill()
            path, offset, index = self.entry_in_the_middle(c.data(bad))
            support.flip_byte(path, offset)
            verify = support.cli('log', 'verify', '--data', c.data(bad))
            self.assertEqual(verify.returncode, 1, verify.stdout)
            c.servers[bad].start()
            told = c.servers[bad].text()
            self.assertIn(f'{path} at offset ', told)
            self.assertIn(f'the last good entry is {index - 1}', told)
            self.assertIn(os.path.join(c.data(bad), 'damaged'), told)
            c.check_load(running, 1500)
            c.wait('it is a voter again', lambda: c.roles().get(bad) == 'voter' and
                   c.status(bad).get('standing') == 'voter')
            now = c.status(bad)
            self.assertNotEqual(now['incarnation'], old)
            self.assertEqual(now['health'], 'ok')
            c.must('-o', 'json', 'status', '--converged', timeout_ms=60000)
            # What was damaged is kept as it was found.
            kept = support.cli('log', 'verify', '--data', os.path.join(c.data(bad), 'damaged'))
            self.assertEqual(kept.returncode, 1, kept.stdout)
            # It counts: with it and one other the cluster goes on.
            other = next(n for n in (1, 2, 3) if n not in (bad, c.leader()))
            c.servers[other].kill()
            c.must('kv', 'put', 'after', '1', timeout_ms=60000)

    def test_refuse_is_obeyed_and_says_what_to_do(self):
        with members.Members(3, ('storage.on_damage=refuse',)) as c:
            c.found((1, 2, 3))
            leader = c.leader()
            bad = next(n for n in (1, 2, 3) if n != leader)
            c.check_load(c.load(1, 300), 300)
            c.servers[bad].stop()
            path, offset, _ = self.entry_in_the_middle(c.data(bad))
            support.flip_byte(path, offset)
            before = sorted(os.listdir(c.data(bad)))
            line = c.servers[bad].arguments
            refused = support.run_server(*line[line.index(support.SERVER) + 1:])
            self.assertEqual(refused.returncode, 1, refused.stderr)
            for part in (path, 'offset', 'storage.on_damage=heal', 'raftcs log verify'):
                self.assertIn(part, refused.stderr)
            self.assertEqual(sorted(os.listdir(c.data(bad))), before)


if __name__ == '__main__':
    unittest.main(verbosity=2)
