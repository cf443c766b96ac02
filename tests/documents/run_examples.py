#!/usr/bin/env python3
"""run_examples.py: runs the code blocks of the pages as they stand there.

    run_examples.py readme|plugin_guide|python_readme     with RAFTCS_BUILD_DIR

Blocks are found by the heading above them and their language. Nothing in them is changed but what
belongs to a machine: the ports (a free one for 7001) and the build folder's place.
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get('RAFTCS_BUILD_DIR', os.path.join(ROOT, 'build/release'))
CC = os.environ.get('CC', 'cc')
CXX = os.environ.get('CXX', 'c++')
sys.path.insert(0, os.path.join(ROOT, 'tests/bindings/python'))
os.environ['RAFTCS_SERVER_BIN'] = os.path.join(BUILD, 'bin/raftcs-server')
os.environ.setdefault('RAFTCS_PLUGINS_DIR', os.path.join(BUILD, 'plugins-out'))
import cluster  # noqa: E402  (needs the path above)


def blocks(page, heading, language):
    """The fenced blocks of a language below a heading, in order."""
    with open(os.path.join(ROOT, page), encoding='utf-8') as file:
        text = file.read()
    parts = re.split(r'^(#+ .*)$', text, flags=re.M)
    for title, body in zip(parts[1::2], parts[2::2]):
        if title.lstrip('# ').strip() == heading:
            found = re.findall(r'^```' + language + r'\n(.*?)^```', body, flags=re.S | re.M)
            if found:
                return found
    raise AssertionError(f'{page} has no {language} block below "{heading}"')


def run(command, **options):
    """Runs it; what it printed. A failure shows everything."""
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            timeout=60, **options)
    if result.returncode != 0:
        raise AssertionError(f'{command} ended with {result.returncode}:\n{result.stdout}')
    return result.stdout


def tool(name):
    return os.path.join(BUILD, 'bin', name)


class Page(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='raftcs-documents-')
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        return path

    def start(self, plugins=None):
        """A cluster of one; its HOST:PORT."""
        if plugins:
            old = os.environ['RAFTCS_PLUGINS_DIR']
            os.environ['RAFTCS_PLUGINS_DIR'] = plugins
            self.addCleanup(os.environ.__setitem__, 'RAFTCS_PLUGINS_DIR', old)
        one = cluster.Cluster(1)
        self.addCleanup(one.__exit__)
        one.__enter__()
        return one.endpoints.removeprefix('tcp://')

    def environment(self):
        return {**os.environ, 'LD_LIBRARY_PATH': BUILD,
                'PYTHONPATH': os.path.join(ROOT, 'bindings/python'),
                'RAFTCS_LIBRARY': os.path.join(BUILD, 'libraftcs.so')}


class Readme(Page):
    def test_shell(self):
        """A cluster of one, by hand: the daemon and the command line."""
        block = blocks('README.md', 'A cluster of one, by hand', 'sh')[0]
        client, peer = cluster.free_ports(2)
        self.assertIn('--id 1', block)
        script = (block.replace('build/release', BUILD)
                  .replace('--id 1', f'--id 1 --client-listen tcp://127.0.0.1:{client} '
                                     f'--peer-listen tcp://127.0.0.1:{peer}')
                  .replace('127.0.0.1:7001', f'127.0.0.1:{client}'))
        script = self.write('by_hand.sh', 'set -e\ntrap \'kill $!; wait\' EXIT\n' + script)
        out = run(['bash', script], cwd=self.folder)
        self.assertIn('blue', out)
        self.assertIn('leader', out)

    def test_c(self):
        endpoint = self.start()
        source = blocks('README.md', 'From C', 'c')[0]
        self.assertIn('127.0.0.1:7001', source)
        source = self.write('main.c', source.replace('127.0.0.1:7001', endpoint))
        program = os.path.join(self.folder, 'main')
        run([CC, '-std=c99', '-Wall', '-Wextra', '-Werror', source, '-o', program,
             f'-I{ROOT}/include', f'-L{BUILD}', '-lraftcs'])
        for _ in range(2):
            self.assertEqual(run([program], env=self.environment()), 'OK, code 0\n')
        self.assertEqual(run([tool('raftcs'), '-e', endpoint, 'kv', 'get', 'visits']).strip(), '2')

    def test_python(self):
        endpoint = self.start()
        source = blocks('README.md', 'From Python', 'python')[0]
        self.assertIn('127.0.0.1:7001', source)
        script = self.write('main.py', source.replace('127.0.0.1:7001', endpoint))
        first, second = run([sys.executable, '-B', script], env=self.environment()).splitlines()
        self.assertEqual(first, "b'blue' 1")
        self.assertRegex(second, r'^0 \d+$')


class PythonReadme(Page):
    """bindings/python/README.md."""

    def test_blocking_and_asyncio(self):
        endpoint = self.start()
        page = 'bindings/python/README.md'
        source = blocks(page, 'Blocking', 'python')[0] + 'import asyncio\n' \
            + blocks(page, 'asyncio', 'python')[0]
        # The page's loop over changes has no end: one change is enough here.
        self.assertIn('            print(kv.read_change(request))\n', source)
        source = source.replace('            print(kv.read_change(request))\n',
                                '            print(kv.read_change(request))\n            break\n')
        source = source.replace('127.0.0.1:7001', endpoint) + 'asyncio.run(main())\n'
        script = self.write('main.py', source)
        out = run([sys.executable, '-B', script], env=self.environment())
        self.assertIn("1 b'blue'", out)
        self.assertIn("event='put', key=b'colour', value=b'blue'", out)


class PluginGuide(Page):
    def test_c(self):
        page = 'docs/plugin-guide.md'
        source = blocks(page, 'The smallest one, in C', 'c')[0]
        self.write('sum.c', source)
        with open(os.path.join(ROOT, page), encoding='utf-8') as file:
            line = re.search(r'Build it by hand: `cc ([^`]*)`', file.read()).group(1)
        plugins = os.path.join(self.folder, 'plugins')
        os.mkdir(plugins, 0o755)
        run([CC, *line.split(), '-Wall', '-Wextra', '-Werror', f'-I{ROOT}/include'],
            cwd=self.folder)
        os.rename(os.path.join(self.folder, 'sum.so'), os.path.join(plugins, 'sum.so'))
        commands = self.write('commands.hex', '35\n2d37\n313233343536373839\n6162\n')
        checked = run([tool('raftcs-plugin-check'), '--commands', commands,
                       os.path.join(plugins, 'sum.so')])
        self.assertNotIn(': 0 done', checked)
        endpoint = self.start(plugins)
        call = [tool('raftcs'), '-e', endpoint, 'call', 'sum']
        self.assertEqual(run(call + ['40']).strip(), '40')
        self.assertEqual(run(call + ['2']).strip(), '42')
        self.assertEqual(run(call + ['--query', 'total']).strip(), '42')

    def test_cpp_frame(self):
        source = blocks('docs/plugin-guide.md', 'In C++', 'cpp')[0]
        run([CXX, '-std=c++20', '-Wall', '-Wextra', '-Werror', '-fsyntax-only',
             f'-I{ROOT}/include', self.write('frame.cpp', source)])


if __name__ == '__main__':
    cases = {'readme': Readme, 'plugin_guide': PluginGuide, 'python_readme': PythonReadme}
    if len(sys.argv) != 2 or sys.argv[1] not in cases:
        print(__doc__)
        sys.exit(2)
    chosen = unittest.defaultTestLoader.loadTestsFromTestCase(cases[sys.argv[1]])
    sys.exit(0 if unittest.TextTestRunner(verbosity=2).run(chosen).wasSuccessful() else 1)
