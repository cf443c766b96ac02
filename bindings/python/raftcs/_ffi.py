"""Declarations of the C API, made from include/raftcs.h and raftcs_status.h.

Made by bindings/gen/generate.py: do not edit. Every opaque handle is a c_void_p. A
function that the loaded library does not have is None: see _library.py.
"""
from __future__ import annotations

from ctypes import (CDLL, CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int32, c_int64,
                    c_size_t, c_uint8, c_uint32, c_uint64, c_void_p)
from typing import Any, Callable, Dict, Optional, Tuple

HEADER_VERSION_MAJOR = 0
HEADER_VERSION_MINOR = 1
HEADER_VERSION_PATCH = 0

# enum raftcs_status_code
OK = 0
ERR_INVALID_ARGUMENT = -1
ERR_BAD_HANDLE = -2
ERR_UNKNOWN_OPTION = -3
ERR_BAD_STATE = -4
ERR_WRONG_THREAD = -5
ERR_UNSUPPORTED = -6
ERR_TOO_LARGE = -7
ERR_FORKED = -8
ERR_NOT_FOUND = -9
ERR_ALREADY_EXISTS = -10
ERR_NO_MEMORY = -100
ERR_IO = -101
ERR_NO_SPACE = -102
ERR_RESOURCE_LIMIT = -103
ERR_INTERNAL = -104
ERR_BUSY = -200
ERR_NO_LEADER = -201
ERR_UNREACHABLE = -202
ERR_TIMED_OUT = -203
ERR_CANCELLED = -204
ERR_CLOSED = -205
ERR_NOT_LEADER = -300
ERR_DROPPED = -301
ERR_SESSION_EXPIRED = -302
ERR_CONFIG_IN_PROGRESS = -303
ERR_NOT_MEMBER = -304
ERR_COMPACTED = -305
ERR_STALE_READ_REFUSED = -306
ERR_EVICTED = -307
ERR_MISUSE = -308
ERR_SESSION_TAKEN = -309
ERR_SESSION_REJECTED = -310
ERR_WRONG_CLUSTER = -311
ERR_CORRUPT = -400
ERR_CHECKSUM = -401
ERR_VERSION_MISMATCH = -402
ERR_MALFORMED = -403
ERR_PLUGIN_LOAD = -500
ERR_PLUGIN_ABI = -501
ERR_PLUGIN_FAILED = -502
ERR_APPLY_REJECTED = -503

# enum raftcs_outcome
OUTCOME_NONE = 0
OUTCOME_APPLIED = 1
OUTCOME_NOT_APPLIED = 2
OUTCOME_UNKNOWN = 3

# enum raftcs_event_kind
EVENT_REPLY = 1
EVENT_QUERY_REPLY = 2
EVENT_ADMIN_REPLY = 3
EVENT_SERVER_REQUEST = 4
EVENT_CLIENT_STATE = 5
EVENT_SESSION_LOST = 6
EVENT_TOPOLOGY = 7
EVENT_SERVER_STATE = 8
EVENT_LOG = 9
EVENT_CLOSED = 10
EVENT_REQUESTS_GONE = 11

# enum raftcs_fd_kind
FD_DEFAULT = 0
FD_PIPE = 1

# enum raftcs_client_state
CLIENT_DISCONNECTED = 1
CLIENT_CONNECTING_NEW = 2
CLIENT_CONNECTING_EXISTING = 3
CLIENT_CONNECTED = 4

# enum raftcs_consistency
LINEARIZABLE = 0
STALE = 1

WakeupFn = CFUNCTYPE(None, c_uint64)

LineFn = CFUNCTYPE(None, c_uint64, c_void_p, c_size_t)


class Setting(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("name", c_char_p),
        ("type", c_char_p),
        ("default_value", c_char_p),
        ("range", c_char_p),
        ("unit", c_char_p),
        ("text", c_char_p),
    ]


class QueueOptions(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
    ]


class EventInfo(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("kind", c_int32),
        ("status", c_int32),
        ("outcome", c_int32),
        ("app_code", c_int32),
        ("retry_after_ms", c_int32),
        ("tag", c_uint64),
        ("op_id", c_uint64),
        ("index", c_uint64),
        ("data", c_void_p),
        ("data_len", c_size_t),
        ("text", c_char_p),
    ]


class CallOptions(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("timeout_ms", c_int64),
        ("consistency", c_int32),
        ("reserved", c_int32),
    ]


class ClientInfo(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("state", c_int32),
        ("session_id", c_uint8 * 16),
        ("leader", c_uint64),
        ("outstanding", c_uint64),
        ("submitted", c_uint64),
        ("completed", c_uint64),
        ("resent", c_uint64),
        ("reconnects", c_uint64),
        ("server_requests", c_uint64),
        ("rtt_us", c_int64),
        ("rtt_smoothed_us", c_int64),
        ("latency_us", c_int64),
        ("session_timeout_ms", c_uint64),
        ("attempts", c_uint64),
        ("late_replies", c_uint64),
        ("busy", c_uint64),
        ("sessions_lost", c_uint64),
        ("malformed_frames", c_uint64),
        ("trouble", c_int32),
        ("reserved", c_int32),
    ]


class ServerInfo(Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("running", c_int32),
        ("id", c_uint64),
        ("leader", c_uint64),
        ("term", c_uint64),
        ("commit_index", c_uint64),
        ("applied_index", c_uint64),
        ("leads", c_int32),
        ("health", c_int32),
        ("client_address", c_char_p),
        ("peer_address", c_char_p),
    ]


# name -> (result, arguments)
FUNCTIONS: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {
    "raftcs_version":
        (c_uint32, ()),
    "raftcs_version_string":
        (c_char_p, ()),
    "raftcs_has":
        (c_int32, (c_char_p,)),
    "raftcs_status_name":
        (c_char_p, (c_int32,)),
    "raftcs_status_text":
        (c_char_p, (c_int32,)),
    "raftcs_status_at":
        (c_int32, (c_uint32, POINTER(c_int32),)),
    "raftcs_status_is_retriable":
        (c_int32, (c_int32,)),
    "raftcs_status_is_fatal":
        (c_int32, (c_int32,)),
    "raftcs_status_outcome":
        (c_int32, (c_int32,)),
    "raftcs_error_status":
        (c_int32, (c_void_p,)),
    "raftcs_error_text":
        (c_char_p, (c_void_p,)),
    "raftcs_error_destroy":
        (None, (c_void_p,)),
    "raftcs_config_create":
        (c_int32, (POINTER(c_void_p),)),
    "raftcs_config_destroy":
        (None, (c_void_p,)),
    "raftcs_config_set":
        (c_int32, (c_void_p, c_char_p, c_char_p, POINTER(c_void_p),)),
    "raftcs_config_get":
        (c_int32, (c_void_p, c_char_p, POINTER(c_char_p),)),
    "raftcs_config_load_file":
        (c_int32, (c_void_p, c_char_p, POINTER(c_void_p),)),
    "raftcs_setting_at":
        (c_int32, (c_uint32, POINTER(Setting),)),
    "raftcs_queue_create":
        (c_int32, (POINTER(QueueOptions), POINTER(c_void_p),)),
    "raftcs_queue_destroy":
        (None, (c_void_p,)),
    "raftcs_queue_next":
        (c_int32, (c_void_p, c_int64, POINTER(c_void_p),)),
    "raftcs_queue_next_batch":
        (c_int32, (c_void_p, c_int64, POINTER(c_void_p), c_size_t, POINTER(c_size_t),)),
    "raftcs_queue_interrupt":
        (c_int32, (c_void_p,)),
    "raftcs_queue_open_fd":
        (c_int32, (c_void_p, c_int32, POINTER(c_int),)),
    "raftcs_queue_set_wakeup":
        (c_int32, (c_void_p, WakeupFn, c_uint64,)),
    "raftcs_queue_length":
        (c_size_t, (c_void_p,)),
    "raftcs_event_info":
        (c_int32, (c_void_p, POINTER(EventInfo),)),
    "raftcs_event_kind":
        (c_int32, (c_void_p,)),
    "raftcs_event_status":
        (c_int32, (c_void_p,)),
    "raftcs_event_outcome":
        (c_int32, (c_void_p,)),
    "raftcs_event_app_code":
        (c_int32, (c_void_p,)),
    "raftcs_event_tag":
        (c_uint64, (c_void_p,)),
    "raftcs_event_op_id":
        (c_uint64, (c_void_p,)),
    "raftcs_event_index":
        (c_uint64, (c_void_p,)),
    "raftcs_event_data":
        (c_int32, (c_void_p, POINTER(c_void_p), POINTER(c_size_t),)),
    "raftcs_event_text":
        (c_char_p, (c_void_p,)),
    "raftcs_event_is_retriable":
        (c_int32, (c_void_p,)),
    "raftcs_event_destroy":
        (None, (c_void_p,)),
    "raftcs_event_destroy_batch":
        (None, (POINTER(c_void_p), c_size_t,)),
    "raftcs_client_create":
        (c_int32, (c_void_p, c_void_p, c_uint64, POINTER(c_void_p), POINTER(c_void_p),)),
    "raftcs_client_open":
        (c_int32, (c_void_p,)),
    "raftcs_client_resume":
        (c_int32, (c_void_p, c_void_p, c_size_t,)),
    "raftcs_client_wait_connected":
        (c_int32, (c_void_p, c_int64,)),
    "raftcs_client_submit":
        (c_int32, (c_void_p, c_char_p, c_uint64, c_void_p, c_size_t, POINTER(CallOptions), POINTER(c_uint64),)),
    "raftcs_client_query":
        (c_int32, (c_void_p, c_char_p, c_uint64, c_void_p, c_size_t, POINTER(CallOptions), POINTER(c_uint64),)),
    "raftcs_client_cancel":
        (c_int32, (c_void_p, c_uint64,)),
    "raftcs_client_submit_wait":
        (c_int32, (c_void_p, c_char_p, c_void_p, c_size_t, POINTER(CallOptions), POINTER(c_void_p),)),
    "raftcs_client_query_wait":
        (c_int32, (c_void_p, c_char_p, c_void_p, c_size_t, POINTER(CallOptions), POINTER(c_void_p),)),
    "raftcs_client_ack":
        (c_int32, (c_void_p, c_uint64,)),
    "raftcs_client_admin":
        (c_int32, (c_void_p, c_char_p, c_uint64, c_char_p, c_char_p, POINTER(CallOptions), POINTER(c_uint64),)),
    "raftcs_client_admin_wait":
        (c_int32, (c_void_p, c_char_p, c_char_p, c_char_p, POINTER(CallOptions), POINTER(c_void_p),)),
    "raftcs_client_info":
        (c_int32, (c_void_p, POINTER(ClientInfo),)),
    "raftcs_client_export_session":
        (c_int32, (c_void_p, c_void_p, c_size_t, POINTER(c_size_t),)),
    "raftcs_client_close":
        (c_int32, (c_void_p, c_int32,)),
    "raftcs_client_destroy":
        (None, (c_void_p,)),
    "raftcs_server_create":
        (c_int32, (c_void_p, c_void_p, c_uint64, POINTER(c_void_p), POINTER(c_void_p),)),
    "raftcs_server_register_sm":
        (c_int32, (c_void_p, c_void_p, POINTER(c_void_p),)),
    "raftcs_server_start":
        (c_int32, (c_void_p, POINTER(c_void_p),)),
    "raftcs_server_stop":
        (c_int32, (c_void_p,)),
    "raftcs_server_admin":
        (c_int32, (c_void_p, c_uint64, c_char_p, c_char_p,)),
    "raftcs_server_info":
        (c_int32, (c_void_p, POINTER(ServerInfo),)),
    "raftcs_server_destroy":
        (None, (c_void_p,)),
    "raftcs_plugin_open":
        (c_int32, (c_char_p, POINTER(c_void_p), POINTER(c_void_p),)),
    "raftcs_plugin_name":
        (c_char_p, (c_void_p,)),
    "raftcs_plugin_version":
        (c_char_p, (c_void_p,)),
    "raftcs_plugin_type_count":
        (c_uint32, (c_void_p,)),
    "raftcs_plugin_type":
        (c_void_p, (c_void_p, c_uint32,)),
    "raftcs_plugin_close":
        (None, (c_void_p,)),
    "raftcs_log_dump":
        (c_int32, (c_char_p, LineFn, c_uint64, POINTER(c_void_p),)),
    "raftcs_log_verify":
        (c_int32, (c_char_p, LineFn, c_uint64, POINTER(c_void_p),)),
    "raftcs_force_new_cluster":
        (c_int32, (c_char_p, c_int32, LineFn, c_uint64, POINTER(c_void_p),)),
}


class Api:
    """The functions of one loaded library."""

    raftcs_version: Callable[..., int]
    raftcs_version_string: Callable[..., Optional[bytes]]
    raftcs_has: Callable[..., int]
    raftcs_status_name: Callable[..., Optional[bytes]]
    raftcs_status_text: Callable[..., Optional[bytes]]
    raftcs_status_at: Callable[..., int]
    raftcs_status_is_retriable: Callable[..., int]
    raftcs_status_is_fatal: Callable[..., int]
    raftcs_status_outcome: Callable[..., int]
    raftcs_error_status: Callable[..., int]
    raftcs_error_text: Callable[..., Optional[bytes]]
    raftcs_error_destroy: Callable[..., None]
    raftcs_config_create: Callable[..., int]
    raftcs_config_destroy: Callable[..., None]
    raftcs_config_set: Callable[..., int]
    raftcs_config_get: Callable[..., int]
    raftcs_config_load_file: Callable[..., int]
    raftcs_setting_at: Callable[..., int]
    raftcs_queue_create: Callable[..., int]
    raftcs_queue_destroy: Callable[..., None]
    raftcs_queue_next: Callable[..., int]
    raftcs_queue_next_batch: Callable[..., int]
    raftcs_queue_interrupt: Callable[..., int]
    raftcs_queue_open_fd: Callable[..., int]
    raftcs_queue_set_wakeup: Callable[..., int]
    raftcs_queue_length: Callable[..., int]
    raftcs_event_info: Callable[..., int]
    raftcs_event_kind: Callable[..., int]
    raftcs_event_status: Callable[..., int]
    raftcs_event_outcome: Callable[..., int]
    raftcs_event_app_code: Callable[..., int]
    raftcs_event_tag: Callable[..., int]
    raftcs_event_op_id: Callable[..., int]
    raftcs_event_index: Callable[..., int]
    raftcs_event_data: Callable[..., int]
    raftcs_event_text: Callable[..., Optional[bytes]]
    raftcs_event_is_retriable: Callable[..., int]
    raftcs_event_destroy: Callable[..., None]
    raftcs_event_destroy_batch: Callable[..., None]
    raftcs_client_create: Callable[..., int]
    raftcs_client_open: Callable[..., int]
    raftcs_client_resume: Callable[..., int]
    raftcs_client_wait_connected: Callable[..., int]
    raftcs_client_submit: Callable[..., int]
    raftcs_client_query: Callable[..., int]
    raftcs_client_cancel: Callable[..., int]
    raftcs_client_submit_wait: Callable[..., int]
    raftcs_client_query_wait: Callable[..., int]
    raftcs_client_ack: Callable[..., int]
    raftcs_client_admin: Callable[..., int]
    raftcs_client_admin_wait: Callable[..., int]
    raftcs_client_info: Callable[..., int]
    raftcs_client_export_session: Callable[..., int]
    raftcs_client_close: Callable[..., int]
    raftcs_client_destroy: Callable[..., None]
    raftcs_server_create: Callable[..., int]
    raftcs_server_register_sm: Callable[..., int]
    raftcs_server_start: Callable[..., int]
    raftcs_server_stop: Callable[..., int]
    raftcs_server_admin: Callable[..., int]
    raftcs_server_info: Callable[..., int]
    raftcs_server_destroy: Callable[..., None]
    raftcs_plugin_open: Callable[..., int]
    raftcs_plugin_name: Callable[..., Optional[bytes]]
    raftcs_plugin_version: Callable[..., Optional[bytes]]
    raftcs_plugin_type_count: Callable[..., int]
    raftcs_plugin_type: Callable[..., Optional[int]]
    raftcs_plugin_close: Callable[..., None]
    raftcs_log_dump: Callable[..., int]
    raftcs_log_verify: Callable[..., int]
    raftcs_force_new_cluster: Callable[..., int]

    def __init__(self, library: CDLL) -> None:
        for name, (result, arguments) in FUNCTIONS.items():
            function: Any = getattr(library, name, None)
            if function is not None:
                function.restype = result
                function.argtypes = arguments
            setattr(self, name, function)
