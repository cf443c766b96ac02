#!/usr/bin/env python3
"""Makes the declarations of the bindings from the public headers.

Why a script of regular expressions and not a C parser: the headers keep a strict style (one
declaration per statement, RAFTCS_API first, named enums with explicit values, struct members
one per statement), which is what makes them readable for every foreign function interface.
The script fails on a statement that it does not understand instead of leaving it out.

What must hold: the outputs are committed, and a test runs `generate.py --check`, so a change of
the headers without a run of this script is noticed. Nothing but the two headers is read.

Usage: generate.py [--check]
"""
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HEADERS = (ROOT / "include/raftcs_status.h", ROOT / "include/raftcs.h")
FFI_OUT = ROOT / "bindings/python/raftcs/_ffi.py"
STUB_OUT = ROOT / "bindings/python/raftcs/errors.pyi"

FORWARD = r"struct \w+|typedef int32_t raftcs_status_t"
SCALARS = {
    "int": "c_int", "int32_t": "c_int32", "int64_t": "c_int64", "uint8_t": "c_uint8",
    "uint16_t": "c_uint16", "uint32_t": "c_uint32", "uint64_t": "c_uint64", "size_t": "c_size_t",
    "raftcs_status_t": "c_int32", "void": "None",
}
PYTHON_RESULTS = {"None": "None", "c_char_p": "Optional[bytes]", "c_void_p": "Optional[int]"}


class HeaderError(Exception):
    """A statement of the header is not in the strict style."""


def strip_text(text):
    """The header without comments, preprocessor lines and the C++ guards."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    text = re.sub(r"^[ \t]*#.*?(?<!\\)$", "", text, flags=re.M)
    return text.replace('extern "C" {', "")


class Header:
    """What the headers declare, in their order."""

    def __init__(self):
        self.version = {}
        self.enums = []      # (name, [(constant, value)])
        self.structs = {}    # name -> [(member, C type, array length or 0)]
        self.callbacks = {}  # name -> (result, [types])
        self.functions = []  # (name, result, [types])
        self.opaque = set()

    def read(self, path):
        raw = path.read_text(encoding="utf-8")
        for part, value in re.findall(r"#define RAFTCS_VERSION_(\w+) (\d+)", raw):
            self.version[part] = int(value)
        text = strip_text(raw)
        text = re.sub(r"typedef struct (\w+) \{(.*?)\} (\w+);", self._struct, text, flags=re.S)
        text = re.sub(r"enum (\w+) \{(.*?)\};", self._enum, text, flags=re.S)
        for statement in text.split(";"):
            self._statement(" ".join(statement.split()))

    def _struct(self, match):
        members = []
        for line in filter(None, (part.strip() for part in match.group(2).split(";"))):
            found = re.fullmatch(r"(.+?)(\w+)(?:\[(\d+)\])?", " ".join(line.split()))
            if not found:
                raise HeaderError(f"member: {line}")
            members.append((found.group(2), found.group(1).strip(), int(found.group(3) or 0)))
        self.structs[match.group(3)] = members
        return ""

    def _enum(self, match):
        values = []
        for item in filter(None, (part.strip() for part in match.group(2).split(","))):
            found = re.fullmatch(r"(\w+) = (-?\d+)", item)
            if not found:
                raise HeaderError(f"enumerator without an explicit value: {item}")
            values.append((found.group(1), int(found.group(2))))
        self.enums.append((match.group(1), values))
        return ""

    def _statement(self, text):
        if not text.strip("} ") or re.fullmatch(FORWARD, text):
            return
        opaque = re.fullmatch(r"typedef struct (\w+) (\w+)", text)
        if opaque:
            self.opaque.add(opaque.group(2))
            return
        callback = re.fullmatch(r"typedef (.+?)\(\*(\w+)\)\((.*)\)", text)
        if callback:
            self.callbacks[callback.group(2)] = (callback.group(1).strip(),
                                                 parameters(callback.group(3)))
            return
        function = re.fullmatch(r"RAFTCS_API (.+?)(raftcs_\w+)\((.*)\)", text)
        if not function:
            raise HeaderError(f"statement: {text}")
        self.functions.append((function.group(2), function.group(1).strip(),
                               parameters(function.group(3))))


def parameters(text):
    """The C types of a parameter list; every parameter has a name."""
    if text.strip() in ("void", ""):
        return []
    types = []
    for item in text.split(","):
        found = re.fullmatch(r"(.+?[ *])(\w+)", item.strip())
        if not found:
            raise HeaderError(f"parameter: {item}")
        types.append(found.group(1).strip())
    return types


def struct_class(name):
    """raftcs_event_info_t -> EventInfo."""
    return "".join(part.capitalize() for part in name[len("raftcs_"):-len("_t")].split("_"))


def error_class(constant):
    """RAFTCS_ERR_TIMED_OUT -> TimedOut."""
    return "".join(part.capitalize() for part in constant[len("RAFTCS_ERR_"):].split("_"))


def ctype(header, c_type, result=False):
    """The ctypes name of a C type. Every opaque pointer is a c_void_p: a plain number."""
    base = " ".join(c_type.replace("const", " ").replace("struct ", " ").split())
    name, stars = base.rstrip("* "), base.count("*")
    if stars == 0:
        if name in header.callbacks:
            return struct_class(name.replace("_fn", "_fn_t"))
        return SCALARS[name]
    if name == "char" and stars == 1:
        return "c_char_p"
    if name == "char":
        return "POINTER(c_char_p)"
    handle = name == "void" or name in header.opaque or name not in SCALARS
    if name in header.structs:
        return f"POINTER({struct_class(name)})"
    if handle:
        return "c_void_p" if stars == 1 else "POINTER(c_void_p)"
    if result:
        raise HeaderError(f"a result of type {c_type}")
    return f"POINTER({SCALARS[name]})"


def ffi_head():
    return [
        '"""Declarations of the C API, made from include/raftcs.h and raftcs_status.h.',
        "",
        "Made by bindings/gen/generate.py: do not edit. Every opaque handle is a c_void_p. A",
        "function that the loaded library does not have is None: see _library.py.",
        '"""', "from __future__ import annotations", "",
        "from ctypes import (CDLL, CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int32, c_int64,",
        "                    c_size_t, c_uint8, c_uint32, c_uint64, c_void_p)",
        "from typing import Any, Callable, Dict, Optional, Tuple", "",
    ]


def ffi_constants(header):
    lines = []
    for part in ("MAJOR", "MINOR", "PATCH"):
        lines.append(f"HEADER_VERSION_{part} = {header.version[part]}")
    for name, values in header.enums:
        lines += ["", f"# enum {name}"]
        lines += [f"{key[len('RAFTCS_'):]} = {value}" for key, value in values]
    return lines


def ffi_types(header):
    lines = []
    for name, (result, types) in header.callbacks.items():
        # Text given to a callback has no NUL at its end, so it must not become a c_char_p.
        spelled = ", ".join([ctype(header, result)] +
                            [ctype(header, t.replace("char", "void")) for t in types])
        lines += ["", f"{struct_class(name + '_t')} = CFUNCTYPE({spelled})"]
    for name, members in header.structs.items():
        lines += ["", "", f"class {struct_class(name)}(Structure):", "    _fields_ = ["]
        for member, c_type, length in members:
            suffix = f" * {length}" if length else ""
            lines.append(f'        ("{member}", {ctype(header, c_type)}{suffix}),')
        lines.append("    ]")
    return lines


def ffi_functions(header):
    lines = ["", "", "# name -> (result, arguments)",
             "FUNCTIONS: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {"]
    for name, result, types in header.functions:
        args = "".join(ctype(header, t) + ", " for t in types).rstrip()
        lines.append(f'    "{name}":')
        lines.append(f"        ({ctype(header, result, True)}, ({args})),")
    lines += ["}", "", "", "class Api:", '    """The functions of one loaded library."""', ""]
    for name, result, _ in header.functions:
        python = PYTHON_RESULTS.get(ctype(header, result, True), "int")
        lines.append(f"    {name}: Callable[..., {python}]")
    lines += [
        "", "    def __init__(self, library: CDLL) -> None:",
        "        for name, (result, arguments) in FUNCTIONS.items():",
        "            function: Any = getattr(library, name, None)",
        "            if function is not None:",
        "                function.restype = result",
        "                function.argtypes = arguments",
        "            setattr(self, name, function)",
    ]
    return lines


def make_ffi(header):
    lines = ffi_head() + ffi_constants(header) + ffi_types(header) + ffi_functions(header)
    return "\n".join(lines) + "\n"


FAMILIES = ("CallerError", "LocalError", "ReachError", "ConsensusError", "DataError",
            "MachineError")


def make_stub(header):
    """Types of the classes that errors.py makes at import, for type checkers."""
    lines = ["# Made by bindings/gen/generate.py from raftcs_status.h: do not edit.",
             "# The classes are made by errors.py at import, from the table of the loaded library.",
             "from typing import Dict, Optional, Type", "", "",
             "class RaftcsError(Exception):",
             "    status: int", "    outcome: int", "    retry_after_ms: int", "    app_code: int",
             "    name: str", "    retriable: bool", "    safe_to_retry: bool", "    fatal: bool",
             "    def __init__(self, text: str = ..., *, status: Optional[int] = ...,",
             "                 outcome: Optional[int] = ..., retry_after_ms: int = ...,",
             "                 app_code: int = ...) -> None: ...", "", "",
             "class OutcomeUnknown(RaftcsError): ..."]
    lines += [f"class {family}(RaftcsError): ..." for family in FAMILIES]
    for _, values in header.enums:
        for key, value in values:
            if key.startswith("RAFTCS_ERR_"):
                lines.append(f"class {error_class(key)}({FAMILIES[-value // 100]}): ...")
    lines += ["", "", "BY_STATUS: Dict[int, Type[RaftcsError]]", "",
              "def make(status: int, text: str = ..., outcome: Optional[int] = ...,",
              "         retry_after_ms: int = ..., app_code: int = ...) -> RaftcsError: ...",
              "def check(status: int, text: str = ...) -> None: ..."]
    return "\n".join(lines) + "\n"


def main(arguments):
    header = Header()
    for path in HEADERS:
        header.read(path)
    stale = []
    for path, text in ((FFI_OUT, make_ffi(header)), (STUB_OUT, make_stub(header))):
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.relative_to(ROOT).as_posix())
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in arguments:
        print("out of date, run bindings/gen/generate.py:", ", ".join(stale))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
