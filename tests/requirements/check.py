#!/usr/bin/env python3
"""check.py: docs/requirements.md says what shows each requirement; this says whether that is so.

    check.py check BUILD      the page against the tests that exist; BUILD is the build directory
    check.py selftest         refuses a page with one mistake per rule

A row is `| id | statement | state | tests |`. What must hold: every id of IDS has one row, in order;
`met` names at least one test and each named test exists; `declined` links a decision that mentions
the id; `open` is only what OPEN lists with its reason. Names of tests: `Suite.Name` (GoogleTest),
`file.py::function`, `file.c::function` (cmocka), `ctest:NAME`, and files below tests/.
"""
import os
import re
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
COUNTS = {'SES': 23, 'CMD': 21, 'QRY': 10, 'SRQ': 19, 'KAL': 14, 'CLI': 25, 'LDR': 12, 'SRV': 12,
          'SSM': 14, 'PRO': 7}
WEAKNESSES = {'W-S': 17, 'W-C': 20, 'W-M': 16, 'W-P': 8}
IDS = ([f'{kind}-{n:02}' for kind, count in COUNTS.items() for n in range(1, count + 1)] +
       [f'{kind}{n}' for kind, count in WEAKNESSES.items() for n in range(1, count + 1)])

# What is neither met nor declined yet, with the reason. Shrinks to nothing.
OPEN = {}

GTEST = re.compile(r'\bTEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\)|'
                   r'\bTYPED_TEST\(\s*(\w+)\s*,\s*(\w+)\s*\)|'
                   r'\bRC_GTEST(?:_FIXTURE)?_PROP\(\s*(\w+)\s*,\s*(\w+)\s*,')
CMOCKA = re.compile(r'\bcmocka_unit_test(?:_\w+)?\(\s*(\w+)')
PYTHON = re.compile(r'^\s*(?:async )?def (test_\w+)', re.M)
CTEST = re.compile(r'^add_test\((?:\[=*\[)?"?([^\]"\s]+)', re.M)
ROW = re.compile(r'^\| ((?:[A-Z]{3}-\d\d)|(?:W-[A-Z]\d+)) \| (.*) \| (\w+) \|(.*)\|$')
NAME = re.compile(r'`([^`]+)`')
LINK = re.compile(r'\((decisions/[\w.-]+)\)')


def sources(*endings):
    for folder, dirs, files in os.walk(os.path.join(ROOT, 'tests')):
        dirs[:] = [d for d in dirs if d != '__pycache__']
        for name in files:
            if name.endswith(endings):
                with open(os.path.join(folder, name), encoding='utf-8', errors='replace') as f:
                    yield name, f.read()


def tests_of_sources():
    """Every name that the page may use, but ctest's."""
    names = set()
    for name, text in sources('.cpp', '.hpp', '.c', '.py'):
        if name.endswith(('.cpp', '.hpp')):
            for match in GTEST.findall(text):
                pair = [part for part in match if part]
                names.add('.'.join(pair))
        elif name.endswith('.c'):
            names.update(f'{name}::{test}' for test in CMOCKA.findall(text))
        else:
            names.update(f'{name}::{test}' for test in PYTHON.findall(text))
    return names


def tests_of_build(build):
    """The names of ctest, from the files that it reads itself."""
    names = set()
    for folder, dirs, files in os.walk(build):
        dirs[:] = [d for d in dirs if d not in ('CMakeFiles', 'bin')]
        if 'CTestTestfile.cmake' in files:
            with open(os.path.join(folder, 'CTestTestfile.cmake'), encoding='utf-8') as f:
                names.update('ctest:' + name for name in CTEST.findall(f.read()))
    return names


def decision(link):
    try:
        with open(os.path.join(ROOT, 'docs', link), encoding='utf-8') as f:
            return f.read()
    except OSError:
        return None


def exists(name, names):
    return name in names or ('/' in name and os.path.isfile(os.path.join(ROOT, 'tests', name)))


def row_findings(row, names, still_open, read_decision):
    """What is wrong with one row (id, statement, state, tests)."""
    number, statement, state, tests = row
    if len(statement.split()) < 3:
        yield f'{number}: says nothing'
    named = NAME.findall(tests)
    for name in named:
        if not exists(name, names):
            yield f'{number}: there is no test {name}'
    if (state == 'open') != (number in still_open):
        yield f'{number}: is {state}, and the list of open ones says otherwise'
    elif state == 'met' and not named:
        yield f'{number}: is met, and no test shows it'
    elif state == 'declined':
        texts = [read_decision(link) for link in LINK.findall(tests)]
        if not any(text and re.search(rf'\b{number}\b', text) for text in texts):
            yield f'{number}: is declined, and no linked decision speaks of it'
    elif state not in ('met', 'open'):
        yield f'{number}: {state} is no state'


def findings(page, names, ids=None, still_open=None, read_decision=decision):
    ids = IDS if ids is None else ids
    still_open = OPEN if still_open is None else still_open
    rows = [match.groups() for match in map(ROW.match, page.splitlines()) if match]
    found = [row[0] for row in rows]
    out = [f'{n}: has no row' for n in ids if n not in found]
    out += [f'{n}: is no requirement' for n in found if n not in ids]
    out += [f'{n}: has more than one row' for n in sorted(set(found)) if found.count(n) > 1]
    if not out and found != ids:
        out.append('the rows are not in the order of the list')
    for row in rows:
        out += row_findings(row, names, still_open, read_decision)
    out += [f'{n}: is open without a reason' for n, why in still_open.items() if not why]
    return out


def check(build):
    with open(os.path.join(ROOT, 'docs', 'requirements.md'), encoding='utf-8') as f:
        page = f.read()
    built = tests_of_build(build)
    names = tests_of_sources() | built
    if len(built) < 20 or len(names) < 300:
        print(f'only {len(names)} tests were found, {len(built)} of them in {build}')
        return 1
    wrong = findings(page, names)
    for line in wrong:
        print('docs/requirements.md: ' + line)
    used = {name for row in map(ROW.match, page.splitlines()) if row
            for name in NAME.findall(row.group(4))}
    states = [row.group(3) for row in map(ROW.match, page.splitlines()) if row]
    print(f'{len(states)} requirements: {states.count("met")} met, {states.count("declined")} '
          f'declined, {states.count("open")} open; {len(used)} tests named; {len(wrong)} findings')
    return 1 if wrong else 0


def selftest():
    good = ('| SES-01 | ids are unique | met | `A.B` `t.py::test_x` |\n'
            '| SES-02 | not done here | declined | [why](decisions/1.md) |\n'
            '| W-S1 | left for later | open | |\n')
    names = {'A.B', 't.py::test_x'}
    ids, later = ['SES-01', 'SES-02', 'W-S1'], {'W-S1': 'somebody is at it'}

    def wrong(page, still_open=None):
        return findings(page, names, ids, later if still_open is None else still_open,
                        {'decisions/1.md': 'SES-02: no.'}.get)
    cases = [
        ('`A.B`', '`A.C`', 'there is no test A.C'),
        ('`A.B` `t.py::test_x`', 'many', 'no test shows it'),
        ('| SES-01 | ids are unique', '| SES-03 | ids are unique', 'SES-01: has no row'),
        ('SES-02', 'SES-01', 'more than one row'),
        ('decisions/1.md', 'decisions/2.md', 'no linked decision'),
        ('declined', 'shelved', 'is no state'),
        ('| open |', '| met |', 'list of open ones'),
        ('ids are unique', 'x', 'says nothing'),
    ]
    failed = [] if wrong(good) == [] else [f'a good page is refused: {wrong(good)}']
    for before, after, sentence in cases:
        if not any(sentence in line for line in wrong(good.replace(before, after, 1))):
            failed.append(f'{before} -> {after}: not found: {sentence}')
    if not any('without a reason' in line for line in wrong(good, {'W-S1': ''})):
        failed.append('open without a reason is not found')
    print('\n'.join(failed) or f'{len(cases) + 1} mistakes found')
    return 1 if failed else 0


if __name__ == '__main__':
    if sys.argv[1:2] == ['check'] and len(sys.argv) == 3:
        sys.exit(check(sys.argv[2]))
    if sys.argv[1:] == ['selftest']:
        sys.exit(selftest())
    print(__doc__, file=sys.stderr)
    sys.exit(2)
