"""Commands of the reference plugin kv, for both kinds of client.

A command is a msgpack array whose first item is its name (plugins/kv/README.md). Keys and values
are bytes; str is taken as UTF-8. Kv and AsyncKv have the same methods; what they share is the
table of calls below: how a payload is made and how an answer is read.

What must hold: an answer "no such key" or "compare failed" is a result of the call, every other
code that is not 0 is raised as KvError: the command was applied, and refused by the machine.
"""
from __future__ import annotations

from typing import Any, Callable, List, NamedTuple, Optional, Tuple, Union

from . import msgpack
from ._events import Reply, ServerRequest
from .aio import AsyncClient
from .client import Client

Text = Union[bytes, str]

OK = 0
NOT_FOUND = 1
COMPARE_FAILED = 2
NOT_A_NUMBER = 3
MALFORMED = 4
TOO_LARGE = 5
_SENTENCES = {NOT_FOUND: "no such key", COMPARE_FAILED: "another value is there",
              NOT_A_NUMBER: "the value is not a number", MALFORMED: "not a command of kv",
              TOO_LARGE: "key or value is too large, or there is too much to watch"}


class KvError(Exception):
    """The state machine refused; the same on every replica."""

    def __init__(self, code: int) -> None:
        super().__init__(_SENTENCES.get(code, f"code {code}"))
        self.code = code


class Change(NamedTuple):
    """A change of a watched key. event is "put", "del" (value is None), or "lost": the watch has
    ended, as its session did not keep up; watch(key, prefix) begins it again, the present values
    first. `prefix` is False in the others: they are of one key, whatever watch told them."""

    event: str
    key: bytes
    value: Optional[bytes]
    version: int
    prefix: bool = False


class Range(NamedTuple):
    """Part of a range of keys; `more` when the limit cut it."""

    entries: List[Tuple[bytes, bytes]]
    more: bool


def _bytes(value: Text) -> bytes:
    return value.encode() if isinstance(value, str) else value


def _maybe(value: Optional[Text]) -> Optional[bytes]:
    return None if value is None else _bytes(value)


def read_change(request: ServerRequest) -> Change:
    """The change that a server request of a watched key tells of."""
    event, key, value, version = msgpack.unpack(request.data)[:4]
    name = event.decode() if isinstance(event, bytes) else str(event)
    return Change(name, key, value if isinstance(value, bytes) else None, version, value is True)


class Call(NamedTuple):
    """One payload with the reader of its answer."""

    payload: bytes
    read: Callable[[Reply], Any]


def _answer(reply: Reply, *results: int) -> Any:
    if reply.app_code != OK and reply.app_code not in results:
        raise KvError(reply.app_code)
    return msgpack.unpack(reply.data) if reply.data else None


def _no_answer(reply: Reply) -> None:
    _answer(reply)


def _first(reply: Reply) -> int:
    return int(_answer(reply)[0])


def _found(reply: Reply) -> Optional[bytes]:
    value = _answer(reply, NOT_FOUND)
    return bytes(value[0]) if reply.app_code == OK else None


def _existed(reply: Reply) -> bool:
    _answer(reply, NOT_FOUND)
    return reply.app_code == OK


def _swapped(reply: Reply) -> bool:
    _answer(reply, COMPARE_FAILED, NOT_FOUND)
    return reply.app_code == OK


def _entries(reply: Reply) -> Range:
    more, rows = _answer(reply)
    return Range([(row[0], row[1]) for row in rows], bool(more))


def put(key: Text, value: Text) -> Call:
    return Call(msgpack.pack(["put", _bytes(key), _bytes(value)]), _first)


def delete(key: Text) -> Call:
    return Call(msgpack.pack(["del", _bytes(key)]), _existed)


def cas(key: Text, expected: Optional[Text], value: Optional[Text]) -> Call:
    return Call(msgpack.pack(["cas", _bytes(key), _maybe(expected), _maybe(value)]), _swapped)


def incr(key: Text, delta: int = 1) -> Call:
    return Call(msgpack.pack(["incr", _bytes(key), delta]), _first)


def append(key: Text, value: Text) -> Call:
    return Call(msgpack.pack(["append", _bytes(key), _bytes(value)]), _first)


def watch(key: Text, prefix: bool = False) -> Call:
    return Call(msgpack.pack(["watch", _bytes(key), prefix]), _no_answer)


def unwatch(key: Text, prefix: bool = False) -> Call:
    return Call(msgpack.pack(["unwatch", _bytes(key), prefix]), _no_answer)


def get(key: Text) -> Call:
    return Call(msgpack.pack(["get", _bytes(key)]), _found)


def range_of(first: Text, end: Optional[Text], limit: int = 1000) -> Call:
    return Call(msgpack.pack(["range", _bytes(first), _maybe(end), limit]), _entries)


class Kv:
    """The kv service over a blocking client."""

    def __init__(self, client: Client, service: str = "kv") -> None:
        self.client = client
        self.service = service

    def _run(self, call: Call, timeout: Optional[float]) -> Any:
        return call.read(self.client.submit(self.service, call.payload, timeout=timeout))

    def _ask(self, call: Call, timeout: Optional[float], stale: bool) -> Any:
        return call.read(self.client.query(self.service, call.payload, timeout=timeout,
                                           stale=stale))

    def put(self, key: Text, value: Text, timeout: Optional[float] = None) -> int:
        """The version that the key has now."""
        return int(self._run(put(key, value), timeout))

    def delete(self, key: Text, timeout: Optional[float] = None) -> bool:
        """Was the key there?"""
        return bool(self._run(delete(key), timeout))

    def cas(self, key: Text, expected: Optional[Text], value: Optional[Text],
            timeout: Optional[float] = None) -> bool:
        """Sets the key to `value` if it holds `expected`; None is "no such key" in both."""
        return bool(self._run(cas(key, expected, value), timeout))

    def incr(self, key: Text, delta: int = 1, timeout: Optional[float] = None) -> int:
        return int(self._run(incr(key, delta), timeout))

    def append(self, key: Text, value: Text, timeout: Optional[float] = None) -> int:
        return int(self._run(append(key, value), timeout))

    def watch(self, key: Text, prefix: bool = False, timeout: Optional[float] = None) -> None:
        """The present value, then each change, come as server requests; see read_change."""
        self._run(watch(key, prefix), timeout)

    def unwatch(self, key: Text, prefix: bool = False, timeout: Optional[float] = None) -> None:
        self._run(unwatch(key, prefix), timeout)

    def get(self, key: Text, timeout: Optional[float] = None,
            stale: bool = False) -> Optional[bytes]:
        found: Optional[bytes] = self._ask(get(key), timeout, stale)
        return found

    def range(self, first: Text, end: Optional[Text], limit: int = 1000,
              timeout: Optional[float] = None, stale: bool = False) -> Range:
        """Keys from `first` to before `end` (None: to the last), at most `limit`."""
        found: Range = self._ask(range_of(first, end, limit), timeout, stale)
        return found


class AsyncKv:
    """The kv service over an asyncio client."""

    def __init__(self, client: AsyncClient, service: str = "kv") -> None:
        self.client = client
        self.service = service

    async def _run(self, call: Call, timeout: Optional[float]) -> Any:
        return call.read(await self.client.submit(self.service, call.payload, timeout=timeout))

    async def _ask(self, call: Call, timeout: Optional[float], stale: bool) -> Any:
        return call.read(await self.client.query(self.service, call.payload, timeout=timeout,
                                                 stale=stale))

    async def put(self, key: Text, value: Text, timeout: Optional[float] = None) -> int:
        return int(await self._run(put(key, value), timeout))

    async def delete(self, key: Text, timeout: Optional[float] = None) -> bool:
        return bool(await self._run(delete(key), timeout))

    async def cas(self, key: Text, expected: Optional[Text], value: Optional[Text],
                  timeout: Optional[float] = None) -> bool:
        return bool(await self._run(cas(key, expected, value), timeout))

    async def incr(self, key: Text, delta: int = 1, timeout: Optional[float] = None) -> int:
        return int(await self._run(incr(key, delta), timeout))

    async def append(self, key: Text, value: Text, timeout: Optional[float] = None) -> int:
        return int(await self._run(append(key, value), timeout))

    async def watch(self, key: Text, prefix: bool = False,
                    timeout: Optional[float] = None) -> None:
        await self._run(watch(key, prefix), timeout)

    async def unwatch(self, key: Text, prefix: bool = False,
                      timeout: Optional[float] = None) -> None:
        await self._run(unwatch(key, prefix), timeout)

    async def get(self, key: Text, timeout: Optional[float] = None,
                  stale: bool = False) -> Optional[bytes]:
        found: Optional[bytes] = await self._ask(get(key), timeout, stale)
        return found

    async def range(self, first: Text, end: Optional[Text], limit: int = 1000,
                    timeout: Optional[float] = None, stale: bool = False) -> Range:
        found: Range = await self._ask(range_of(first, end, limit), timeout, stale)
        return found
