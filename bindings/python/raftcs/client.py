"""The blocking client.

Calls wait by taking events from the client's own queue (see _events.Mailbox), so any number of
threads may share one client and Ctrl-C ends a wait; the operation is then cancelled.

What must hold: waiting needs no timeout of its own. The library ends every accepted operation with
one event, at the latest when its deadline passes.
"""
from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import Any, Deque, Dict, Iterator, Mapping, Optional, Type, Union

from . import _ffi, errors
from ._base import (OPERATION_KINDS, STATE_KINDS, BaseClient, Bytes, Source, call_options,
                    document_of, reply_of)
from ._events import Event, Mailbox, Reply, ServerRequest, StateEvent, deadline, slice_ms
from ._library import api

STATES_KEPT = 256


class Pending:
    """An operation under way. Its event is kept here until somebody asks."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self.op_id = 0
        self.event: Optional[Event] = None

    def done(self) -> bool:
        return self.event is not None

    def cancel(self) -> None:
        """Asks the library to end it; result() then raises Cancelled unless the reply was first."""
        self._client._cancel(self.op_id)

    def wait(self) -> Event:
        try:
            self._client._mail.wait(self.done)
        except BaseException:
            self.cancel()
            raise
        assert self.event is not None
        return self.event

    def result(self) -> Reply:
        return reply_of(self.wait())


class Client(BaseClient):
    """A durable session with a cluster, for threads.

    `session` is a token of export_session(); `open=False` makes a client for admin() only."""

    def __init__(self, config: Source, *, session: Optional[bytes] = None,
                 open: bool = True) -> None:
        self._pending: Dict[int, Pending] = {}
        self._requests: Deque[Union[ServerRequest, errors.RaftcsError]] = deque()
        self._states: Deque[StateEvent] = deque(maxlen=STATES_KEPT)
        self._lost_told = False  # to a reader of server_requests
        super().__init__(config, session, open)
        self._mail = Mailbox(self._queue, self._on_event)

    def wait_connected(self, timeout: float = 10.0) -> "Client":
        """Until the session is open; raises what ended the attempt, or why it takes so long:
        NoLeader, Unreachable, Busy, TimedOut. The attempt goes on."""
        end = deadline(timeout)
        while True:
            left = end - time.monotonic()
            wait_ms = slice_ms(left)
            status = self._progress(wait_ms)
            if status == _ffi.OK:
                return self
            if left * 1000 <= wait_ms:
                raise errors.make(status, outcome=_ffi.OUTCOME_NOT_APPLIED)

    def start_submit(self, service: str, command: Bytes, *,
                     timeout: Optional[float] = None) -> Pending:
        """Submits and does not wait: for many commands under way at once."""
        pending = Pending(self)
        pending.op_id = self._start_bytes(api.raftcs_client_submit, self._pending, pending, service,
                                          command, call_options(timeout))
        return pending

    def submit(self, service: str, command: Bytes, *, timeout: Optional[float] = None) -> Reply:
        """Runs a command exactly once. Raises; OutcomeUnknown when it may have happened."""
        return self.start_submit(service, command, timeout=timeout).result()

    def query(self, service: str, query: Bytes, *, timeout: Optional[float] = None,
              stale: bool = False) -> Reply:
        """Asks without changing anything; linearizable unless `stale`."""
        pending = Pending(self)
        pending.op_id = self._start_bytes(api.raftcs_client_query, self._pending, pending, service,
                                          query, call_options(timeout, stale))
        return pending.result()

    def admin(self, verb: str, arguments: Optional[Mapping[str, Any]] = None, *,
              endpoint: Optional[str] = None, timeout: Optional[float] = None) -> Any:
        """An administration verb at one server, or at the leader; the JSON document it gives."""
        pending = Pending(self)
        pending.op_id = self._start_admin(self._pending, pending, verb, arguments, endpoint,
                                          timeout)
        return document_of(pending.wait())

    def server_requests(self, timeout: Optional[float] = None) -> Iterator[ServerRequest]:
        """What the server asks, in order, each to one reader. Ends when `timeout` seconds bring
        none, or at close; raises when the session is lost, also where a new one follows by
        itself: what the server asks in that comes after the error."""
        while True:
            if self._lost is not None:  # what ends the loss may be in the queue
                self._mail.wait(lambda: self._life.closed, 0)
            request = self._mail.wait(self._next_request, timeout)
            if isinstance(request, errors.RaftcsError):
                raise request.with_traceback(None)
            if not isinstance(request, ServerRequest):
                return
            yield request

    def _next_request(self) -> Union[ServerRequest, errors.RaftcsError, bool]:
        """Takes it, with the mailbox's lock held; else whether there will be none."""
        if self._requests:
            return self._requests.popleft()
        if self._lost is not None:
            self._lost_told = True
            return self._lost
        return self._life.closed

    def reopen(self) -> None:
        """Opens a new session after the old one was lost; harmless otherwise."""
        # No event between the call and what follows from it: a further loss is not taken for this.
        self._mail.between_events(super().reopen)

    def _replaced(self) -> None:
        if self._lost is not None and not self._lost_told:
            self._requests.append(self._lost)
        self._lost = None

    def states(self) -> "list[StateEvent]":
        """The latest changes of state that were seen, oldest first; they are given once."""
        if self._life.handle:
            self._mail.wait(lambda: False, 0)
        seen = []
        try:
            while True:
                seen.append(self._states.popleft())
        except IndexError:  # not asked before, as other threads take some meanwhile
            return seen

    def close(self, *, keep_session: bool = False, timeout: float = 10.0) -> None:
        """Ends the session (unless kept) and frees everything. Twice is harmless."""
        if not self._life.handle:
            return
        api.raftcs_client_close(self._life.handle, int(keep_session))
        self._mail.wait(lambda: self._life.closed, timeout)
        self._finished()

    def _on_event(self, event: Event) -> None:
        self._life.see(event)
        if event.kind in OPERATION_KINDS:
            pending = self._pending.pop(event.tag, None)
            if pending is not None:
                pending.event = event
        elif event.kind == _ffi.EVENT_SERVER_REQUEST:
            self._requests.append(ServerRequest(event.op_id, event.data))
        elif event.kind in STATE_KINDS:
            self._states.append(StateEvent(event.kind, event.app_code, event.status, event.data,
                                           event.text))
            if event.kind == _ffi.EVENT_SESSION_LOST:
                self._lost, self._lost_told = event.error(), False
            elif event.app_code not in (0, _ffi.CLIENT_DISCONNECTED):
                self._replaced()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                 trace: Optional[TracebackType]) -> None:
        self.close()
