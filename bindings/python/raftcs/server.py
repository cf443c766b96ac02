"""A node of a cluster inside this process.

The node runs on the library's threads and takes no lock of Python. State machines come from
plugins; writing one in Python would run it under the interpreter's lock on every replica's apply
thread, so this package does not offer it.

What must hold: the events of a node are taken by whoever waits on it; a node that nobody waits on
keeps at most one queue of changes, which is why events() and stop() take them.
"""
from __future__ import annotations

import itertools
import weakref
from collections import deque
from ctypes import byref, c_void_p, sizeof
from types import TracebackType
from typing import Any, Deque, Dict, Iterator, Mapping, NamedTuple, Optional, Type, Union

from . import _ffi, errors
from ._base import Source, document_of, json_text
from ._events import Event, Life, Mailbox, Queue, sweep
from ._library import api, c_text, text
from .config import Config, raise_error

EVENTS_KEPT = 1024


class ServerInfo(NamedTuple):
    """A node at one moment; see raftcs_server_info in raftcs.h."""

    running: bool
    id: int
    leader: int
    term: int
    commit_index: int
    applied_index: int
    leads: bool
    health: int
    client_address: str
    peer_address: str


class Server:
    """An embedded node. Use as a context manager, or start() and stop()."""

    def __init__(self, config: Source) -> None:
        sweep()
        self._queue = Queue()
        handle, error = c_void_p(), c_void_p()
        settings = Config.of(config)  # a name, so that it lives until the call returns
        status = api.raftcs_server_create(settings._handle, self._queue.handle, 0, byref(handle),
                                          byref(error))
        if status != _ffi.OK:
            self._queue.destroy()
        raise_error(status, error)
        self._life = Life(handle, self._queue, api.raftcs_server_stop, api.raftcs_server_destroy)
        self._finalizer = weakref.finalize(self, self._life.abandon)
        self._finalizer.atexit = False
        self._events: Deque[Event] = deque(maxlen=EVENTS_KEPT)
        self._replies: Dict[int, Optional[Event]] = {}
        self._tags = itertools.count(1)
        self._mail = Mailbox(self._queue, self._on_event)
        self._started = False

    def start(self) -> "Server":
        """Opens the data directory, loads plugins, binds, starts. May be tried again."""
        error = c_void_p()
        raise_error(api.raftcs_server_start(self._handle(), byref(error)), error)
        self._started = True
        return self

    def info(self) -> ServerInfo:
        row = _ffi.ServerInfo()
        row.struct_size = sizeof(row)
        errors.check(api.raftcs_server_info(self._handle(), byref(row)))
        return ServerInfo(bool(row.running), row.id, row.leader, row.term, row.commit_index,
                          row.applied_index, bool(row.leads), row.health,
                          text(row.client_address), text(row.peer_address))

    def wait_leader(self, timeout: float = 10.0) -> int:
        """Until this node knows a leader; its id."""
        self._mail.wait(lambda: self.info().leader != 0, timeout)
        leader = self.info().leader
        if leader == 0:
            raise errors.make(_ffi.ERR_TIMED_OUT, "no leader", _ffi.OUTCOME_NONE)
        return leader

    def admin(self, verb: str, arguments: Optional[Mapping[str, Any]] = None) -> Any:
        """An administration verb at this node; the JSON document it gives."""
        tag = next(self._tags)
        self._replies[tag] = None
        try:
            errors.check(api.raftcs_server_admin(self._handle(), tag, c_text("verb", verb.encode()),
                                                 json_text(arguments)))
            self._mail.wait(lambda: self._replies[tag] is not None)
            reply = self._replies[tag]
        finally:
            del self._replies[tag]
        assert reply is not None
        return document_of(reply)

    def events(self, timeout: Optional[float] = None) -> Iterator[Event]:
        """State changes and log lines, each to one reader; ends at stop, or when `timeout` seconds
        bring none."""
        while True:
            event = self._mail.wait(self._next_event, timeout)
            if not isinstance(event, Event):
                return
            yield event

    def _next_event(self) -> Union[Event, bool]:
        """Takes it, with the mailbox's lock held; else whether there will be none."""
        return self._events.popleft() if self._events else self._life.closed

    def stop(self, timeout: float = 30.0) -> None:
        """Hands leadership over if it can, tells clients, syncs, and frees everything."""
        if not self._life.handle:
            return
        if self._started:
            api.raftcs_server_stop(self._life.handle)
            self._mail.wait(lambda: self._life.closed, timeout)
        self._finalizer.detach()
        self._life.end()
        sweep()

    def _handle(self) -> c_void_p:
        if not self._life.handle:
            raise errors.make(_ffi.ERR_CLOSED, "the server is stopped", _ffi.OUTCOME_NOT_APPLIED)
        return self._life.handle

    def _on_event(self, event: Event) -> None:
        self._life.see(event)
        if event.kind == _ffi.EVENT_ADMIN_REPLY:
            if event.tag in self._replies:
                self._replies[event.tag] = event
        elif event.kind != _ffi.EVENT_CLOSED:
            self._events.append(event)

    def __enter__(self) -> "Server":
        return self.start()

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.stop()
