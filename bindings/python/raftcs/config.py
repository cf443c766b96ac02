"""Settings: names and values, checked by the library when they are set.

A thin mapping over raftcs_config: the names, types and ranges are the library's, so a setting that
a newer library adds works without a change here. Python values are written the library's way.

What must hold: [serial] in the C API means one thread at a time; a lock here keeps that.
"""
from __future__ import annotations

import os
import threading
from ctypes import byref, c_char_p, c_void_p, sizeof
from typing import Any, Iterable, Mapping, NamedTuple, Optional, Union

from . import _ffi, errors
from ._library import api, c_text, text

Value = Union[str, int, bool, Iterable[str]]


class Setting(NamedTuple):
    """One row of the library's table of settings."""

    name: str
    type: str
    default: str
    range: str
    unit: str
    text: str


def settings() -> "list[Setting]":
    """Every setting that the loaded library knows."""
    rows: "list[Setting]" = []
    row = _ffi.Setting()
    row.struct_size = sizeof(row)
    while api.raftcs_setting_at(len(rows), byref(row)) == _ffi.OK:
        rows.append(Setting(text(row.name), text(row.type), text(row.default_value),
                            text(row.range), text(row.unit), text(row.text)))
        row.struct_size = sizeof(row)
    return rows


def raise_error(status: int, error: c_void_p) -> None:
    """Raises for a failed call and frees its error object."""
    if status == _ffi.OK:
        return
    sentence = text(api.raftcs_error_text(error)) if error.value else ""
    api.raftcs_error_destroy(error)
    raise errors.make(status, sentence)


def _written(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    return ",".join(str(item) for item in value)


class Config:
    """Settings of clients and servers. One object can make many; they copy it."""

    def __init__(self, values: Optional[Mapping[str, Value]] = None,
                 file: Optional["Union[str, os.PathLike[str]]"] = None) -> None:
        self._lock = threading.Lock()
        self._handle = c_void_p()
        errors.check(api.raftcs_config_create(byref(self._handle)))
        if file is not None:
            self.load(file)
        for name, value in (values or {}).items():
            self.set(name, value)

    @classmethod
    def of(cls, source: "Union[Config, Mapping[str, Value]]") -> "Config":
        return source if isinstance(source, Config) else cls(source)

    def set(self, name: str, value: Value) -> "Config":
        error = c_void_p()
        key = c_text("name", name.encode())
        written = c_text(f"value of {name}", _written(value).encode())
        with self._lock:
            status = api.raftcs_config_set(self._handle, key, written, byref(error))
        raise_error(status, error)
        return self

    def get(self, name: str) -> str:
        key, value = c_text("name", name.encode()), c_char_p()
        with self._lock:
            errors.check(api.raftcs_config_get(self._handle, key, byref(value)), name)
            return text(value.value)

    def load(self, path: "Union[str, os.PathLike[str]]") -> "Config":
        """Reads a TOML file; a table [client.request] with key timeout_ms sets
        client.request.timeout_ms."""
        error = c_void_p()
        raw = c_text("path", os.fsencode(path))
        with self._lock:
            status = api.raftcs_config_load_file(self._handle, raw, byref(error))
        raise_error(status, error)
        return self

    __setitem__ = set
    __getitem__ = get

    def __del__(self, _destroy: Any = api.raftcs_config_destroy) -> None:
        handle = getattr(self, "_handle", None)
        if handle:
            _destroy(handle)
