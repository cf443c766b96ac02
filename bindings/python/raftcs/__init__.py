"""raftcs for Python: replicated state machines as a service, over libraftcs by ctypes.

    import raftcs
    with raftcs.Client({"client.endpoints": "tcp://127.0.0.1:5000"}) as client:
        reply = client.submit("kv", command)

Client is for threads, AsyncClient for asyncio, Server embeds a node. Importing the package loads
libraftcs (see _library.py) and makes one exception class per status of its table.

What must hold: nothing here retries. A command is sent again by the library, under its own number,
until an answer arrives or its deadline passes; the outcome of an exception is the whole truth.
"""
from __future__ import annotations

from . import _ffi, errors
from ._base import ClientInfo
from ._events import Event, Reply, ServerRequest, StateEvent
from ._library import api as _api
from ._library import c_text as _c_text
from ._library import text as _text
from .aio import AsyncClient
from .client import Client, Pending
from .config import Config, Setting, settings
from .errors import OutcomeUnknown, RaftcsError
from .server import Server, ServerInfo

OUTCOME_NONE = _ffi.OUTCOME_NONE
APPLIED = _ffi.OUTCOME_APPLIED
NOT_APPLIED = _ffi.OUTCOME_NOT_APPLIED
UNKNOWN = _ffi.OUTCOME_UNKNOWN

DISCONNECTED = _ffi.CLIENT_DISCONNECTED
CONNECTING_NEW = _ffi.CLIENT_CONNECTING_NEW
CONNECTING_EXISTING = _ffi.CLIENT_CONNECTING_EXISTING
CONNECTED = _ffi.CLIENT_CONNECTED

__all__ = [
    "APPLIED", "AsyncClient", "CONNECTED", "CONNECTING_EXISTING", "CONNECTING_NEW", "Client",
    "ClientInfo", "Config", "DISCONNECTED", "Event", "NOT_APPLIED", "OUTCOME_NONE",
    "OutcomeUnknown", "Pending", "RaftcsError", "Reply", "Server", "ServerInfo", "ServerRequest",
    "Setting", "StateEvent", "UNKNOWN", "errors", "has", "library_version", "settings",
]


def library_version() -> str:
    """The version of the loaded library."""
    return _text(_api.raftcs_version_string())


def has(feature: str) -> bool:
    """Does the loaded library have a feature: "client", "server", "plugins"?"""
    return bool(_api.raftcs_has(_c_text("feature", feature.encode())))
