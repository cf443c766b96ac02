"""The reference plugin queue: put jobs into named queues, or be a worker (docs/queue.md).

A worker is a session with the capability queue.worker; `worker_settings` gives the settings of its
client. `work` takes jobs one after the other: the function returns and the job is done, or raises
and the job is given back.

What must hold: only the holder of a job can end it. NotHeld means that another worker has it now
(the time for it was over) or that it was ended; whatever the function did may be done again. `work`
begins no job that is not held, and keeps what it has while the function runs: also the jobs that
wait for it to end, as they would spend their attempts on waiting.
"""
from __future__ import annotations

import threading
from contextlib import contextmanager, suppress
from typing import (Any, Callable, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence,
                    Tuple, Union)

from . import msgpack
from .errors import RaftcsError
from ._events import Reply, ServerRequest
from .client import Client

Text = Union[bytes, str]

OK = 0
NOT_FOUND = 1
EXISTS = 2
NOT_HELD = 3
MALFORMED = 4
TOO_LARGE = 5
FULL = 6
NOT_EMPTY = 7
_SENTENCES = {NOT_FOUND: "no such queue or job", EXISTS: "the queue exists with other settings",
              NOT_HELD: "the job is not held (any more)", MALFORMED: "not a command of queue",
              TOO_LARGE: "payload or reason is too large", FULL: "the queue is full",
              NOT_EMPTY: "the queue still has jobs"}
_QUEUE_FIELDS = ("name", "policy", "visibility_ms", "grace_ms", "attempts_max", "jobs_max",
                 "paused", "waiting", "delayed", "assigned", "dead", "enqueued", "done", "failed",
                 "timed_out", "moved", "died", "purged")
_JOB_FIELDS = ("job", "state", "priority", "attempts", "worker", "enqueued_ns", "due_ns", "bytes",
               "reason", "payload")
_WORKER_FIELDS = ("session", "connected", "capacity", "assigned", "blocked", "queues")
Row = Dict[str, Any]


class QueueError(Exception):
    """The state machine refused; the same on every replica."""

    def __init__(self, code: int) -> None:
        super().__init__(_SENTENCES.get(code, f"code {code}"))
        self.code = code


class NotHeld(QueueError):
    """The job belongs to another worker now, or is ended."""


class Job(NamedTuple):
    """What a worker is asked to do. `attempt` counts how often it was given out: no number comes
    twice, so `id` and `attempt` name one run of the work."""

    queue: str
    id: int
    attempt: int
    payload: bytes
    visibility_ms: int


def _bytes(value: Text) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _text(value: Any) -> Any:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def read_job(request: ServerRequest) -> Job:
    """The job that a server request carries."""
    kind, queue, job, attempt, payload, visibility_ms = msgpack.unpack(request.data)[:6]
    if _text(kind) != "job":
        raise ValueError(f"not a job: {kind!r}")
    return Job(_text(queue), job, attempt, _bytes(payload), visibility_ms)


def worker_settings(queues: Union[str, Sequence[str]] = "*", capacity: int = 1) -> Dict[str, str]:
    """Settings of a client that is to be a worker: of these queues, with so many jobs at once."""
    names = [queues] if isinstance(queues, str) else list(queues)
    return {"client.capabilities": f"queue.worker={'+'.join(names)},queue.capacity={capacity}"}


def _extension(job: Job, ms: Optional[int]) -> bytes:
    return msgpack.pack(["extend", job.id, job.attempt, job.visibility_ms if ms is None else ms])


def _answer(reply: Reply) -> Any:
    if reply.app_code != OK:
        raise (NotHeld if reply.app_code == NOT_HELD else QueueError)(reply.app_code)
    return msgpack.unpack(reply.data) if reply.data else None


def _row(fields: Tuple[str, ...], values: List[Any]) -> Row:
    row = {name: _text(value) for name, value in zip(fields, values)}
    if isinstance(row.get("queues"), list):
        row["queues"] = [_text(name) for name in row["queues"]]
    if "payload" in row:
        row["payload"] = values[fields.index("payload")]
    return row


class Queue:
    """The queue service over a blocking client."""

    def __init__(self, client: Client, service: str = "queue") -> None:
        self.client = client
        self.service = service

    def _run(self, items: List[Any], timeout: Optional[float]) -> Any:
        return _answer(self.client.submit(self.service, msgpack.pack(items), timeout=timeout))

    def _ask(self, items: List[Any], timeout: Optional[float]) -> Any:
        return _answer(self.client.query(self.service, msgpack.pack(items), timeout=timeout))

    # ---- producers and operators

    def create(self, name: str, *, policy: Optional[str] = None,
               visibility_ms: Optional[int] = None, grace_ms: Optional[int] = None,
               attempts_max: Optional[int] = None, jobs_max: Optional[int] = None,
               timeout: Optional[float] = None) -> None:
        """Makes a queue; again with the same settings changes nothing. policy: "round_robin" or
        "least_loaded"."""
        self._run(["create", _bytes(name), policy, visibility_ms, grace_ms, attempts_max,
                   jobs_max], timeout)

    def put(self, name: str, payload: Text, *, priority: int = 0, delay_ms: int = 0,
            timeout: Optional[float] = None) -> int:
        """The number of the new job."""
        return int(self._run(["put", _bytes(name), _bytes(payload), priority, delay_ms],
                             timeout)[0])

    def pause(self, name: str, timeout: Optional[float] = None) -> None:
        self._run(["pause", _bytes(name)], timeout)

    def resume(self, name: str, timeout: Optional[float] = None) -> None:
        self._run(["resume", _bytes(name)], timeout)

    def remove(self, name: str, timeout: Optional[float] = None) -> None:
        self._run(["remove", _bytes(name)], timeout)

    def purge(self, name: str, dead: bool = False, timeout: Optional[float] = None) -> int:
        """Forgets the jobs that no worker has, or the dead letters; how many."""
        return int(self._run(["purge_dead" if dead else "purge", _bytes(name)], timeout)[0])

    def requeue(self, name: str, job: Optional[int] = None,
                timeout: Optional[float] = None) -> int:
        """Puts dead letters back, all or one; how many."""
        return int(self._run(["requeue", _bytes(name), job], timeout)[0])

    def queues(self, timeout: Optional[float] = None) -> List[Row]:
        return [_row(_QUEUE_FIELDS, row) for row in self._ask(["queues", None], timeout)]

    def stats(self, name: str, timeout: Optional[float] = None) -> Row:
        return _row(_QUEUE_FIELDS, self._ask(["queues", _bytes(name)], timeout)[0])

    def workers(self, after: int = 0, timeout: Optional[float] = None) -> List[Row]:
        """At most 1000; `after` a session's number: the next ones."""
        return [_row(_WORKER_FIELDS, row)
                for row in self._ask(["workers", after, None], timeout)[1]]

    def jobs(self, name: str, state: str = "waiting", after: int = 0, limit: int = 1000,
             payloads: bool = True, timeout: Optional[float] = None) -> List[Row]:
        """In the order of numbers. state: waiting, delayed, assigned or dead."""
        return [_row(_JOB_FIELDS, row) for row in self._ask(
            ["jobs", _bytes(name), state, after, limit, payloads], timeout)[1]]

    # ---- workers

    def done(self, job: Job, timeout: Optional[float] = None) -> None:
        self._run(["done", job.id, job.attempt], timeout)

    def fail(self, job: Job, reason: Text = "", retry_ms: int = 0,
             timeout: Optional[float] = None) -> None:
        """Gives the job back; it is given out again after `retry_ms`."""
        self._run(["fail", job.id, job.attempt, _bytes(reason)[:1024], retry_ms], timeout)

    def extend(self, job: Job, ms: Optional[int] = None, timeout: Optional[float] = None) -> None:
        """The job is held for `ms` from now on, without it for the queue's visibility time."""
        _answer(self.client.submit(self.service, _extension(job, ms), timeout=timeout))

    def work(self, handle: Callable[[Job], Any], *, count: Optional[int] = None,
             idle: Optional[float] = None, retry_ms: int = 1000) -> int:
        """Takes jobs until the client is closed, `count` are ended, or none came for `idle`
        seconds; how many were ended. The client must be open with worker_settings().

        A job stays this worker's for as long as `handle` runs: what may hang needs a time limit
        of its own. A capacity above 1 is for as many threads that call work()."""
        ended = 0
        while count is None or ended < count:
            request = next(self.client.server_requests(idle), None)
            if request is None:
                return ended
            ended += self._handle(handle, read_job(request), retry_ms)
        return ended

    def _handle(self, handle: Callable[[Job], Any], job: Job, retry_ms: int) -> int:
        try:
            self.extend(job)  # it may have waited here for longer than it was held
            try:
                with self._kept(job):
                    handle(job)
            except Exception as error:
                self.fail(job, f"{type(error).__name__}: {error}", retry_ms)
            else:
                self.done(job)
        except NotHeld:
            return 0  # another worker has it
        return 1

    @contextmanager
    def _kept(self, job: Job) -> Iterator[None]:
        """Meanwhile this job and those that wait here are extended, each third of their time."""
        ended = threading.Event()

        def keep() -> None:
            jobs = [job]
            while True:
                seconds = min(each.visibility_ms for each in jobs) / 1000
                if ended.wait(max(seconds / 3, 0.02)):
                    return
                jobs = [job, *self._waiting()]
                with suppress(RaftcsError):  # tried again; whether it was enough done() tells
                    for pending in [self.client.start_submit(self.service, _extension(each, None),
                                                             timeout=seconds) for each in jobs]:
                        pending.result()

        keeper = threading.Thread(target=keep, name="raftcs queue", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()

    def _waiting(self) -> Iterator[Job]:
        """The jobs that have come and that nobody has taken from the client."""
        for request in self.client._requests.copy():
            if isinstance(request, ServerRequest):
                with suppress(ValueError, TypeError):  # of another service
                    yield read_job(request)


def worker(settings: Mapping[str, Any], queues: Union[str, Sequence[str]] = "*",
           capacity: int = 1, *, service: str = "queue", connect_timeout: float = 10.0) -> Queue:
    """A queue over a new client that is a worker. `settings` are those of the client."""
    client = Client({**settings, **worker_settings(queues, capacity)})
    client.wait_connected(connect_timeout)
    return Queue(client, service)
