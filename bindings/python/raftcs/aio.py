"""The asyncio client: no thread, the queue's descriptor is watched by the running loop.

The loop rule: when the descriptor is readable, take events until none is left; if a batch was full,
go on in the loop's next round, so that other tasks get their turn and no wake-up is lost.

What must hold
 1 One client belongs to the loop that was running when it was made; its methods are called there.
 2 Cancelling an awaitable cancels the operation at the library; its event still comes and finds
   nobody. Whether it happened is then unknown to the caller, as with any cancelled awaitable.
 3 BUSY is answered by waiting for a reply, since nothing was accepted; other errors are raised.
 4 While somebody waits for room, a reply is to come or somebody who was given room has yet to run:
   whoever was given room and does not use it passes it on.
"""
from __future__ import annotations

import asyncio
import os
from collections import deque
from types import TracebackType
from typing import Any, AsyncIterator, Callable, Deque, Dict, Mapping, Optional, Set, Type

from . import _ffi, errors
from ._base import (OPERATION_KINDS, STATE_KINDS, BaseClient, Bytes, Source, call_options,
                    document_of, reply_of)
from ._events import BATCH, Event, Reply, ServerRequest, StateEvent
from ._library import api


class _Ended(Exception):
    """A stream has no more items, as the client was closed."""


class _Stream:
    """Items for one reader, then the reason of the end."""

    def __init__(self) -> None:
        self.items: Deque[Any] = deque()
        self._wake = asyncio.Event()
        self.ended: Optional[BaseException] = None

    def put(self, item: Any) -> None:
        self.items.append(item)
        self._wake.set()

    def end(self, reason: BaseException) -> None:
        self.ended = self.ended or reason
        self._wake.set()

    async def get(self) -> Any:
        while not self.items:
            if self.ended is not None:
                raise self.ended.with_traceback(None)
            self._wake.clear()
            await self._wake.wait()
        return self.items.popleft()


class AsyncClient(BaseClient):
    """A durable session with a cluster, for asyncio. Make it while the loop runs."""

    def __init__(self, config: Source, *, session: Optional[bytes] = None,
                 open: bool = True) -> None:
        self._loop = asyncio.get_running_loop()
        self._pending: Dict[int, "asyncio.Future[Event]"] = {}
        self._requests = _Stream()
        self._watchers: Set[_Stream] = set()
        self._room: Set["asyncio.Future[None]"] = set()
        self._closed: "asyncio.Future[None]" = self._loop.create_future()
        self._lost_told = False  # to a reader of server_requests
        super().__init__(config, session, open)
        self._fd = self._queue.open_fd()
        self._loop.add_reader(self._fd, self._drain)

    # ---- operations

    def start_submit(self, service: str, command: Bytes, *,
                     timeout: Optional[float] = None) -> "asyncio.Future[Event]":
        """Submits at once; the future of the event. Raises Busy when too many are outstanding."""
        return self._begin(api.raftcs_client_submit, service, command, call_options(timeout))

    async def submit(self, service: str, command: Bytes, *,
                     timeout: Optional[float] = None) -> Reply:
        """Runs a command exactly once. Raises; OutcomeUnknown when it may have happened."""
        return reply_of(await self._when_room(
            lambda: self.start_submit(service, command, timeout=timeout)))

    async def query(self, service: str, query: Bytes, *, timeout: Optional[float] = None,
                    stale: bool = False) -> Reply:
        """Asks without changing anything; linearizable unless `stale`."""
        options = call_options(timeout, stale)
        return reply_of(await self._when_room(
            lambda: self._begin(api.raftcs_client_query, service, query, options)))

    async def admin(self, verb: str, arguments: Optional[Mapping[str, Any]] = None, *,
                    endpoint: Optional[str] = None, timeout: Optional[float] = None) -> Any:
        """An administration verb at one server, or at the leader; the JSON document it gives."""
        future = self._loop.create_future()
        self._watch(future, self._start_admin(self._pending, future, verb, arguments, endpoint,
                                              timeout))
        return document_of(await future)

    def _begin(self, call: Callable[..., int], service: str, payload: Bytes,
               options: _ffi.CallOptions) -> "asyncio.Future[Event]":
        future: "asyncio.Future[Event]" = self._loop.create_future()
        self._watch(future, self._start_bytes(call, self._pending, future, service, payload,
                                              options))
        return future

    def _watch(self, future: "asyncio.Future[Event]", op_id: int) -> None:
        def ended(done: "asyncio.Future[Event]") -> None:
            if done.cancelled():
                self._cancel(op_id)
        future.add_done_callback(ended)

    async def _when_room(self, begin: Callable[[], "asyncio.Future[Event]"]) -> Event:
        room: Optional["asyncio.Future[None]"] = None
        try:
            while True:
                try:
                    future = begin()
                except errors.RaftcsError as error:
                    if error.status != _ffi.ERR_BUSY or not self._pending:
                        raise
                else:
                    break
                room = self._loop.create_future()
                self._room.add(room)
                await room
        except BaseException:
            if room is not None:
                self._room.discard(room)
                if room.done() and not room.cancelled():
                    self._give_room()
            raise
        return await future

    def _give_room(self) -> None:
        while self._room:
            room = self._room.pop()
            if not room.done():
                room.set_result(None)
                return

    # ---- events

    async def wait_connected(self, timeout: float = 10.0) -> "AsyncClient":
        """Until the session is open; raises what ended the attempt, or why it takes so long:
        NoLeader, Unreachable, Busy, TimedOut. The attempt goes on."""
        stream = self._subscribe()
        try:
            if self._progress(0) != _ffi.OK:
                await asyncio.wait_for(self._connected(stream), timeout)
        except _Ended:
            raise errors.make(_ffi.ERR_CLOSED, outcome=_ffi.OUTCOME_NONE) from None
        except asyncio.TimeoutError:
            trouble = self.info().trouble or _ffi.ERR_TIMED_OUT
            raise errors.make(trouble, outcome=_ffi.OUTCOME_NONE) from None
        finally:
            self._watchers.discard(stream)
        return self

    async def _connected(self, stream: _Stream) -> None:
        # An event only says when to ask again: it may be of a session before a reopen().
        while self._progress(0) != _ffi.OK:
            await stream.get()

    async def server_requests(self) -> AsyncIterator[ServerRequest]:
        """What the server asks, in order, each to one reader. Ends at close; raises when the
        session is lost, also where a new one follows by itself: what the server asks in that
        comes after the error."""
        while True:
            if self._lost is not None:  # what ends the loss may be in the queue, or yet to come
                self._drain()
                await asyncio.sleep(0)
            try:
                request = await self._requests.get()
                if isinstance(request, errors.RaftcsError):
                    raise request
            except _Ended:
                return
            except errors.RaftcsError as error:
                self._lost_told = self._lost_told or error is self._lost
                raise
            yield request

    async def state_events(self) -> AsyncIterator[StateEvent]:
        """Changes of state, session and topology from the first step of the iteration on; ends at
        close."""
        stream = self._subscribe()
        try:
            while True:
                yield await stream.get()
        except _Ended:
            return
        finally:
            self._watchers.discard(stream)

    def _subscribe(self) -> _Stream:
        stream = _Stream()
        if self._life.closed:
            stream.end(_Ended())
        self._watchers.add(stream)
        return stream

    def _drain(self) -> None:
        if not self._life.handle:
            return
        more = True  # unless all was handed on: the descriptor does not tell of what was taken
        try:
            more = self._queue.take(0, self._on_event) == BATCH
        finally:
            if more:
                self._loop.call_soon(self._drain)

    def _on_event(self, event: Event) -> None:
        self._life.see(event)
        if event.kind in OPERATION_KINDS:
            self._on_reply(event)
        elif event.kind == _ffi.EVENT_SERVER_REQUEST:
            self._requests.put(ServerRequest(event.op_id, event.data))
        elif event.kind in STATE_KINDS:
            self._on_state(event)
        elif event.kind == _ffi.EVENT_CLOSED:
            self._on_closed()

    def _on_reply(self, event: Event) -> None:
        future = self._pending.pop(event.tag, None)
        if future is not None and not future.done():
            future.set_result(event)
        self._give_room()

    def _on_state(self, event: Event) -> None:
        if event.kind == _ffi.EVENT_SESSION_LOST:
            self._lost, self._lost_told = event.error(), False
            if self._lost is not None:
                self._requests.end(self._lost)
        elif event.app_code not in (0, _ffi.CLIENT_DISCONNECTED):
            self._replaced()
        for stream in self._watchers:
            stream.put(StateEvent(event.kind, event.app_code, event.status, event.data, event.text))

    def _replaced(self) -> None:
        if self._lost is not None:
            if not self._lost_told:
                self._requests.put(self._lost)
            self._lost = self._requests.ended = None

    def _on_closed(self) -> None:
        for stream in (self._requests, *self._watchers):
            stream.end(_Ended())
        while self._room:
            self._give_room()
        if not self._closed.done():
            self._closed.set_result(None)

    # ---- the end

    async def close(self, *, keep_session: bool = False) -> None:
        """Ends the session (unless kept) and frees everything. Twice is harmless."""
        if not self._life.handle:
            return
        api.raftcs_client_close(self._life.handle, int(keep_session))
        await asyncio.shield(self._closed)
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self._finished()

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(self, kind: Optional[Type[BaseException]], value: Optional[BaseException],
                        trace: Optional[TracebackType]) -> None:
        await self.close()
