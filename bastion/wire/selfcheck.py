"""Self-check that asyncssh's private parts are the ones that this room was written and tested against.

It never repairs anything. A mismatch under the guard refuses the start; one under the fast path turns it off.
"""

from __future__ import annotations

import inspect
import logging
from typing import Any, Final

import asyncssh
from asyncssh import channel, connection, encryption
from asyncssh.crypto import cipher

_LOG: Final = logging.getLogger("bastion.wire")

GUARD_FROM: Final = (2, 24, 1)
GUARD_BEFORE: Final = (2, 25)
FAST_VERSIONS: Final = frozenset({"2.24.1"})
"""The fast path repeats what function bodies do, so only an exact version will do."""

_Conn: Final = connection.SSHConnection
_Server: Final = connection.SSHServerConnection
_Client: Final = connection.SSHClientConnection
_Chan: Final = channel.SSHChannel
_ServerChan: Final = channel.SSHServerChannel

_Hook = tuple[Any, str, str]

GUARD_HOOKS: Final[tuple[_Hook, ...]] = (
    (_Conn, "data_received", "self data datatype"),
    (_Conn, "pause_writing", "self"),
    (_Conn, "resume_writing", "self"),
    (_Conn, "remove_channel", "self recv_chan"),
    (_Conn, "internal_error", "self exc_info error_logger"),
    (_Conn, "process_packet", "self pkttype pktid packet"),
    (_Conn, "_force_close", "self exc"),
    (_Conn, "_cleanup", "self exc"),
    (_Conn, "_send", "self data"),
    (_Conn, "_cancel_login_timer", "self"),
    (_Conn, "_update_recv_pktlen", "self max_pktsize"),
    (_Conn, "_connection_made", "self"),
    (_Conn, "_send_disconnect", "self code reason lang"),
    (_Conn, "_recv_data", "self"),
    (_Conn, "_recv_pkthdr", "self"),
    (_Conn, "_recv_packet", "self"),
    (_Conn, "_send_kexinit", "self"),
    (_Conn, "_process_kexinit", "self _pkttype _pktid packet"),
    (_Conn, "_process_global_request", "self _pkttype _pktid packet"),
    (_Conn, "_process_channel_open", "self _pkttype _pktid packet"),
    (_Conn, "_service_next_global_request", "self"),
    (_Conn, "_finish_userauth", "self begin_auth method packet"),
    (_Conn, "_keepalive_timer_callback", "self"),
    (_Conn, "_login_timer_callback", "self"),
    (_Conn, "send_userauth_failure", "self partial_success"),
    (_Conn, "send_userauth_success", "self"),
    (_Conn, "send_channel_open_failure", "self send_chan code reason lang"),
    (_Conn, "create_tcp_channel", "self encoding errors window max_pktsize"),
    (_Server, "create_server_channel", "self encoding errors window max_pktsize"),
    (_Server, "validate_public_key", "self username key_data msg signature"),
    (_Server, "validate_password", "self username password"),
    (_Server, "get_kbdint_challenge", "self username lang submethods"),
    (_Server, "validate_kbdint_response", "self username responses"),
    (_Server, "_process_session_open", "self packet"),
    (_Chan, "write", "self data datatype"),
    (_Chan, "process_packet", "self pkttype pktid packet"),
    (_Chan, "process_open_confirmation", "self send_chan send_window send_pktsize packet"),
    (_Chan, "_flush_send_buf", "self"),
    (_Chan, "_flush_recv_buf", "self exc"),
    (_Chan, "_pause_resume_writing", "self"),
    (_Chan, "_close_send", "self"),
    (_Chan, "_send_request", "self request args want_reply"),
    (_Chan, "_cleanup", "self exc"),
    (_Chan, "_deliver_data", "self data datatype"),
    (_Chan, "_accept_data", "self data datatype"),
    (_Chan, "_finish_open_request", "self result"),
    (_ServerChan, "_process_pty_req_request", "self packet"),
    (_ServerChan, "_process_window_change_request", "self packet"),
    (_ServerChan, "_process_env_request", "self packet"),
    (_ServerChan, "_process_exec_request", "self packet"),
    (_ServerChan, "_process_subsystem_request", "self packet"),
    (_ServerChan, "_process_signal_request", "self packet"),
    (_ServerChan, "_process_break_request", "self packet"),
    (_ServerChan, "_process_x11_req_request", "self packet"),
    (_ServerChan, "_process_auth_agent_req_at_openssh_dot_com_request", "self packet"),
    (
        _ServerChan,
        "__init__",
        ("self conn loop allow_pty line_editor line_echo line_history max_line_length encoding errors window max_pktsize"),
    ),
    (channel.SSHClientChannel, "__init__", "self conn loop utf8_decode_errors encoding errors window max_pktsize"),
    (
        channel.SSHClientChannel,
        "create",
        (
            "self session_factory command subsystem env request_pty term_type "
            "term_size term_modes x11_forwarding x11_display x11_auth_path x11_single_connection agent_forwarding"
        ),
    ),
)

_GUARD_ATTRIBUTES: Final = (
    (
        _Conn,
        (
            "_inpbuf _packet _transport _channels _session_id _auth_complete _kex_complete _kexinit_sent "
            "_recv_handler _recv_encryption _peer_addr _owner _auth _username _next_service _login_timer _enc_algs "
            "_deferred_packets _global_request_queue _auth_final _keepalive_interval _keepalive_timer _loop _options "
            "_client_version _kex_algs _server_host_key_algs _ignore_first_kex _peer_port"
        ),
    ),
    (_Server, "_key_options _cert_options _allow_pty _window _max_pktsize"),
    (
        _Chan,
        (
            "_send_buf _send_buf_len _send_state _send_window _send_pktsize _send_chan _send_paused _recv_state "
            "_recv_window _init_recv_window _recv_paused _recv_buf _env _session _conn"
        ),
    ),
    (_ServerChan, "_term_type _term_size _term_modes _session_started"),
)

FAST_HOOKS: Final[tuple[_Hook, ...]] = (
    (_Conn, "send_packet", "self pkttype args handler"),
    (_Conn, "send_newkeys", "self k h"),
    (encryption.GCMEncryption, "__init__", "self cipher"),
    (encryption.Encryption, "decrypt_packet", "self seq first rest header_len mac"),
    (encryption.Encryption, "decrypt_header", "self seq first_block header_len"),
    (encryption.Encryption, "encrypt_packet", "self seq header packet"),
    (cipher.GCMCipher, "__init__", "self cipher_name key iv"),
)

_FAST_ATTRIBUTES: Final = (
    (
        _Conn,
        (
            "_send_encryption _send_enchdrlen _send_blocksize _send_seq _recv_seq _strict_kex _compressor "
            "_rekey_bytes _rekey_bytes_sent _rekey_seconds _rekey_time _max_recv_pktlen _next_recv_encryption "
            "_auth_in_progress"
        ),
    ),
    (encryption.GCMEncryption, "_cipher"),
    (cipher.GCMCipher, "_key _iv"),
)


class WireMismatch(RuntimeError):
    """asyncssh is not the one that the guard was written for. The server must not start."""


def _missing(hooks: tuple[_Hook, ...], attributes: tuple[tuple[Any, str], ...]) -> list[str]:
    wrong = []
    for owner, name, expected in hooks:
        function = getattr(owner, name, None)
        found = " ".join(inspect.signature(function).parameters) if callable(function) else "nothing"
        if found != expected:
            wrong.append(f"{owner.__name__}.{name}: expected ({expected}), found ({found})")
    for owner, names in attributes:
        known = owner.__init__.__code__.co_names
        wrong += [f"{owner.__name__}.{name}: no such attribute" for name in names.split() if name not in known]
    return wrong


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


_fast: bool | None = None


def check() -> None:
    """Check at start (again at no cost). Raises WireMismatch with every difference that the guard depends on."""
    global _fast
    version = str(asyncssh.__version__)
    wrong = _missing(GUARD_HOOKS, _GUARD_ATTRIBUTES)
    if not GUARD_FROM <= _version(version) < GUARD_BEFORE:
        wrong.insert(0, f"version {version} is not one of 2.24.1 to 2.24.x")
    if wrong:
        raise WireMismatch("asyncssh differs from the version this server was tested with:\n  " + "\n  ".join(wrong))
    slow = _missing(FAST_HOOKS, _FAST_ATTRIBUTES)
    if version not in FAST_VERSIONS:
        slow.insert(0, f"version {version} is not {', '.join(sorted(FAST_VERSIONS))}")
    if slow:
        _LOG.warning("fast path is off, asyncssh's own is used: %s", "; ".join(slow))
    _fast = not slow


def fast_path() -> bool:
    """Whether the fast path is on. Off until `check` has passed."""
    return bool(_fast)


def turn_off_fast_path() -> None:
    """Use asyncssh's own path from here on (for comparison; existing connections change over at their next keys)."""
    global _fast
    _fast = False
