#!/usr/bin/env python3
"""A disk that really fails a sync: ext4 without journal, on a sparse file, on a tmpfs that is full.

The log's space is prepared, so a full disk alone never fails its sync. Here the pages under the
prepared space are taken away (they are zeros, so nothing changes) and the tmpfs is filled: then the
next write finds no page, and fdatasync fails. The kernel marks what did not arrive as clean: it can
be read until the file system is mounted again, and a second fdatasync succeeds (PS-02).

Commands here are small on purpose, less than a sector: the loop driver takes a write of several
pages for done when only the first of them found room, and then no program could know better.

Needs root, loop devices and a mount namespace of its own. Without them the test says so and is
counted as skipped (exit code 77).
"""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import support

SKIPPED = 77
TMPFS_BYTES = 24 << 20
IMAGE_BYTES = 64 << 20
SEGMENT_BYTES = 4 << 20
INSIDE = 'RAFTCS_OWN_MOUNTS'


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


class Disk:
    """A file system that can be made to fail; a context manager."""

    def __enter__(self):
        self.base = tempfile.mkdtemp(prefix='raftcs-fsync-')
        self.image = os.path.join(self.base, 'image')
        self.filler = os.path.join(self.base, 'filler')
        self.path = os.path.join(self.base, 'disk')
        run('mount', '-t', 'tmpfs', '-o', f'size={TMPFS_BYTES}', 'none', self.base)
        try:
            os.mkdir(self.path)
            with open(self.image, 'wb') as f:
                f.truncate(IMAGE_BYTES)
            run('mkfs.ext4', '-q', '-F', '-O', '^has_journal', self.image)
            self.mount()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run(['umount', self.path], capture_output=True, check=False)
        subprocess.run(['umount', self.base], capture_output=True, check=False)
        shutil.rmtree(self.base, ignore_errors=True)

    def mount(self):
        run('mount', '-o', 'loop', self.image, self.path)

    def remount(self):
        run('umount', self.path)
        self.mount()

    def take_pages_away(self):
        """Of what is zeros; then nothing is left for new ones."""
        run('sync', '-f', self.path)
        run('fallocate', '--dig-holes', self.image)
        with open(self.filler, 'wb', buffering=0) as f:
            try:
                while f.write(bytes(4096)):
                    pass
            except OSError:
                pass

    def give_back(self):
        os.unlink(self.filler)


def fails_as_it_should(disk):
    """The fault itself, without raftcs: fails once, then lies, then shows what it lost."""
    path = os.path.join(disk.path, 'probe')
    f = os.open(path, os.O_RDWR | os.O_CREAT)
    os.write(f, bytes(65536))
    os.fsync(f)
    disk.take_pages_away()
    os.pwrite(f, b'x' * 65536, 0)
    try:
        os.fdatasync(f)
        return 'fdatasync succeeds on a full disk'
    except OSError:
        pass
    if os.pread(f, 1, 0) != b'x':
        return 'what was lost cannot be read'
    disk.give_back()
    try:
        os.fdatasync(f)
    except OSError as e:
        return f'a second fdatasync fails too: {e}'
    os.close(f)
    disk.remount()
    with open(path, 'rb') as again:
        return '' if again.read(1) == b'\0' else 'nothing was lost'


class FsyncFailure(unittest.TestCase):
    def setUp(self):
        self.disk = Disk()
        self.disk.__enter__()
        self.addCleanup(self.disk.__exit__)
        client, peer = support.free_ports(2)
        self.endpoint = f'127.0.0.1:{client}'
        plugins = support.plugins_only(os.path.join(self.disk.base, 'plugins'))
        self.data = os.path.join(self.disk.path, 'node')
        self.server = support.Server(os.path.join(self.disk.base, 'log'), [
            '--id', 1, '--data', self.data, '--client-listen', f'tcp://127.0.0.1:{client}',
            '--peer-listen', f'tcp://127.0.0.1:{peer}', '--plugins', plugins,
            '--set', f'log.segment_bytes={SEGMENT_BYTES}', '--set', 'log.disk_reserve_bytes=0'])
        self.addCleanup(lambda: self.server.running() and self.server.kill())

    def cli(self, *arguments, timeout_ms=5000):
        return support.cli('-e', self.endpoint, *arguments, timeout_ms=timeout_ms)

    def put(self, key, timeout_ms=5000):
        return self.cli('kv', 'put', key, 'v-' + key, timeout_ms=timeout_ms).returncode

    def test_PS_02_after_a_failed_sync_nothing_is_claimed_and_nothing_lost(self):
        self.server.start()
        acknowledged = []
        for i in range(20):
            self.assertEqual(self.put(f'before-{i}', 30000), 0, self.server.text())
            acknowledged.append(f'before-{i}')
        self.disk.take_pages_away()
        # Some may fit on pages that are there; the first that does not ends it.
        claimed_after, failed = [], False
        for i in range(40):
            code = self.put(f'after-{i}', 2000)
            if code == 0:
                (claimed_after if failed else acknowledged).append(f'after-{i}')
            failed = failed or code != 0
            if failed and i > 5:
                break
        self.assertTrue(failed, 'the fault was not there: INVALID\n' + self.server.text())
        self.assertEqual(claimed_after, [], 'success after a failed sync')
        said = self.server.text()
        self.assertIn('this node takes no part', said)
        self.assertRegex(said, 'storage has stopped|syncing .*log-')
        # The space is there again, and a retried sync would lie: the node must not be tempted.
        self.disk.give_back()
        for i in range(3):
            self.assertNotEqual(self.put(f'later-{i}', 1000), 0, 'served on after a failed sync')
        self.server.kill()
        self.disk.remount()
        verify = support.cli('log', 'verify', '--data', self.data)
        self.assertEqual(verify.returncode, 0, verify.stdout + verify.stderr)
        self.server.start()
        for key in acknowledged:
            got = self.cli('kv', 'get', key, timeout_ms=30000)
            self.assertEqual(got.stdout, f'v-{key}\n', f'{key} was acknowledged and is gone')
        self.assertEqual(self.put('again', 30000), 0)
        print(f'{len(acknowledged)} acknowledged commands, all there', file=sys.stderr)


def skip(why):
    print(f'skipped: {why}; run as root where loop devices can be mounted', file=sys.stderr)
    sys.exit(SKIPPED)


def main():
    if os.environ.get(INSIDE):
        try:
            with Disk() as disk:
                wrong = fails_as_it_should(disk)
        except (OSError, subprocess.SubprocessError) as e:
            skip(f'no file system of its own ({e})')
        if wrong:
            skip('the fault cannot be made here: ' + wrong)
        unittest.main(verbosity=2)
    for tool in ('unshare', 'mount', 'mkfs.ext4', 'fallocate'):
        if not shutil.which(tool, path=os.environ.get('PATH', '') + ':/usr/sbin:/sbin'):
            skip(f'{tool} is not installed')
    if os.geteuid() != 0:
        skip('not root')
    os.environ[INSIDE] = '1'
    os.environ['PATH'] = os.environ.get('PATH', '') + ':/usr/sbin:/sbin'
    probe = subprocess.run(['unshare', '-m', '--propagation', 'private', 'true'],
                           capture_output=True, check=False)
    if probe.returncode != 0:
        skip('no mount namespace of its own')
    os.execvp('unshare', ['unshare', '-m', '--propagation', 'private', sys.executable] + sys.argv)


if __name__ == '__main__':
    main()
