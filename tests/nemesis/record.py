"""record.py: writes what a client process asked and was told (tests/history/history.hpp).

What must hold: a call is in the file before it is made, so that it is known even if this process
is killed; times are of CLOCK_MONOTONIC, which all processes of a machine share.
"""
import os
import time


class Recorder:
    """One file for the threads of one process."""

    def __init__(self, path):
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def line(self, process, *words):
        """One write() for one line, so lines of threads do not mix."""
        text = ' '.join(str(w) for w in (time.monotonic_ns(), process, *words))
        os.write(self.file, text.encode() + b'\n')

    def call(self, process, obj, kind, *arguments):
        self.line(process, 'call', obj, kind, *arguments)


class Tail:
    """Counts what was done, in files that others are writing."""

    def __init__(self, paths):
        self.at = {path: 0 for path in paths}
        self.done = 0

    def count(self):
        """All operations that were done so far."""
        for path, offset in self.at.items():
            if not os.path.exists(path):
                continue
            with open(path, 'rb') as f:
                f.seek(offset)
                data = f.read()
            whole = data.rfind(b'\n') + 1
            self.at[path] += whole
            self.done += sum(line.split(b' ', 3)[2] == b'ok'
                             for line in data[:whole].splitlines())
        return self.done
