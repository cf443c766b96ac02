#!/usr/bin/env python3
"""What scripts build on: exit codes when input and output fail, numbers, and how both programs meet
signals. A command that was done is never told as failed, and one that is not understood is not
begun."""
import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import support

HANG = os.path.join(support.BUILD, 'plugins-hostile', 'hang.so')


class CommandLine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(support.Cluster(1, plugins=('kv.so', 'queue.so')))
        cls.cluster.leader()

    def run_cli(self, *arguments, **keywords):
        command = [support.CLI, '-e', self.cluster.endpoints, '--timeout', '20000']
        keywords.setdefault('stdin', subprocess.DEVNULL)
        return subprocess.run(command + [str(a) for a in arguments], stderr=subprocess.PIPE,
                              text=True, timeout=60, **keywords)

    def value(self, key):
        result = self.cluster.cli('kv', 'get', key)
        return result.stdout if result.returncode == 0 else None

    def must(self, *arguments):
        result = self.cluster.cli(*arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_what_was_done_is_not_told_as_failed_when_its_answer_is_lost(self):
        with open('/dev/full', 'w', encoding='utf-8') as full:
            for arguments in (('kv', 'incr', 'full'), ('-o', 'json', 'kv', 'incr', 'full'),
                              ('kv', 'count', 'full', '--times', 3)):
                result = self.run_cli(*arguments, stdout=full)
                self.assertEqual(result.returncode, 3, result.stderr)
                self.assertIn('it was done', result.stderr)
            self.assertEqual(self.value('full'), '5\n')
            result = self.run_cli('kv', 'get', 'full', stdout=full)
            self.assertEqual(result.returncode, 1, result.stderr)
            result = self.run_cli('kv', 'verify', stdout=full)
            self.assertEqual(result.returncode, 1, result.stderr)

    def test_nor_when_its_reader_is_gone(self):
        reading, writing = os.pipe()
        os.close(reading)
        try:
            result = self.run_cli('kv', 'incr', 'gone', stdout=writing)
        finally:
            os.close(writing)
        self.assertEqual(result.returncode, 3, result.stderr)
        self.assertEqual(self.value('gone'), '1\n')

    def test_an_input_that_cannot_be_read_is_no_value(self):
        self.must('kv', 'put', 'kept', 'old')
        self.must('queue', 'create', 'input')
        folder = os.open('/', os.O_RDONLY)
        try:
            for arguments in (('kv', 'put', 'kept'), ('kv', 'append', 'kept'), ('kv', 'load'),
                              ('queue', 'put', 'input'), ('call', 'kv')):
                result = self.run_cli(*arguments, stdin=folder, stdout=subprocess.PIPE)
                self.assertEqual(result.returncode, 1, result.stderr)
                self.assertIn('standard input', result.stderr)
        finally:
            os.close(folder)
        self.assertEqual(self.value('kept'), 'old\n')

    def test_numbers_are_decimal_and_in_range(self):
        for arguments in (('kv', 'incr', 'n', '010'), ('kv', 'incr', 'n', '99999999999999999999'),
                          ('kv', 'incr', 'n', '--by=-010'), ('kv', 'incr', 'n', '0x10'),
                          ('queue', 'done', '017'), ('queue', 'put', 'q', 'x', '--priority', '07'),
                          ('member', 'remove', '010', '--dry-run'),
                          ('member', 'priority', '1', '010', '--dry-run'),
                          ('kv', 'watch', 'n', '--for', 'inf')):
            result = self.cluster.cli(*arguments)
            self.assertEqual(result.returncode, 2, (arguments, result.stdout, result.stderr))
        self.assertIsNone(self.value('n'))
        self.assertEqual(self.must('kv', 'incr', 'n', '--by=-5'), '-5\n')
        self.assertEqual(self.must('kv', 'incr', 'n', '0'), '-5\n')

    def test_a_change_of_members_is_understood_to_its_last_word(self):
        for text in ('remove 2 3', 'promote 4,5', 'remove 2x', 'remove 010', 'remove 0', 'priority 3',
                     'priority 3 high', 'add 4', 'add 4 127.0.0.1:1', 'replace 1', 'raise 4', ''):
            result = self.cluster.cli('member', 'change', text, '--dry-run')
            self.assertEqual(result.returncode, 2, (text, result.stdout, result.stderr))
            self.assertIn('is not a change', result.stderr)
        plan = self.must('-o', 'json', 'member', 'change', 'add 4 127.0.0.1:1 127.0.0.1:2',
                         '--dry-run')
        self.assertEqual([m['id'] for m in json.loads(plan)['steps'][0]['members']], [1, 4])


class Workers(unittest.TestCase):
    """`raftcs queue work --exec`."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = cls.enterClassContext(support.Cluster(1, plugins=('queue.so',)))
        cls.cluster.leader()

    def work(self, name, *arguments, **keywords):
        command = [support.CLI, '-e', self.cluster.endpoints, 'queue', 'work', name]
        result = subprocess.run(command + [str(a) for a in arguments], capture_output=True,
                                text=True, timeout=60, stdin=subprocess.DEVNULL, **keywords)
        self.assertEqual(result.returncode, 0, result.stderr)
        return [json.loads(line) for line in result.stdout.splitlines()]

    def queue(self, *arguments):
        result = self.cluster.cli('-o', 'json', 'queue', *arguments)
        self.assertEqual(result.returncode, 0, result.stderr)
        return json.loads(result.stdout)

    def test_a_failed_command_is_not_done_whatever_the_parent_ignores(self):
        self.queue('create', 'ignored')
        self.queue('put', 'ignored', 'x')
        (line,) = self.work('ignored', '--exec', 'exit 7', '--count', 1,
                            preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        self.assertEqual((line['result'], line['exit_code']), ('failed', 7))

    def test_a_command_dies_of_a_broken_pipe_as_elsewhere(self):
        self.queue('create', 'pipe')
        self.queue('put', 'pipe', 'x')
        (line,) = self.work('pipe', '--exec', 'kill -PIPE $$; exit 0', '--count', 1)
        self.assertEqual((line['result'], line['exit_code']), ('failed', 128 + signal.SIGPIPE))

    def test_jobs_that_wait_behind_a_long_one_are_kept(self):
        self.queue('create', 'behind', '--visibility', 2500, '--attempts', 2)
        jobs = [self.queue('put', 'behind', f'{seconds}')['job'] for seconds in (6, 0, 0)]
        lines = self.work('behind', '--exec', 'sleep $(cat)', '--capacity', 3, '--idle', 3)
        self.assertEqual([(x['job'], x['attempt'], x['result']) for x in lines],
                         [(job, 1, 'done') for job in jobs])
        stats = self.queue('stats', 'behind')
        self.assertEqual((stats['done'], stats['timed_out'], stats['dead']), (3, 0, 0))

    def test_a_job_that_was_lost_while_it_waited_is_not_begun(self):
        self.queue('create', 'late', '--visibility', 1000, '--attempts', 5)
        process = self.cluster.start_cli('queue', 'work', 'late', '--capacity', 2, '--exec',
                                         'cat > /dev/null', '--idle', 6)
        self.assertEqual(process.stderr.readline(), 'working\n')
        process.send_signal(signal.SIGSTOP)
        job = self.queue('put', 'late', 'x')['job']
        time.sleep(2.5)  # its time ends twice; nothing else would take it
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=60)
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([(x['job'], x['result']) for x in lines], [(job, 'done')])
        self.assertGreater(lines[0]['attempt'], 1)


class Daemon(unittest.TestCase):
    def server(self, folder, plugins, **keywords):
        command = [support.SERVER, '--id', '1', '--data', os.path.join(folder, 'data'),
                   '--client-listen', 'tcp://127.0.0.1:0', '--peer-listen', 'tcp://127.0.0.1:0',
                   '--plugins', plugins]
        process = subprocess.Popen(support.WITH_US + command, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, text=True, **keywords)
        self.addCleanup(process.stdout.close)
        self.addCleanup(lambda: process.poll() is None and process.kill())
        self.line = process.stdout.readline()
        self.assertTrue(self.line.startswith('ready '), self.line)
        return process

    def folder(self):
        return self.enterContext(tempfile.TemporaryDirectory(prefix='raftcs-test-'))

    def test_a_second_signal_ends_it_whatever_hangs(self):
        folder = self.folder()
        plugins = os.path.join(folder, 'plugins')
        os.makedirs(plugins)
        shutil.copy(HANG, plugins)
        process = self.server(folder, plugins, stderr=subprocess.DEVNULL)
        endpoint = dict(f.split('=', 1) for f in self.line.split()[1:])['client']
        result = support.cli('-e', endpoint, '--timeout', 1000, 'call', 'hang', 'x')
        self.assertEqual(result.returncode, 3, result.stderr)
        process.terminate()
        process.terminate()  # as `timeout` sends it to the process and to its group
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(1)
        process.terminate()
        self.assertEqual(process.wait(10), 1)

    def test_it_takes_all_descriptors_the_system_grants(self):
        folder = self.folder()
        process = self.server(folder, support.plugins_only(os.path.join(folder, 'plugins')),
                              stderr=subprocess.DEVNULL, preexec_fn=lambda: resource.setrlimit(
                                  resource.RLIMIT_NOFILE, (256, 2048)))
        self.assertEqual(resource.prlimit(process.pid, resource.RLIMIT_NOFILE), (2048, 2048))
        process.terminate()
        self.assertEqual(process.wait(30), 0)

    def test_it_outlives_the_reader_of_its_log(self):
        folder = self.folder()
        reading, writing = os.pipe()
        process = self.server(folder, support.plugins_only(os.path.join(folder, 'plugins')),
                              stderr=writing)
        os.close(writing)
        os.close(reading)
        process.terminate()  # it logs that it stops
        self.assertEqual(process.wait(30), 0)


if __name__ == '__main__':
    unittest.main(verbosity=2)
