#!/usr/bin/env python3
"""What the daemon refuses, how it says so, and its exit codes: 2 for settings, 1 for the rest."""
import os
import shutil
import socket
import tempfile
import unittest

import support


class Refusals(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='raftcs-test-')
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.data = os.path.join(self.folder, 'data')

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        return path

    def refused(self, exit_code, words, *arguments):
        result = support.run_server(*arguments)
        self.assertEqual(result.returncode, exit_code, result.stderr + result.stdout)
        self.assertEqual(result.stdout, '')
        self.assertTrue(result.stderr.startswith('raftcs-server: '), result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def good(self, *more):
        return ('--id', 1, '--data', self.data, '--client-listen', 'tcp://127.0.0.1:0',
                '--peer-listen', 'tcp://127.0.0.1:0') + more

    def test_command_line(self):
        self.refused(2, ['--id'], '--data', self.data)
        self.refused(2, ['--data'], '--id', 1)
        self.refused(2, ['--nonsense'], '--nonsense')
        self.refused(2, ['server.id'], '--id', 'x', '--data', self.data)
        self.refused(2, ['key=value'], *self.good('--set', 'nothing'))
        self.refused(2, ['raft.heartbeat_ms'], *self.good('--set', 'raft.heartbeat=50'))
        self.refused(2, ['raft.heartbeat_ms'], *self.good('--set', 'raft.heartbeat_ms=fast'))
        self.refused(2, ['raft.heartbeat_ms'], *self.good('--set', 'raft.heartbeat_ms=0'))
        self.refused(2, ['server.cluster'], *self.good('--cluster', '1=nonsense'))
        self.refused(2, ['server.client_listen'], '--id', 1, '--data', self.data,
                     '--client-listen', 'nowhere')

    def test_help_version_settings(self):
        for flag, word in (('--help', '--client-listen'), ('--version', 'raftcs-server'),
                           ('--print-settings', '| `server.id` |')):
            result = support.run_server(flag)
            self.assertEqual((result.returncode, result.stderr), (0, ''))
            self.assertIn(word, result.stdout)

    def test_settings_file(self):
        self.refused(2, ['none.toml'], '--config', os.path.join(self.folder, 'none.toml'))
        bad = self.write('bad.toml', '[server\nid = 1\n')
        self.refused(2, ['bad.toml'], '--config', bad)
        unknown = self.write('unknown.toml', '[server]\nidd = 1\n')
        self.refused(2, ['unknown.toml', 'server.id'], '--config', unknown)
        good = self.write('good.toml', f'[server]\nid = 1\ndata = "{self.data}"\n'
                          'client_listen = "tcp://127.0.0.1:0"\n'
                          'peer_listen = "tcp://127.0.0.1:0"\n')
        server = support.Server(os.path.join(self.folder, 'log'), ['--config', good]).start()
        self.assertEqual(server.fields['id'], '1')
        self.assertEqual(server.stop(), 0)

    def test_data_directory(self):
        self.write('file', 'not a directory')
        self.refused(1, ['file'], *self.good()[:2], '--data', os.path.join(self.folder, 'file'),
                     *self.good()[4:])
        server = support.Server(os.path.join(self.folder, 'log'), self.good()).start()
        self.refused(1, [self.data], *self.good())  # in use
        self.assertEqual(server.stop(), 0)
        self.refused(1, ['1', '2'], '--id', 2, *self.good()[2:])  # another node's
        foreign = os.path.join(self.folder, 'foreign')
        os.makedirs(foreign)
        self.write('foreign/letter.txt', 'dear reader')
        self.refused(1, ['foreign'], '--id', 1, '--data', foreign, *self.good()[4:])

    def test_damaged_log_is_refused_with_its_place(self):
        server = support.Server(os.path.join(self.folder, 'log'), self.good()).start()
        server.stop()
        damaged = []
        for folder, _, files in os.walk(self.data):
            for name in files:
                path = os.path.join(folder, name)
                if os.path.getsize(path) >= 64 and 'lock' not in name.lower():
                    damaged.append(path)
        self.assertTrue(damaged)
        for path in damaged:
            with open(path, 'r+b') as f:
                f.write(b'\xa5' * 64)
        result = support.run_server(*self.good())
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn(self.data, result.stderr)

    def test_busy_port(self):
        with socket.socket() as taken:
            taken.bind(('127.0.0.1', 0))
            taken.listen()
            address = f'tcp://127.0.0.1:{taken.getsockname()[1]}'
            self.refused(1, [address], '--id', 1, '--data', self.data, '--client-listen', address,
                         '--peer-listen', 'tcp://127.0.0.1:0')

    def test_plugin_files(self):
        plugins = support.plugins_only(os.path.join(self.folder, 'plugins'))
        self.write('plugins/broken.so', 'this is no shared object')
        server = support.Server(os.path.join(self.folder, 'log'),
                                self.good('--plugins', plugins)).start()
        endpoint = server.fields['client']
        listed = support.cli('-e', endpoint, '-o', 'json', 'plugin', 'list')
        self.assertEqual(listed.returncode, 0, listed.stderr)
        self.assertIn('broken.so', listed.stdout + server.text())
        self.assertEqual(support.cli('-e', endpoint, 'kv', 'put', 'k', 'v').returncode, 0)
        self.assertEqual(server.stop(), 0)


if __name__ == '__main__':
    unittest.main(verbosity=2)
