"""Finds and loads libraftcs, once, when the package is imported.

Order: the file named by RAFTCS_LIBRARY; the build folders next to this package (only when the
package is used from a source tree); what the system's loader knows. A file that was named but
cannot be loaded is an error: another library is never taken in its place.

What must hold: the library has the major version of the declarations and at least their minor
version, so that every declared function is there.
"""
from __future__ import annotations

import ctypes
import ctypes.util
import os
from pathlib import Path
from typing import Iterator

from . import _ffi


def _candidates() -> Iterator[str]:
    named = os.environ.get("RAFTCS_LIBRARY")
    if named:
        yield named
        return
    root = Path(__file__).resolve().parents[3]
    if (root / "include" / "raftcs.h").is_file():
        for found in sorted(root.glob("build/*/libraftcs.so")):
            yield str(found)
    installed = ctypes.util.find_library("raftcs")
    if installed:
        yield installed


def _checked(api: _ffi.Api, path: str) -> _ffi.Api:
    if api.raftcs_version is None:
        raise ImportError(f"{path} is no libraftcs")
    version = api.raftcs_version()
    major, minor = version >> 24, version >> 16 & 0xFF
    if major != _ffi.HEADER_VERSION_MAJOR or minor < _ffi.HEADER_VERSION_MINOR:
        raise ImportError(
            f"{path} has version {major}.{minor}; this package needs "
            f"{_ffi.HEADER_VERSION_MAJOR}.{_ffi.HEADER_VERSION_MINOR} or a later minor")
    return api


def _load() -> _ffi.Api:
    for path in _candidates():
        try:
            library = ctypes.CDLL(path)
        except OSError as reason:
            raise ImportError(f"cannot load {path}: {reason}") from reason
        return _checked(_ffi.Api(library), path)
    raise ImportError("libraftcs was not found; set RAFTCS_LIBRARY to the path of libraftcs.so")


api = _load()


def c_text(name: str, raw: bytes) -> bytes:
    """What may be passed as a C string, which would end at a NUL; `name` is for the exception."""
    if b"\0" in raw:
        raise ValueError(f"{name} has a NUL in it")
    return raw


def text(raw: object) -> str:
    """A borrowed C string as str; None is ''."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
