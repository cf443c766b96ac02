#!/usr/bin/env python3
"""Installs into a temporary prefix and uses only what is there: a C99 and a C++17 program found by
pkg-config, a plugin built by find_package(raftcs), and the installed programs.

    test_install.py BUILD_DIRECTORY
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))


def run(*command, **keywords):
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=200,
                            **keywords)
    if result.returncode != 0:
        sys.exit(f'{" ".join(map(str, command))}\n{result.stdout}\n{result.stderr}')
    return result.stdout.strip()


def main():
    build = sys.argv[1]
    with tempfile.TemporaryDirectory(prefix='raftcs-install-') as folder:
        prefix = os.path.join(folder, 'prefix')
        run('cmake', '--install', build, '--prefix', prefix)
        found = [os.path.join(p, f) for p, _, files in os.walk(prefix) for f in files]
        pc = next((f for f in found if f.endswith('/raftcs.pc')), None)
        if pc is None:
            sys.exit('no raftcs.pc was installed')
        # Another prefix than that of the configuration: an installed tree can be moved.
        environment = dict(os.environ, PKG_CONFIG_PATH=os.path.dirname(pc))
        flags = run('pkg-config', '--cflags', '--libs', 'raftcs', env=environment).split()
        library = os.path.dirname(next(f for f in found if '/libraftcs.so' in f))
        program = os.path.join(folder, 'program')
        run(os.environ.get('CC', 'cc'), '-std=c99', '-Wall', '-Wextra', '-Wpedantic', '-Werror',
            os.path.join(HERE, 'program.c'), '-o', program, *flags, f'-Wl,-rpath,{library}')
        cpp = os.path.join(folder, 'cpp')
        run(os.environ.get('CXX', 'c++'), '-std=c++17', '-Wall', '-Wextra', '-Werror',
            os.path.join(HERE, 'program.cpp'), '-o', cpp, *flags, '-pthread',
            f'-Wl,-rpath,{library}')
        if run(cpp) != 'closed':
            sys.exit('the C++ program does not run')
        plugin = os.path.join(folder, 'plugin')
        run('cmake', '-S', os.path.join(HERE, 'plugin'), '-B', plugin,
            f'-DCMAKE_PREFIX_PATH={prefix}')
        run('cmake', '--build', plugin)
        plugins = os.path.join(folder, 'plugins')
        os.mkdir(plugins)
        os.rename(os.path.join(plugin, 'sum.so'), os.path.join(plugins, 'sum.so'))
        got = run(program, os.path.join(folder, 'data'), plugins)
        if got != 'total 42':
            sys.exit(f'the program printed "{got}"')
        environment = dict(os.environ, LD_LIBRARY_PATH=library)
        for name in ('raftcs-server', 'raftcs', 'raftcs-bench'):
            path = next((f for f in found if f.endswith('/bin/' + name)), None)
            if path is None or '0.' not in run(path, '--version', env=environment):
                sys.exit(f'{name} is not installed')
    print('installed, built against and run')


if __name__ == '__main__':
    main()
