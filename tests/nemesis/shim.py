"""shim.py: what is wrong with a node's disk and clock, told to shim.c in a page of numbers.

What must hold: the monotonic clock of a node never goes back: a new rate begins at the time that
the old one has reached. A restarted node keeps its clock.
"""
import mmap
import os
import struct
import time

import support

LIBRARY = os.path.join(support.BUILD, 'tests', 'nemesis', 'nemesis_shim.so')
SIZE = 4096
MILLION = 1000000
# As in shim.c.
(SEQUENCE, REAL_NS, FAKE_NS, RATE_PPM, WALL_NS, SYNC_DELAY_US, WRITE_ERRNO, SYNC_ERRNO,
 FULL) = range(9)
SLOWED, WRITES_FAILED, SYNCS_FAILED, REFUSED, MONOTONIC_READ, WALL_READ = range(16, 22)


class Control:
    """The page of one node."""

    def __init__(self, path):
        self.path = path
        with open(path, 'wb') as f:
            f.write(bytes(SIZE))
        with open(path, 'r+b') as f:
            self.page = mmap.mmap(f.fileno(), SIZE)
        self[RATE_PPM] = MILLION

    def environment(self):
        return ['env', f'LD_PRELOAD={LIBRARY}', f'RAFTCS_SHIM_CONTROL={self.path}']

    def __getitem__(self, slot):
        return struct.unpack_from('=q', self.page, slot * 8)[0]

    def __setitem__(self, slot, value):
        struct.pack_into('=q', self.page, slot * 8, value)

    def run_clock(self, rate=1.0, ahead_s=0.0):
        """From now on the monotonic clock runs at this rate, after a jump ahead."""
        now = time.monotonic_ns()
        fake = self[FAKE_NS] + (now - self[REAL_NS]) * self[RATE_PPM] // MILLION
        self[SEQUENCE] += 1
        self[REAL_NS], self[FAKE_NS] = now, fake + int(ahead_s * 1e9)
        self[RATE_PPM] = int(rate * MILLION)
        self[SEQUENCE] += 1
