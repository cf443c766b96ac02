#!/usr/bin/env python3
"""tidy.py: checks the repository's own rules on its text.

    tidy.py text [ROOT]      everything that reading can decide
    tidy.py headers [ROOT]   compiles every header alone
    tidy.py selftest         refuses a tree made of one bad file per rule

Rules: which folder of src/ may include which (read from CMakeLists.txt, so that there is one
list); third-party headers, threads, clocks and exceptions only behind their fences; no unfinished
notes; file heads; lengths; links in the pages; scripts that are executable and parse. Each finding is one line
PATH:LINE: SENTENCE on stdout; the exit code is 1 when there is any.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tempfile

LINE_MAX = 100
FILE_WARN = 500
FILE_MAX = 800
CODE = ('.cpp', '.hpp', '.c', '.h')
COMMENTED = CODE + ('.py', '.sh', '.js', '.mjs', '.ts', '.go', '.rs', '.cmake')
# May hold long lines or none of the usual form.
DATA_FOLDERS = ('tests/fixtures/', 'tests/abi/frozen/')

THREAD_FOLDERS = ('sys', 'server', 'net', 'capi', 'plugin')
# The client's runtime, and the table of snapshot files that two lanes of a node share.
THREAD_FILES = re.compile(r'src/client/runtime[^/]*$|src/storage/snapshot_files\.hpp$')
THREAD_HEADERS = {'thread', 'mutex', 'condition_variable', 'shared_mutex', 'future', 'semaphore',
                  'latch', 'barrier', 'stop_token', 'pthread.h'}
# Header pattern, where it may be included, its name for people.
FENCES = [
    (re.compile(r'^zmq'), ('src/net/',), 'ZeroMQ'),
    (re.compile(r'^msgpack'), ('src/wire/',), 'msgpack'),
    (re.compile(r'^boost/dll'), ('src/plugin/',), 'Boost.DLL'),
    (re.compile(r'^nlohmann/'), ('src/server/', 'src/tools/'), 'nlohmann-json'),
    (re.compile(r'^toml\+\+|^toml'), ('src/config/',), 'toml++'),
    (re.compile(r'^(spdlog|fmt|CLI)/'), ('src/tools/',), 'spdlog, fmt and CLI11'),
]
PURE = ('src/base/', 'src/raft/', 'src/rsm/', 'src/wire/', 'src/config/', 'src/storage/')
# Token pattern, folders of src/ where it is fine, sentence.
TOKENS = [
    (re.compile(r'\b(steady_clock|system_clock|high_resolution_clock|clock_gettime|gettimeofday)\b'
                r'|\btime\s*\(\s*(NULL|nullptr|0)\s*\)'),
     ('src/sys/', 'src/tools/'), 'clocks belong to src/sys'),
    (re.compile(r'\b(std::rand|srand|random_device|rand|drand48|mt19937(_64)?)\b\s*[({;]'),
     ('src/sys/', 'src/tools/'), 'random numbers come from sys/random.hpp or base/prng.hpp'),
    (re.compile(r'\b(?:std::)?(?:exit|_exit|_Exit|quick_exit|abort|terminate)\s*\('),
     ('src/tools/',), 'a library does not end its process'),
    (re.compile(r'\b(?:std::)?(?:printf|fprintf|puts|fputs|putchar|perror)\s*\(|\bstd::(cout|cerr)\b'),
     ('src/tools/',), 'a library does not print'),
]
EXCEPTION = re.compile(r'\b(throw|try|catch)\b')
THROW = re.compile(r'\bthrow\b')
# Where exceptions of others (plugins, allocation, a library) end; they throw nothing themselves.
CATCHING = re.compile(r'^src/(rsm/|config/toml_file\.cpp$)')
UNDONE = re.compile(r'\b(TO' r'DO|FIX' r'ME|XX' r'X)\b')
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
MD_LINK = re.compile(r'(?<!\!)\[[^\]]*\]\(([^)\s]+)\)')


def git_files(root):
    """The tracked files, and in a tree without git all files."""
    try:
        out = subprocess.run(['git', '-C', root, 'ls-files', '-z', '--cached', '--others',
                              '--exclude-standard'], check=True, capture_output=True).stdout
        names = [n for n in out.decode().split('\0') if n]
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, dirs, files in os.walk(root):
            dirs[:] = [d for d in dirs if d not in ('build', '.git', 'node_modules')]
            names += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    return sorted(n for n in set(names) if os.path.isfile(os.path.join(root, n)))


def read(root, name):
    with open(os.path.join(root, name), encoding='utf-8', errors='replace') as f:
        return f.read()


def blank(text):
    return re.sub(r'[^\n]', ' ', text)


def code_only(text):
    """C or C++ without comments and string contents; lines keep their numbers."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
                         r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'", re.S)
    def replace(match):
        found = match.group(0)
        return '""' + blank(found)[2:] if found[0] in '"R' else blank(found)
    return pattern.sub(replace, text)


def folder_rules(root):
    """{folder: folders it may include}, from rcs_folder() of CMakeLists.txt, closed over links."""
    direct = {}
    for line in read(root, 'CMakeLists.txt').splitlines():
        match = re.match(r'\s*rcs_folder\((\w+)(?:\s+DEPS((?:\s+\w+)*?))?(?:\s+LINK\b.*)?\)', line)
        if match:
            direct[match.group(1)] = set((match.group(2) or '').split())
    rules = {}
    for folder in direct:
        reach, todo = set(), [folder]
        while todo:
            one = todo.pop()
            if one not in reach:
                reach.add(one)
                todo += direct.get(one, ())
        rules[folder] = reach
    rules['capi'] = set(direct) | {'capi'}
    return rules


class Checker:
    def __init__(self, root):
        self.root = root
        self.files = git_files(root)
        self.rules = folder_rules(root)
        self.findings = []
        self.warnings = []

    def say(self, name, line, sentence):
        self.findings.append(f'{name}:{line}: {sentence}')

    # ---- includes and tokens ------------------------------------------------------------
    def check_includes(self, name, text):
        parts = name.split('/')
        folder = parts[1] if parts[0] == 'src' and len(parts) > 2 else ''
        for number, line in enumerate(text.splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            kind, header = match.groups()
            if folder and kind == '"':
                self.check_folder(name, number, folder, header)
            if parts[0] != 'src':
                continue
            for pattern, where, people in FENCES:
                if pattern.search(header) and not name.startswith(where):
                    self.say(name, number, f'{people} is included in {", ".join(where)} only')
            if header in THREAD_HEADERS and folder not in THREAD_FOLDERS + ('tools',) \
                    and not THREAD_FILES.search(name):
                self.say(name, number, f'<{header}>: threads belong to '
                         f'{", ".join(THREAD_FOLDERS)} and src/client/runtime*')

    def check_folder(self, name, number, folder, header):
        target = header.split('/')[0] if '/' in header else ''
        if folder == 'tools':
            if target in self.rules:
                self.say(name, number, f'tools use raftcs.h, not {header}')
        elif target == 'tools' or (target in self.rules and
                                   target not in self.rules.get(folder, {folder})):
            self.say(name, number, f'src/{folder} may not include {header} (CMakeLists.txt)')
        elif not target and not header.startswith('raftcs'):
            self.say(name, number, f'write the folder: "{folder}/{header}"')

    def check_tokens(self, name, text):
        if not name.startswith('src/'):
            return
        for number, line in enumerate(code_only(text).splitlines(), 1):
            for pattern, fine, sentence in TOKENS:
                if pattern.search(line) and not name.startswith(fine):
                    self.say(name, number, sentence)
            banned = THROW if CATCHING.search(name) else EXCEPTION
            if name.startswith(PURE) and banned.search(line):
                self.say(name, number, 'no exceptions here: give back a Status or a Result')

    # ---- form ---------------------------------------------------------------------------
    def check_form(self, name, text):
        lines = text.splitlines()
        code = name.endswith(COMMENTED) or os.path.basename(name) == 'CMakeLists.txt'
        if code or name.endswith('.md'):
            for number, line in enumerate(lines, 1):
                if UNDONE.search(line):
                    self.say(name, number, 'an unfinished note: do it or write an issue')
        if not code or name.startswith(DATA_FOLDERS):
            return
        if name.endswith(CODE):
            for number, line in enumerate(lines, 1):
                if len(line) > LINE_MAX:
                    self.say(name, number, f'{len(line)} columns; at most {LINE_MAX}')
        if len(lines) > FILE_MAX:
            self.say(name, len(lines), f'{len(lines)} lines; at most {FILE_MAX}: split it')
        elif len(lines) > FILE_WARN:
            self.warnings.append(f'{name}: {len(lines)} lines, over {FILE_WARN}')
        first = lines[0] if lines else ''
        if first.startswith('#!'):
            first = lines[1] if len(lines) > 1 else ''
        if not re.match(r'\s*(//|/\*|#|"""|\'\'\'|--|;)', first) or first.startswith('#include') \
                or first.startswith('#pragma'):
            self.say(name, 1, 'a file begins with a sentence that says what it is for')

    def check_links(self, name, text):
        fenced_text = re.sub(r'^```.*?^```', lambda m: blank(m.group(0)), text, flags=re.S | re.M)
        fenced_text = re.sub(r'`[^`\n]*`', lambda m: blank(m.group(0)), fenced_text)
        for number, line in enumerate(fenced_text.splitlines(), 1):
            for link in MD_LINK.findall(line):
                target = link.split('#')[0]
                if not target or re.match(r'[a-z]+:', target):
                    continue
                path = os.path.normpath(os.path.join(self.root, os.path.dirname(name), target))
                if not os.path.exists(path):
                    self.say(name, number, f'the link {link} leads nowhere')

    def check_script(self, name, text):
        shebang = text.startswith('#!')
        executable = os.access(os.path.join(self.root, name), os.X_OK)
        in_scripts = name.startswith(('scripts/', '.ci/'))
        if (shebang or in_scripts) and not executable:
            self.say(name, 1, 'a script is executable: chmod +x')
        if in_scripts and not shebang:
            self.say(name, 1, 'a script begins with #!')
        if name.endswith('.sh') or re.match(r'#!.*\b(bash|sh)\b', text.split('\n', 1)[0]):
            result = subprocess.run(['bash', '-n', os.path.join(self.root, name)],
                                    capture_output=True, text=True)
            if result.returncode != 0:
                self.say(name, 1, 'bash -n: ' + result.stderr.strip().split('\n')[0])

    def check_all(self):
        for name in self.files:
            if name.startswith('tests/tidy/sample'):
                continue
            base = os.path.basename(name)
            known = name.endswith(COMMENTED + ('.md',)) or base == 'CMakeLists.txt'
            if not known and not name.startswith(('scripts/', '.ci/')):
                continue
            text = read(self.root, name)
            self.check_form(name, text)
            if name.endswith(CODE):
                self.check_includes(name, text)
                self.check_tokens(name, text)
            if name.endswith('.md'):
                self.check_links(name, text)
            if name.endswith(('.sh', '.py')) or name.startswith(('scripts/', '.ci/')):
                self.check_script(name, text)
        return self.findings


def proven(root, names):
    """Headers that the build itself compiles alone: first include of their own .cpp."""
    out = set()
    for name in names:
        if name.startswith('src/') and name.endswith('.cpp'):
            own = name[len('src/'):-len('.cpp')] + '.hpp'
            first = re.search(r'^\s*#\s*include\s*[<"]([^">]+)', read(root, name), re.M)
            if first and first.group(1).removeprefix('tools/') == own.removeprefix('tools/'):
                out.add('src/' + own)
    return out


def check_headers(root):
    names = git_files(root)
    headers = [n for n in names if n.endswith(('.hpp', '.h')) and
               n.startswith(('src/', 'include/'))]
    headers = sorted(set(headers) - proven(root, names))
    compiler = os.environ.get('CXX', 'g++')

    def compile_one(name):
        if name.endswith('.h'):
            command = [os.environ.get('CC', 'gcc'), '-std=c99', '-x', 'c', '-Wpedantic']
        else:
            command = [compiler, '-std=c++20', '-x', 'c++']
        command += ['-Wall', '-Wextra', '-Werror', '-fsyntax-only', '-DMSGPACK_NO_BOOST',
                    '-I' + os.path.join(root, 'src'), '-I' + os.path.join(root, 'include'),
                    '-I' + os.path.join(root, 'src', 'tools'), '-']
        include = os.path.relpath(os.path.join(root, name), root)
        source = f'#include "{os.path.join(os.path.abspath(root), include)}"\n'
        result = subprocess.run(command, input=source, capture_output=True, text=True)
        if result.returncode == 0:
            return None
        lines = [x for x in result.stderr.splitlines() if 'error' in x] or ['does not compile']
        return f'{name}:1: alone it does not compile: {lines[0].strip()}'

    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        found = [f for f in pool.map(compile_one, headers) if f]
    return found, len(headers)


# ---- self-test --------------------------------------------------------------------------
HEAD = '// sample.cpp: a bad sample.\n'
GOOD_TREE = {
    'CMakeLists.txt': '# sample\nrcs_folder(base)\nrcs_folder(raft DEPS base)\n'
                      'rcs_folder(net DEPS base LINK x)\n',
    'src/raft/good.cpp': HEAD + '#include "base/a.hpp"\nint a;  // try to throw printf( nothing\n',
    'src/base/a.hpp': '// a.hpp: a sample.\n#pragma once\nconst char* a = "throw TO" "DO exit(";\n',
    'docs/page.md': '[there](../src/base/a.hpp) and `[x](y)`\n',
}
BAD_FILES = [
    ('src/raft/a.cpp', HEAD + '#include "net/b.hpp"\n', 'may not include'),
    ('src/raft/a.cpp', HEAD + '#include "tools/common/b.hpp"\n', 'may not include'),
    ('src/raft/a.cpp', HEAD + '#include "b.hpp"\n', 'write the folder'),
    ('src/tools/x/a.cpp', HEAD + '#include "raft/b.hpp"\n', 'tools use raftcs.h'),
    ('src/base/a.cpp', HEAD + '#include <zmq.h>\n', 'ZeroMQ'),
    ('src/net/a.cpp', HEAD + '#include <msgpack.hpp>\n', 'msgpack'),
    ('src/net/a.cpp', HEAD + '#include <boost/dll/shared_library.hpp>\n', 'Boost.DLL'),
    ('src/net/a.cpp', HEAD + '#include <nlohmann/json.hpp>\n', 'nlohmann'),
    ('src/net/a.cpp', HEAD + '#include <toml++/toml.h>\n', 'toml++'),
    ('src/raft/a.cpp', HEAD + '#include <mutex>\n', 'threads belong'),
    ('src/client/engine.cpp', HEAD + '#include <thread>\n', 'threads belong'),
    ('src/net/a.cpp', HEAD + 'auto t = std::chrono::steady_clock::now();\n', 'clocks'),
    ('src/raft/a.cpp', HEAD + 'int r = std::rand();\n', 'random numbers'),
    ('src/raft/a.cpp', HEAD + 'void f() { throw 1; }\n', 'no exceptions'),
    ('src/net/a.cpp', HEAD + 'void f() { std::abort(); }\n', 'does not end'),
    ('src/net/a.cpp', HEAD + 'void f() { std::printf("x"); }\n', 'does not print'),
    ('src/net/a.cpp', HEAD + 'void f() { std::cout << 1; }\n', 'does not print'),
    ('src/net/a.cpp', HEAD + '// TO' 'DO later\n', 'unfinished'),
    ('src/net/a.cpp', HEAD + 'int a; ' + '// x' * 30 + '\n', 'columns'),
    ('src/net/a.cpp', HEAD + 'int a;\n' * 900, 'lines; at most'),
    ('src/net/a.cpp', '#include <string>\n', 'begins with a sentence'),
    ('docs/bad.md', '# x\n[gone](nowhere.md)\n', 'leads nowhere'),
    ('scripts/a.sh', '#!/bin/bash\nif true; then\n', 'bash -n'),
    ('scripts/b.sh', '#!/bin/bash\n# b\ntrue\n', 'executable'),
]


def make_tree(folder, files):
    for name, text in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)


def selftest():
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        make_tree(folder, GOOD_TREE)
        failures += ['the good tree is refused: ' + f for f in Checker(folder).check_all()]
    for name, text, wanted in BAD_FILES:
        with tempfile.TemporaryDirectory() as folder:
            make_tree(folder, dict(GOOD_TREE, **{name: text}))
            found = Checker(folder).check_all()
            if not any(f.startswith(name + ':') and wanted in f for f in found):
                failures.append(f'{name} with "{wanted}" is not refused: {found}')
    with tempfile.TemporaryDirectory() as folder:
        make_tree(folder, {'CMakeLists.txt': '# x\n',
                           'src/base/a.hpp': '// a.hpp\n#pragma once\nstd::string a();\n'})
        if len(check_headers(folder)[0]) != 1:
            failures.append('a header that does not stand alone is not refused')
    return failures


def main(arguments):
    here = os.path.dirname(os.path.abspath(__file__))
    root = arguments[1] if len(arguments) > 1 else os.path.dirname(os.path.dirname(here))
    mode = arguments[0] if arguments else ''
    if mode == 'text':
        checker = Checker(root)
        found = checker.check_all()
        for line in checker.warnings:
            print('warning: ' + line)
        what = f'{len(checker.files)} files'
    elif mode == 'headers':
        found, count = check_headers(root)
        what = f'{count} headers'
    elif mode == 'selftest':
        found, what = selftest(), f'{len(BAD_FILES) + 2} samples'
    else:
        print(__doc__)
        return 2
    for line in found:
        print(line)
    print(f'tidy {mode}: {what}, {len(found)} findings')
    return 1 if found else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
