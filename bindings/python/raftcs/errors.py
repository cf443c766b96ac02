"""Exceptions, one class per status, made at import from the library's own table.

Made from the table and not written down: a newer library has statuses that this package has never
heard of, and they still get their class, name and family. The types are in errors.pyi.

RaftcsError > family of the status (CallerError, ReachError, ...) > class of the status (TimedOut).
When the outcome is UNKNOWN, the class raised is also an OutcomeUnknown, so that
`except OutcomeUnknown` catches exactly what may have happened.

What must hold: the outcome is the event's; the status alone is only asked when there is no event.
"""
from __future__ import annotations

from ctypes import byref, c_int32
from typing import Any, Dict, List, Optional, Tuple, Type

from . import _ffi
from ._library import api, text


class RaftcsError(Exception):
    """Root of all: status, name, outcome, retry_after_ms, app_code, retriable, fatal."""

    default_status = _ffi.ERR_INTERNAL

    def __init__(self, sentence: str = "", *, status: Optional[int] = None,
                 outcome: Optional[int] = None, retry_after_ms: int = 0,
                 app_code: int = 0) -> None:
        self.status = self.default_status if status is None else status
        self.name = text(api.raftcs_status_name(self.status))
        self.outcome = api.raftcs_status_outcome(self.status) if outcome is None else outcome
        self.retry_after_ms = retry_after_ms
        self.app_code = app_code
        super().__init__(sentence or text(api.raftcs_status_text(self.status)))

    @property
    def retriable(self) -> bool:
        """May the same call succeed later without any change? Says nothing about what the first
        one did: see safe_to_retry."""
        return bool(api.raftcs_status_is_retriable(self.status))

    @property
    def safe_to_retry(self) -> bool:
        """The call had no effect and never will, and the same call again may succeed."""
        return self.outcome == _ffi.OUTCOME_NOT_APPLIED and self.retriable

    @property
    def fatal(self) -> bool:
        """Will the object never work again?"""
        return bool(api.raftcs_status_is_fatal(self.status))

    def __str__(self) -> str:
        return f"{self.name}: {self.args[0]}"


class OutcomeUnknown(RaftcsError):
    """The command may have happened, at most once. Mixed into the class of the status."""


class CallerError(RaftcsError):
    """The caller did something wrong; nothing happened."""


class LocalError(RaftcsError):
    """This process lacks something: memory, disk, files."""


class ReachError(RaftcsError):
    """Reaching the cluster."""


class ConsensusError(RaftcsError):
    """Sessions and consensus."""


class DataError(RaftcsError):
    """Data that does not hold what it should."""


class MachineError(RaftcsError):
    """State machines and plugins."""


_FAMILIES: Tuple[Type[RaftcsError], ...] = (
    CallerError, LocalError, ReachError, ConsensusError, DataError, MachineError)

BY_STATUS: Dict[int, Type[RaftcsError]] = {}
_UNKNOWN: Dict[Type[RaftcsError], Type[RaftcsError]] = {RaftcsError: OutcomeUnknown}


def family(status: int) -> Type[RaftcsError]:
    """The family class of any status, known or not."""
    number = -status // 100
    return _FAMILIES[number] if 0 <= number < len(_FAMILIES) else RaftcsError


def _table() -> List[int]:
    """Every status of the loaded library but OK."""
    found, status = [], c_int32()
    while api.raftcs_status_at(len(found), byref(status)) == _ffi.OK:
        found.append(status.value)
    return [value for value in found if value != _ffi.OK]


def _define(status: int) -> None:
    name = text(api.raftcs_status_name(status))
    title = "".join(part.capitalize() for part in name.split("_"))
    members: Dict[str, Any] = {"__doc__": text(api.raftcs_status_text(status)),
                               "__module__": __name__, "default_status": status}
    made = type(title, (family(status),), members)
    BY_STATUS[status] = made
    globals()[title] = made


def _define_unknown(made: Type[RaftcsError]) -> None:
    members = {"__doc__": made.__doc__, "__module__": __name__}
    _UNKNOWN[made] = type(made.__name__ + "OutcomeUnknown", (made, OutcomeUnknown), members)


for _status in _table():
    _define(_status)
for _class in (*_FAMILIES, *BY_STATUS.values()):
    _define_unknown(_class)


def make(status: int, sentence: str = "", outcome: Optional[int] = None,
         retry_after_ms: int = 0, app_code: int = 0) -> RaftcsError:
    """The exception for a status, to be raised by the caller."""
    made = BY_STATUS.get(status, family(status))
    if outcome == _ffi.OUTCOME_UNKNOWN:
        made = _UNKNOWN[made]
    return made(sentence, status=status, outcome=outcome, retry_after_ms=retry_after_ms,
                app_code=app_code)


def check(status: int, sentence: str = "") -> None:
    """Raises unless the status is OK. For calls whose status is not an event's: what is refused did
    not happen, also where the status means something else in an event (CLOSED)."""
    if status != _ffi.OK:
        broken = status == _ffi.ERR_INTERNAL  # that may come from behind the refusals
        raise make(status, sentence, None if broken else _ffi.OUTCOME_NOT_APPLIED)
