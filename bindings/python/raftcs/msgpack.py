"""The part of msgpack that the commands of the reference plugins need.

Own code instead of a package, as the binding needs nothing beyond the standard library. str and
bytes stay apart; no extension types. What must hold: every integer has its shortest form, so equal
values have equal bytes; damaged input raises ValueError and nothing else.
"""
from __future__ import annotations

import struct
from typing import Any, List, Tuple

DEPTH_MAX = 32


def pack(value: Any) -> bytes:
    """One value as msgpack."""
    out: List[bytes] = []
    _pack(value, out)
    return b"".join(out)


def _pack(value: Any, out: List[bytes]) -> None:
    if value is None:
        out.append(b"\xc0")
    elif isinstance(value, bool):
        out.append(b"\xc3" if value else b"\xc2")
    elif isinstance(value, int):
        out.append(_integer(value))
    elif isinstance(value, float):
        out.append(struct.pack(">Bd", 0xCB, value))
    elif isinstance(value, str):
        raw = value.encode()
        out += [_length(len(raw), 0xA0, 31, (0xD9, 0xDA, 0xDB)), raw]
    elif isinstance(value, (bytes, bytearray, memoryview)):
        raw = bytes(value)  # first: a view counts items, which need not be bytes
        out += [_length(len(raw), 0, -1, (0xC4, 0xC5, 0xC6)), raw]
    elif isinstance(value, (list, tuple)):
        out.append(_length(len(value), 0x90, 15, (None, 0xDC, 0xDD)))
        for item in value:
            _pack(item, out)
    elif isinstance(value, dict):
        out.append(_length(len(value), 0x80, 15, (None, 0xDE, 0xDF)))
        for key, item in value.items():
            _pack(key, out)
            _pack(item, out)
    else:
        raise TypeError(f"no msgpack form for {type(value).__name__}")


def _integer(value: int) -> bytes:
    if -32 <= value < 128:
        return struct.pack(">b", value)
    forms = ((0xCC, ">BB"), (0xCD, ">BH"), (0xCE, ">BI"), (0xCF, ">BQ")) if value >= 0 else (
        (0xD0, ">Bb"), (0xD1, ">Bh"), (0xD2, ">Bi"), (0xD3, ">Bq"))
    for code, form in forms:
        try:
            return struct.pack(form, code, value)
        except struct.error:
            continue
    raise ValueError("the integer needs more than 64 bits")


def _length(size: int, short: int, short_max: int, codes: Tuple[Any, int, int]) -> bytes:
    if size <= short_max:
        return bytes((short | size,))
    if codes[0] is not None and size < 1 << 8:
        return struct.pack(">BB", codes[0], size)
    if size < 1 << 16:
        return struct.pack(">BH", codes[1], size)
    return struct.pack(">BI", codes[2], size)


def unpack(raw: bytes) -> Any:
    """The one value that `raw` holds."""
    value, end = unpack_at(raw, 0)
    if end != len(raw):
        raise ValueError("bytes after the value")
    return value


def unpack_at(raw: bytes, at: int) -> Tuple[Any, int]:
    """The value that begins at `at`, and where it ends."""
    return _Reader(raw, at).value(0)


_FIXED = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
            0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_SIZED = {0xC4: ("bin", ">B"), 0xC5: ("bin", ">H"), 0xC6: ("bin", ">I"), 0xD9: ("str", ">B"),
          0xDA: ("str", ">H"), 0xDB: ("str", ">I"), 0xDC: ("array", ">H"),
          0xDD: ("array", ">I"), 0xDE: ("map", ">H"), 0xDF: ("map", ">I")}


class _Reader:
    def __init__(self, raw: bytes, at: int) -> None:
        self._raw = raw
        self._at = at

    def value(self, depth: int) -> Tuple[Any, int]:
        return self._value(depth), self._at

    def _take(self, size: int) -> bytes:
        piece = self._raw[self._at:self._at + size]
        if len(piece) != size:
            raise ValueError("the value is cut short")
        self._at += size
        return piece

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._take(struct.calcsize(form)))[0]

    def _value(self, depth: int) -> Any:
        if depth > DEPTH_MAX:
            raise ValueError("nested too deeply")
        code = self._take(1)[0]
        if code < 0x80 or code >= 0xE0:
            return code if code < 0x80 else code - 256
        if code < 0xC0:
            kind = "map" if code < 0x90 else "array" if code < 0xA0 else "str"
            return self._sized(kind, code & (0x1F if kind == "str" else 0x0F), depth)
        if code in _FIXED:
            return _FIXED[code]
        if code in _NUMBERS:
            return self._number(_NUMBERS[code])
        if code in _SIZED:
            kind, form = _SIZED[code]
            return self._sized(kind, self._number(form), depth)
        raise ValueError(f"msgpack code {code:#x} is not in use here")

    def _sized(self, kind: str, size: int, depth: int) -> Any:
        if kind == "bin":
            return self._take(size)
        if kind == "str":
            return self._take(size).decode()
        if kind == "array":
            return [self._value(depth + 1) for _ in range(size)]
        pairs = ((self._value(depth + 1), self._value(depth + 1)) for _ in range(size))
        try:
            return dict(pairs)
        except TypeError:
            raise ValueError("a map key that is a map or an array") from None
