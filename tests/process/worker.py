#!/usr/bin/env python3
"""worker.py: a client in a process of its own, so that it can be killed and paused.

Reads one JSON object a line, {"call": NAME, ...}, and answers each with one line. A failure is
{"error": STATUS NAME, "unknown": BOOL}. What must hold: calls of the binding are made as any
program would; nothing is retried here.
"""
import json
import sys

import raftcs
from raftcs import kv


class Program:
    def __init__(self):
        self.client = None
        self.under_way = []

    def open(self, settings, token):
        session = None if token is None else bytes.fromhex(token)
        self.client = raftcs.Client(settings, session=session).wait_connected(40)
        return {'session': self.client.info().session_id.hex()}

    def incr(self, key, times=1, timeout=60):
        """Adds 1, one after the other; the answers."""
        store = kv.Kv(self.client)
        return {'values': [store.incr(key, timeout=timeout) for _ in range(times)]}

    def start(self, key, times, timeout=60):
        """Begins to add 1 so many times and does not wait."""
        for _ in range(times):
            call = kv.incr(key)
            self.under_way.append((self.client.start_submit('kv', call.payload, timeout=timeout),
                                   call))
        return {'outstanding': self.client.info().outstanding}

    def results(self):
        """The answers of what was begun."""
        values = [call.read(pending.result()) for pending, call in self.under_way]
        self.under_way = []
        return {'values': values}

    def export(self):
        return {'token': self.client.export_session().hex()}

    def watch(self, key):
        kv.Kv(self.client).watch(key)
        return {}

    def states(self):
        return {'states': [[e.kind, e.state, e.status] for e in self.client.states()],
                'state': self.client.info().state}

    def close(self, keep=False):
        self.client.close(keep_session=keep)
        return {}


def main():
    program = Program()
    for line in sys.stdin:
        arguments = json.loads(line)
        try:
            answer = getattr(program, arguments.pop('call'))(**arguments)
        except raftcs.RaftcsError as error:
            answer = {'error': error.name, 'unknown': isinstance(error, raftcs.OutcomeUnknown)}
        print(json.dumps(answer), flush=True)


if __name__ == '__main__':
    main()
