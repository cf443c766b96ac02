"""What Client and AsyncClient share: the calls that never wait.

What must hold
 1 A pending operation is in the table before its call, as its event may come out of the queue
   before the call returns; an operation that was not accepted leaves the table again.
 2 What would be cut silently on its way to C is refused: text at a NUL, numbers at 64 bits.
 3 A loss is over with the reopen() that follows, whether its events were taken by then or not.
"""
from __future__ import annotations

import itertools
import json
import weakref
from ctypes import byref, c_size_t, c_uint64, c_void_p, create_string_buffer, sizeof
from typing import Any, Callable, Dict, Mapping, NamedTuple, Optional, Union

from . import _ffi, errors
from ._events import Event, Life, Queue, Reply, milliseconds, sweep
from ._library import api, c_text
from .config import Config, Value, raise_error

Source = Union[Config, Mapping[str, Value]]
Bytes = Union[bytes, bytearray, memoryview]
OPERATION_KINDS = frozenset(
    (_ffi.EVENT_REPLY, _ffi.EVENT_QUERY_REPLY, _ffi.EVENT_ADMIN_REPLY))
STATE_KINDS = frozenset(
    (_ffi.EVENT_CLIENT_STATE, _ffi.EVENT_SESSION_LOST, _ffi.EVENT_TOPOLOGY,
     _ffi.EVENT_REQUESTS_GONE))
# Why there is no session yet. Every other status ends the attempt, those of OF_ONE_SERVER only when
# every server says so.
NOT_YET = frozenset(
    (_ffi.ERR_TIMED_OUT, _ffi.ERR_NO_LEADER, _ffi.ERR_UNREACHABLE, _ffi.ERR_BUSY,
     _ffi.ERR_RESOURCE_LIMIT))
OF_ONE_SERVER = frozenset((_ffi.ERR_WRONG_CLUSTER, _ffi.ERR_VERSION_MISMATCH))


class ClientInfo(NamedTuple):
    """Counters and state at one moment; see raftcs_client_info in raftcs.h."""

    state: int
    session_id: bytes
    leader: int
    outstanding: int
    submitted: int
    completed: int
    resent: int
    reconnects: int
    server_requests: int
    rtt_us: int
    rtt_smoothed_us: int
    latency_us: int
    session_timeout_ms: int
    attempts: int
    late_replies: int
    busy: int
    sessions_lost: int
    malformed_frames: int
    trouble: int


def reply_of(event: Event) -> Reply:
    """The reply of an event, or its exception."""
    error = event.error()
    if error is not None:
        raise error
    return Reply(event.data, event.app_code, event.index, event.op_id)


def document_of(event: Event) -> Any:
    """The JSON document of an admin event, or its exception."""
    return json.loads(reply_of(event).data or b"null")


def call_options(timeout: Optional[float], stale: bool = False) -> _ffi.CallOptions:
    options = _ffi.CallOptions()
    options.struct_size = sizeof(options)
    options.timeout_ms = milliseconds(timeout)
    options.consistency = _ffi.STALE if stale else _ffi.LINEARIZABLE
    return options


def json_text(arguments: Optional[Mapping[str, Any]]) -> Optional[bytes]:
    return None if arguments is None else json.dumps(arguments).encode()


class BaseClient:
    """A session with a cluster, without a way to wait."""

    _lost: Optional[errors.RaftcsError] = None  # as events told it, until a new session is begun

    def __init__(self, config: Source, session: Optional[bytes], open: bool) -> None:
        sweep()
        self._queue = Queue()
        handle, error = c_void_p(), c_void_p()
        settings = Config.of(config)  # a name, so that it lives until the call returns
        status = api.raftcs_client_create(settings._handle, self._queue.handle, 0, byref(handle),
                                          byref(error))
        if status != _ffi.OK:
            self._queue.destroy()
        raise_error(status, error)
        self._life = Life(handle, self._queue, _close_keeping_session, api.raftcs_client_destroy)
        self._finalizer = weakref.finalize(self, self._life.abandon)
        self._finalizer.atexit = False
        self._tags = itertools.count(1)
        self._open(session, open)

    def _open(self, session: Optional[bytes], open: bool) -> None:
        if session is not None:
            errors.check(api.raftcs_client_resume(self._handle(), session, len(session)))
        elif open:
            errors.check(api.raftcs_client_open(self._handle()))

    def _handle(self) -> c_void_p:
        if not self._life.handle:
            raise errors.make(_ffi.ERR_CLOSED, "the client is closed", _ffi.OUTCOME_NOT_APPLIED)
        return self._life.handle

    def _start(self, call: Callable[..., int], pending: Dict[int, Any], entry: Any,
               *arguments: Any) -> int:
        """Makes one call that ends with an event for `entry`; the operation's number.
        `arguments` go before and after the tag: the first is the service or endpoint."""
        tag, op_id = next(self._tags), c_uint64()
        handle = self._handle()
        pending[tag] = entry
        status = call(handle, arguments[0], tag, *arguments[1:], byref(op_id))
        if status != _ffi.OK:
            pending.pop(tag, None)
            raise errors.make(status, outcome=_ffi.OUTCOME_NOT_APPLIED)
        return op_id.value

    def _start_bytes(self, call: Callable[..., int], pending: Dict[int, Any], entry: Any,
                     service: str, payload: Bytes, options: _ffi.CallOptions) -> int:
        # Not bytes() alone, which makes zeros of a number.
        raw = payload if isinstance(payload, bytes) else bytes(memoryview(payload))
        name = c_text("service", service.encode())
        return self._start(call, pending, entry, name, raw, len(raw), byref(options))

    def _start_admin(self, pending: Dict[int, Any], entry: Any, verb: str,
                     arguments: Optional[Mapping[str, Any]], endpoint: Optional[str],
                     timeout: Optional[float]) -> int:
        where = None if endpoint is None else c_text("endpoint", endpoint.encode())
        return self._start(api.raftcs_client_admin, pending, entry, where,
                           c_text("verb", verb.encode()), json_text(arguments),
                           byref(call_options(timeout)))

    def _cancel(self, op_id: int) -> None:
        if self._life.handle:
            api.raftcs_client_cancel(self._life.handle, op_id)

    def ack(self, request_id: int) -> None:
        """Acknowledges server requests up to this id; for client.push.ack = manual."""
        if not 0 <= request_id < 1 << 64:  # ctypes would cut it silently
            raise OverflowError("request_id needs more than 64 bits")
        errors.check(api.raftcs_client_ack(self._handle(), request_id))

    def info(self) -> ClientInfo:
        row = _ffi.ClientInfo()
        row.struct_size = sizeof(row)
        errors.check(api.raftcs_client_info(self._handle(), byref(row)))
        return ClientInfo(row.state, bytes(row.session_id), row.leader, row.outstanding,
                          row.submitted, row.completed, row.resent, row.reconnects,
                          row.server_requests, row.rtt_us, row.rtt_smoothed_us,
                          row.latency_us, row.session_timeout_ms, row.attempts, row.late_replies,
                          row.busy, row.sessions_lost, row.malformed_frames, row.trouble)

    def reopen(self) -> None:
        """Opens a new session after the old one was lost; harmless otherwise."""
        errors.check(api.raftcs_client_open(self._handle()))
        self._replaced()

    def _replaced(self) -> None:
        """A new session is on its way: the loss of the old one, if any, is over, and told once."""
        raise NotImplementedError

    def _progress(self, wait_ms: int) -> int:
        """OK when connected, or one of NOT_YET and the like; raises what ended the attempt."""
        status = api.raftcs_client_wait_connected(self._handle(), wait_ms)
        if status == _ffi.OK or status in NOT_YET:
            return status
        if status not in OF_ONE_SERVER or self.info().state == _ffi.CLIENT_DISCONNECTED:
            lost = self._lost
            errors.check(status, lost.args[0] if lost is not None and lost.status == status else "")
        return status

    def export_session(self) -> bytes:
        """The session as a token for Client(config, session=token). Secret. A process that resumes
        with it and submits the same commands in the same order collects the original replies."""
        needed = c_size_t()
        errors.check(api.raftcs_client_export_session(self._handle(), None, 0, byref(needed)))
        while True:
            room = needed.value + 256
            out = create_string_buffer(room)
            status = api.raftcs_client_export_session(self._handle(), out, room, byref(needed))
            if status == _ffi.OK:
                return out.raw[:needed.value]
            if status != _ffi.ERR_TOO_LARGE:
                errors.check(status)
            needed.value = 2 * room

    def _finished(self) -> None:
        self._finalizer.detach()
        self._life.end()
        sweep()


def _close_keeping_session(handle: c_void_p) -> int:
    return api.raftcs_client_close(handle, 1)
