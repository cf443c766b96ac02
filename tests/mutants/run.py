#!/usr/bin/env python3
"""run.py: shows that the tests find known bugs.

    run.py BUILD_DIR [--only ID,ID] [--seeds N] [--states N] [--no-sim] [--no-explore] [--no-tests]
    run.py BUILD_DIR --write [...]
    run.py --table

BUILD_DIR is a build with -DRAFTCS_MUTANTS=ON, in which RAFTCS_BUG=ID switches one bug in
(src/base/mutant.hpp). For each bug of the table below: the named direct tests must fail, and
the explorer and the simulator must find it where the table says so, within their bounds. Without a
bug the same commands must pass. Prints a table, then what was run and who found how many; exit code
1 if a bug survived where it must not, and 2 if the table, the sources and the page do not name the
same bugs (--table checks only that). The page is docs/testing.md: there is what each needed when it
was last measured, and --write puts what this run measured in its place.

A run that does not end counts as found only where the table says that the bug is an endless loop:
on a slow machine any bug would pass else.
"""
import argparse
import os
import re
import resource
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PAGE = os.path.join(ROOT, 'docs', 'testing.md')
PAGE_HEAD = '| bug | what it does | explorer: plan, states, broken | simulator: seed, what it says |'
MEMORY_BYTES = 4 << 30  # a bug may also be an endless loop that allocates
DIRECT_S, EXPLORE_S, SIM_S, CLEAN_S = 120, 240, 900, 3600
ENDLESS_S = 60  # for a bug that is known to end only by this
SLOWER = 5      # told when a bug needs so many times the seeds it needed when it was measured
FOUND, ENDLESS = True, False  # by the simulator: by what fails, by a run that does not end


class Mutant:
    """tests: (program, filter) pairs. plans: those of the explorer that find it. sim: FOUND or
    ENDLESS, or the reason why the simulator cannot find it."""

    def __init__(self, ident, what, tests, plans, sim=FOUND):
        self.ident, self.what, self.tests, self.plans, self.sim = ident, what, tests, plans, sim


def unit(pattern):
    return ('unit_raft', pattern)


NOT_BEFORE_SERVING = 'a whole node asks its core for that only when it serves: after an own commit'

MUTANTS = [
    Mutant('EL-01', 'a vote is granted before it is durable', [unit('*EL_01*')], 'A'),
    Mutant('EL-02', 'votes are asked for, and counted, before the own one is durable',
           [unit('*EL_02*')], 'A'),
    Mutant('EL-03', 'a step down within a term forgets the vote', [unit('*EL_03*')], 'A'),
    Mutant('EL-04', 'a new log segment begins without the vote',
           [('unit_storage', 'CrashTest.*:DataDirTest.*')], ''),
    Mutant('EL-05', 'a late grant counts in the next election', [unit('*EL_05*')], 'A'),
    Mutant('EL-06', 'a pre-vote counts as a vote', [unit('*EL_05_06*')], 'A'),
    Mutant('EL-10', 'logs are compared by length alone', [unit('*EL_10*')], 'B'),
    Mutant('EL-11', 'a compacted log has last term 0', [unit('*EL_11*')], 'C'),
    Mutant('EL-12', 'campaigns on a tail that is not durable', [unit('*EL_12*')], 'G'),
    Mutant('EL-13', 'campaigns while it receives a snapshot', [unit('*EL_13*')], '',
           'whoever wins then holds all the snapshot covers: nothing is lost'),
    Mutant('EL-14', 'a higher term seen in a request counts as a vote given', [unit('*EL_14*')],
           'G'),
    Mutant('EL-18', 'leads again in a term in which it has led', [unit('*EL_18*')], 'A'),
    Mutant('LR-01', 'a shorter append cuts the log', [unit('*LR_01*')], 'B'),
    Mutant('LR-02', 'acknowledges its own last index', [unit('*LR_02*')], 'B'),
    Mutant('LR-03', 'answers of an older term count', [unit('*LR_03*')], 'F'),
    Mutant('LR-04', 'match goes back when answers are reordered', [unit('*LR_04*')], ''),
    Mutant('LR-05', 'an empty append instead of a snapshot',
           [('scenario', '*snapshot_to_late*'), ('paper', '*Section_5*')], 'C', ENDLESS),
    Mutant('LR-06', 'unknown terms are 0', [unit('*LR_06*')], 'C'),
    Mutant('LR-07', 'what is committed is compared again', [unit('*LR_07*')], ''),
    Mutant('LR-08', 'the hint of a refusal does not go down', [unit('*LR_08*')], ''),
    Mutant('LR-11', 'an overtaken write counts for what replaced it', [unit('*LR_11*')], 'F'),
    Mutant('CM-01', 'entries of older terms are committed by counting',
           [('paper', '*Section_3_6_2*')], 'B'),
    Mutant('CM-03', 'commits behind what the message verified', [unit('*CM_03*')], 'B'),
    Mutant('CM-05', 'the own copy counts before it is durable', [unit('*CM_05*')], 'F'),
    Mutant('CM-07', 'a joint configuration needs one majority only',
           [unit('*CM_07*'), ('paper', '*Section_4_3*')], 'D'),
    Mutant('CM-07-even', 'half of an even number is a majority', [unit('*CM_07*')], 'D'),
    Mutant('PS-01', 'acknowledges before the sync', [unit('*PS_01*')], 'F'),
    Mutant('PS-02', 'a failed sync is tried again',
           [('unit_storage', 'FaultTest.FirstErrorIsFinal')], ''),
    Mutant('PS-04', 'directories are not synced', [('unit_storage', 'CrashTest.*')], ''),
    Mutant('PS-06', 'damage in the middle is cut like a torn tail',
           [('unit_storage', 'FaultTest.OneFlippedByte*')], '',
           'rot takes only bytes that the scan calls damage: never what the bug cuts in silence'),
    Mutant('PS-11', 'the applied index runs ahead of what is applied',
           [('unit_rsm', 'Services.D10*:Commands.RC08*')], '',
           'no replica stops inside an entry there'),
    Mutant('SN-01', 'a snapshot behind the commit index is installed', [unit('*SN_01*')], 'C'),
    Mutant('SN-02', 'the log on disk stays when a snapshot replaces it', [unit('*SN_02*')], 'C'),
    Mutant('SN-04', 'a snapshot has a configuration newer than itself',
           [('unit_server', '*SN_04*')], ''),
    Mutant('SN-05', 'configurations of a replaced log stay in force', [unit('*SN_05*')], 'C'),
    Mutant('SN-09', 'the log goes before its snapshot is durable',
           [('unit_storage', 'CrashTest.*')], ''),
    Mutant('MB-01', 'configurations before an own commit', [unit('*MB_01*')], 'D',
           NOT_BEFORE_SERVING),
    Mutant('MB-02', 'a removed configuration stays in force', [unit('*MB_02*')], 'D'),
    Mutant('MB-08', 'a wiped disk comes back under its old name', [('unit_server', '*MB_08*')], ''),
    Mutant('RD-01', 'reads before an own commit', [unit('*RD_01*')], 'E', NOT_BEFORE_SERVING),
    Mutant('RD-03', 'any answer confirms the latest round', [unit('*RD_03*')], 'E'),
    Mutant('SE-01', 'cached replies are not in snapshots', [('unit_rsm', 'Snapshots.*')], ''),
    Mutant('SE-02', 'last activity is not in snapshots', [('unit_rsm', 'Snapshots.*')], ''),
    Mutant('SE-05', 'duplicates run', [('unit_rsm', 'Commands.*')], ''),
    Mutant('SE-07', 'the newest request evicts all replies', [('unit_rsm', 'Commands.*')], ''),
]


def limit(sanitized):
    if not sanitized:  # a sanitizer asks for terabytes of addresses
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Runner:
    def __init__(self, arguments):
        self.build = os.path.abspath(arguments.build)
        self.arguments = arguments
        self.passing = {}  # command -> passes without a bug
        with open(os.path.join(self.build, 'CMakeCache.txt'), encoding='utf-8') as f:
            self.sanitized = re.search(r'^RAFTCS_SANITIZE:\w+=\S', f.read(), re.M) is not None

    def program(self, name):
        folder = {'raftcs-explore': 'tests/explore', 'raftcs-sim': 'tests/sim'}.get(name, 'tests')
        return os.path.join(self.build, folder, name)

    def run(self, command, bug, timeout_s):
        """(failed, output, ended). A crash and a failure are alike."""
        environment = dict(os.environ)
        environment.pop('RAFTCS_BUG', None)
        if bug:
            environment['RAFTCS_BUG'] = bug
        try:
            done = subprocess.run(command, env=environment, timeout=timeout_s, text=True,
                                  errors='replace', stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT,
                                  preexec_fn=lambda: limit(self.sanitized))
        except subprocess.TimeoutExpired as e:
            text = e.stdout or b''
            return True, text if isinstance(text, str) else text.decode(errors='replace'), False
        return done.returncode != 0, done.stdout, True

    def clean(self, command, timeout_s):
        """The same command must pass without a bug, or its failure proves nothing."""
        key = tuple(command)
        if key not in self.passing:
            failed, output, _ = self.run(command, None, timeout_s)
            self.passing[key] = not failed and 'Running 0 tests' not in output
            if not self.passing[key]:
                print(f'run.py: fails without any bug: {" ".join(command)}\n{output[-2000:]}',
                      file=sys.stderr)
        return self.passing[key]

    def direct(self, mutant):
        """The name of the test that fails, or ''."""
        for name, pattern in mutant.tests:
            command = [self.program(name), '--gtest_brief=1', f'--gtest_filter={pattern}']
            if not os.path.exists(command[0]) or not self.clean(command, DIRECT_S):
                continue
            failed, output, _ = self.run(command, mutant.ident, DIRECT_S)
            if failed:
                found = re.search(r'\[  FAILED  \] (\S+)', output)
                return found.group(1).rstrip(',') if found else f'{name} {pattern} (ends early)'
        return ''

    def explore(self, mutant):
        """States until the invariant broke, and its name; None if it did not."""
        for plan in mutant.plans or '':
            command = [self.program('raftcs-explore'), '--plan', plan]
            if self.arguments.states:
                command += ['--states', str(self.arguments.states)]
            failed, output, ended = self.run(command, mutant.ident, EXPLORE_S)
            if not ended:
                continue
            broken = re.search(r'VIOLATED (?:node \d+: )?(\S+)', output)
            states = re.search(r'(\d+) states', output)
            if failed and broken and states:
                return plan, int(states.group(1)), broken.group(1).rstrip(':')
            # One that saw too little has found nothing.
            if failed and 'TOO LITTLE' not in output:
                return plan, 0, 'ends early'
        return None

    def simulate(self, mutant):
        """(seeds until it failed, the sentence), or None."""
        command = [self.program('raftcs-sim'), '--from', '1', '--seeds', str(self.arguments.seeds)]
        endless = mutant.sim is ENDLESS
        failed, output, ended = self.run(command, mutant.ident, ENDLESS_S if endless else SIM_S)
        if not ended:
            return (0, 'does not end') if endless else None
        if not failed:
            return None
        seed = re.search(r'--seed (\d+) --verbose', output)
        reason = re.search(r'FAILED.*\n\s+(.*)', output)
        if seed is None:
            return (0, 'ends early') if 'exercised too little' not in output else None
        return int(seed.group(1)), reason.group(1)[:70] if reason else ''


class Page:
    """The table of docs/testing.md: for each bug a line of what it does, what the explorer and the
    simulator needed and said."""

    def __init__(self):
        with open(PAGE, encoding='utf-8') as f:
            self.lines = f.read().split('\n')
        begin = self.lines.index(PAGE_HEAD) + 2
        self.at = {}  # bug -> number of its line
        for number in range(begin, len(self.lines)):
            if not self.lines[number].startswith('| '):
                break
            self.at[self.cells(number)[0]] = number

    def cells(self, number):
        return [cell.strip() for cell in self.lines[number].strip('|').split('|')]

    def seed(self, mutant):
        """Where the simulator found it when it was last measured; None: it did not."""
        number = re.match(r'\d+', self.cells(self.at[mutant.ident])[3])
        return int(number.group(0)) if number else None

    def differs(self, mutant):
        """In what the line of a bug is not what is listed here, or ''."""
        if mutant.ident not in self.at:
            return 'is not there'
        _, what, explorer, _ = self.cells(self.at[mutant.ident])
        plan = re.match(r'([A-Z]) ([\d,]+, |endless)', explorer)
        if what != mutant.what:
            return f'is "{what}", not "{mutant.what}"'
        if (plan.group(1) if plan else '') not in mutant.plans or bool(plan) != bool(mutant.plans):
            return f'found by the explorer with "{explorer}", not with plan {mutant.plans or "any"}'
        if (self.seed(mutant) is not None) != (mutant.sim is FOUND):
            return 'found by the simulator in one of the two only'
        return ''

    def measured(self, mutant, explored, simulated):
        cells = self.cells(self.at[mutant.ident])
        if explored and explored[1]:
            broken = explored[2].replace('check', 'a check of the core')
            cells[2] = f'{explored[0]} {explored[1]:,}, {broken}'
        if simulated and simulated[0]:
            cells[3] = f'{simulated[0]}, {simulated[1].replace("|", "/")}'
        self.lines[self.at[mutant.ident]] = f'| {" | ".join(cells)} |'

    def write(self):
        with open(PAGE, 'w', encoding='utf-8') as f:
            f.write('\n'.join(self.lines))


def in_sources():
    found = set()
    for folder, _, files in os.walk(os.path.join(ROOT, 'src')):
        for name in files:
            if name.endswith(('.cpp', '.hpp')) and not name.startswith('mutant.'):
                with open(os.path.join(folder, name), encoding='utf-8') as f:
                    found |= set(re.findall(r'RCS_MUTANT\("([^"]+)"\)', f.read()))
    return found


class Count:
    """What one of the three was asked to find, and what it took."""

    def __init__(self, name, unit_of_work):
        self.name, self.unit_of_work = name, unit_of_work
        self.asked = self.found = self.work = self.cannot = 0

    def add(self, found, work):
        self.asked += 1
        self.found += 1 if found else 0
        self.work += work

    def sentence(self):
        work = f' in {self.work:,} {self.unit_of_work}' if self.unit_of_work else ''
        cannot = f'; {self.cannot} it cannot see' if self.cannot else ''
        return f'{self.name}: {self.found} of {self.asked}{work}{cannot}'


def check(runner, mutant, counts, page):
    """Runs all that is asked for; where it survived."""
    arguments = runner.arguments
    begin = time.monotonic()
    direct, survived = '', []
    explored, simulated = '', ''
    by_explorer = by_simulator = None
    if not arguments.no_tests:
        direct = runner.direct(mutant) or 'survives'
        counts['tests'].add(direct != 'survives', 1)
        if direct == 'survives':
            survived.append('tests')
    if not arguments.no_explore:
        if mutant.plans:
            found = by_explorer = runner.explore(mutant)
            explored = f'{found[0]}: {found[1]:,} ({found[2]})' if found else 'survives'
            counts['explorer'].add(found, found[1] if found else 0)
            if not found:
                survived.append('explorer')
        else:
            counts['explorer'].cannot += 1
    if not arguments.no_sim:
        if isinstance(mutant.sim, str):
            simulated = 'cannot: ' + mutant.sim
            counts['simulator'].cannot += 1
        else:
            found = by_simulator = runner.simulate(mutant)
            simulated = f'{found[0]} ({found[1]})' if found else 'survives'
            counts['simulator'].add(found, found[0] if found else arguments.seeds)
            if not found:
                survived.append('simulator')
            elif found[0] > max(SLOWER * (page.seed(mutant) or 0), 50):
                simulated += f'; it was {page.seed(mutant)} when measured'
    row = f'| {mutant.ident} | {mutant.what} | {direct} | {explored} | {simulated} |'
    print(f'{row}  {time.monotonic() - begin:.0f} s', flush=True)
    page.measured(mutant, by_explorer, by_simulator)
    return survived


def main():
    parser = argparse.ArgumentParser(description='shows that the tests find known bugs')
    parser.add_argument('build', nargs='?')
    parser.add_argument('--table', action='store_true')
    parser.add_argument('--write', action='store_true')
    parser.add_argument('--only', default='')
    parser.add_argument('--seeds', type=int, default=300)
    parser.add_argument('--states', type=int, default=0)
    parser.add_argument('--no-sim', action='store_true')
    parser.add_argument('--no-explore', action='store_true')
    parser.add_argument('--no-tests', action='store_true')
    arguments = parser.parse_args()
    listed = {m.ident for m in MUTANTS}
    if listed != in_sources():
        print(f'run.py: only in the table: {sorted(listed - in_sources())}, only in src: '
              f'{sorted(in_sources() - listed)}', file=sys.stderr)
        return 2
    page = Page()
    wrong = {m.ident: page.differs(m) for m in MUTANTS if page.differs(m)}
    wrong.update({ident: 'is not listed' for ident in page.at if ident not in listed})
    if wrong:
        print('\n'.join(f'run.py: {PAGE}: {ident} {how}' for ident, how in wrong.items()),
              file=sys.stderr)
        return 2
    if arguments.table:
        print(f'{len(listed)} bugs')
        return 0 if len(listed) >= 30 else 1
    if not arguments.build:
        parser.error('which build?')
    wanted = set(filter(None, arguments.only.split(','))) or listed
    if not wanted <= listed:
        print(f'run.py: no such bug: {sorted(wanted - listed)}', file=sys.stderr)
        return 2
    runner, begin = Runner(arguments), time.monotonic()
    good = True
    if not arguments.no_explore:
        states = ['--states', str(arguments.states)] if arguments.states else []
        good &= runner.clean([runner.program('raftcs-explore')] + states, 6 * EXPLORE_S)
    if not arguments.no_sim:
        good &= runner.clean([runner.program('raftcs-sim'), '--from', '1', '--seeds',
                              str(arguments.seeds)], CLEAN_S)
    print('| bug | what it does | test | explorer: states | simulator: seeds |')
    print('|---|---|---|---|---|')
    survivors = {}
    counts = {'tests': Count('tests', ''), 'explorer': Count('explorer', 'states'),
              'simulator': Count('simulator', 'seeds')}
    for mutant in MUTANTS:
        if mutant.ident not in wanted:
            continue
        survived = check(runner, mutant, counts, page)
        if survived:
            survivors[mutant.ident] = survived
    if arguments.write:
        page.write()
    good &= all(runner.passing.values())
    for ident, where in survivors.items():
        print(f'SURVIVES: {ident} ({", ".join(where)})')
    print(f'{len(wanted)} of {len(listed)} bugs, {len(runner.passing)} commands that must pass '
          f'without one, {time.monotonic() - begin:.0f} s')
    for left_out, name in ((arguments.no_tests, 'tests'), (arguments.no_explore, 'explorer'),
                           (arguments.no_sim, 'simulator')):
        print('  ' + (f'{name}: not run' if left_out else counts[name].sentence()))
    print(f'{len(wanted) - len(survivors)} of {len(wanted)} bugs found everywhere they must be'
          + ('' if good else '; some commands fail without any bug'))
    return 0 if good and not survivors else 1


if __name__ == '__main__':
    sys.exit(main())
