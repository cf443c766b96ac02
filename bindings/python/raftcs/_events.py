"""Events, queues, and the life of handles: what both kinds of client and the server share.

Few calls per event, as a call through ctypes costs more than what it does: one next_batch for up
to BATCH events, one event_info for each, one destroy_batch for all.

What must hold
 1 A finaliser only closes (never waits). What it leaves is destroyed later, by whoever next makes
   or ends an object, once its CLOSED event came, or when the interpreter ends.
 2 Between taking a batch and handing on its last event a KeyboardInterrupt may come: the rest of
   the batch stays in the queue object and is handed on by the next take.
"""
from __future__ import annotations

import atexit
import json
import math
import threading
import time
from ctypes import byref, c_int, c_size_t, c_void_p, sizeof, string_at
from typing import Any, Callable, Dict, List, NamedTuple, Optional, TypeVar

from . import _ffi, errors
from ._library import api, text

BATCH = 64
SLICE_MS = 100  # a blocked main thread looks for signals this often
LONGEST_MS = 1 << 40  # the library's own limit; ctypes would cut more than 64 bits silently

Found = TypeVar("Found")


class Event(NamedTuple):
    """A copy of one event. `data` is the event's own bytes, `text` a sentence on failure."""

    kind: int
    status: int
    outcome: int
    app_code: int
    retry_after_ms: int
    tag: int
    op_id: int
    index: int
    data: bytes
    text: str

    def error(self) -> Optional[errors.RaftcsError]:
        if self.status == _ffi.OK:
            return None
        return errors.make(self.status, self.text, self.outcome, self.retry_after_ms,
                           self.app_code)


class Reply(NamedTuple):
    """How a command or query ended well. app_code is the state machine's, 0 is success."""

    data: bytes
    app_code: int
    index: int
    op_id: int


class ServerRequest(NamedTuple):
    """Something the server asks; acknowledge `id` when client.push.ack is manual."""

    id: int
    data: bytes


class StateEvent(NamedTuple):
    """A change of the client: its state, its session, or the cluster's topology. While connecting,
    `status` and `text` say why it takes so long; `data` is the JSON that raftcs.h describes."""

    kind: int
    state: int
    status: int
    data: bytes
    text: str

    @property
    def details(self) -> Dict[str, Any]:
        """The document in `data`; empty when there is none."""
        found = json.loads(self.data or b"{}")
        return found if isinstance(found, dict) else {}


class Queue:
    """A raftcs_queue; events come out as copies."""

    def __init__(self) -> None:
        self.handle = c_void_p()
        errors.check(api.raftcs_queue_create(None, byref(self.handle)))
        self._events = (c_void_p * BATCH)()
        self._count = c_size_t()
        self._done = 0
        self._info = _ffi.EventInfo()

    def open_fd(self) -> int:
        fd = c_int(-1)
        errors.check(api.raftcs_queue_open_fd(self.handle, _ffi.FD_DEFAULT, byref(fd)))
        return fd.value

    def take(self, timeout_ms: int, handler: Callable[[Event], None]) -> int:
        """Hands on one batch; how many events it had. One thread at a time."""
        self.fetch(timeout_ms)
        return self.hand_on(handler)

    def fetch(self, timeout_ms: int) -> None:
        if self._count.value == 0:
            errors.check(api.raftcs_queue_next_batch(self.handle, timeout_ms, self._events, BATCH,
                                                     byref(self._count)))

    def hand_on(self, handler: Callable[[Event], None]) -> int:
        count = self._count.value
        while self._done < count:
            event = self._copy(self._events[self._done])
            self._done += 1
            handler(event)
        self._count.value = 0
        self._done = 0
        if count:
            api.raftcs_event_destroy_batch(self._events, count)
        return count

    def _copy(self, handle: Optional[int]) -> Event:
        info = self._info
        info.struct_size = sizeof(info)
        errors.check(api.raftcs_event_info(handle, byref(info)))
        data = string_at(info.data, info.data_len) if info.data_len else b""
        return Event(info.kind, info.status, info.outcome, info.app_code, info.retry_after_ms,
                     info.tag, info.op_id, info.index, data, text(info.text))

    def destroy(self) -> None:
        handle, self.handle = self.handle, c_void_p()
        api.raftcs_queue_destroy(handle)


class Mailbox:
    """Blocking waits on one queue by many threads: whoever waits first takes events for all.

    No thread of its own, so a blocking call needs no hand-over between threads, and Ctrl-C works:
    the taker comes back from C every SLICE_MS. `handler` and what waiters ask for run with the lock
    held."""

    def __init__(self, queue: Queue, handler: Callable[[Event], None]) -> None:
        self._queue = queue
        self._handler = handler
        self._changed = threading.Condition()
        self._taken = False

    def wait(self, ready: Callable[[], Found], timeout: Optional[float] = None) -> Found:
        """What ready() gives when that is true, or when `timeout` seconds have passed. What waiters
        share is taken by ready() itself: out here another thread may have been quicker."""
        end = deadline(timeout)
        with self._changed:
            while True:
                found = ready()
                if found:
                    return found
                left = end - time.monotonic()
                if left <= 0 and not self._poll():
                    return ready()
                if left > 0:
                    self._wait_once(slice_ms(left))

    def between_events(self, step: Callable[[], None]) -> None:
        """Runs what must not wait, while no event is handled."""
        with self._changed:
            step()
            self._changed.notify_all()

    def _poll(self) -> int:
        return 0 if self._taken else self._queue.take(0, self._handler)

    def _wait_once(self, ms: int) -> None:
        if self._taken:
            self._changed.wait(ms / 1000)
            return
        self._taken = True
        self._changed.release()
        try:
            self._queue.fetch(ms)
        finally:
            self._changed.acquire()
            self._taken = False
            self._changed.notify_all()
        self._queue.hand_on(self._handler)


def milliseconds(timeout: Optional[float]) -> int:
    """Seconds as the C API writes them: None is the setting, infinity is for ever."""
    if timeout is None:
        return 0
    if timeout == math.inf:
        return -1
    return math.ceil(max(1, min(_number(timeout) * 1000, LONGEST_MS)))


def deadline(timeout: Optional[float]) -> float:
    """When `timeout` seconds are over, by the monotonic clock; None is never."""
    return math.inf if timeout is None else time.monotonic() + _number(timeout)


def slice_ms(left: float) -> int:
    """How long to wait in C when `left` seconds are left: signals are looked for in between."""
    return min(SLICE_MS, math.ceil(max(0, min(left, 1)) * 1000))


def _number(timeout: float) -> float:
    if timeout != timeout:  # every comparison is false, so a wait would never end
        raise ValueError("the timeout is not a number")
    return timeout


class Life:
    """The handle of a client or server with its queue, from create to destroy."""

    def __init__(self, handle: c_void_p, queue: Queue, close: Callable[[c_void_p], int],
                 destroy: Callable[[c_void_p], None]) -> None:
        self.handle = handle
        self.queue = queue
        self.closed = False
        self._close = close
        self._destroy = destroy
        _living[id(self)] = self

    def abandon(self) -> None:
        """For finalisers: starts to close, waits for nothing."""
        if self.handle:
            self._close(self.handle)
            _orphans.append(self)

    def end(self) -> None:
        """Destroys; returns at once after CLOSED, else waits for the library's threads."""
        if _living.pop(id(self), None) is None:
            return  # ended, or another thread is about it
        handle, self.handle = self.handle, c_void_p()
        self._destroy(handle)
        self.queue.destroy()

    def see(self, event: Event) -> None:
        self.closed = self.closed or event.kind == _ffi.EVENT_CLOSED


_living: Dict[int, Life] = {}
_orphans: List[Life] = []


def sweep() -> None:
    """Destroys what finalisers closed and the library has let go. What is a parent's never ends in
    a forked child, where to destroy it only lets go of it."""
    for _ in range(len(_orphans)):
        try:
            life = _orphans.pop(0)
        except IndexError:  # another thread sweeps as well
            return
        if _is_ended(life):
            life.end()
        else:
            _orphans.append(life)


def _is_ended(life: Life) -> bool:
    try:
        while not life.closed and life.queue.take(0, life.see):
            pass
    except errors.RaftcsError as error:
        if error.status != _ffi.ERR_FORKED:
            raise
        return True
    return life.closed


@atexit.register
def _end_all() -> None:
    for life in list(_living.values()):
        life.end()
