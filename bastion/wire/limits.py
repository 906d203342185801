"""Limits: every number that bounds what a peer may cost us, with its reason.

It never enforces anything: `gate` does at the door, `guard` on a connection, `channels` on a channel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Limits:
    """What one peer, one source and everybody together may cost.

    Sizes are bytes, times seconds, rates per second. A *source* is one IPv4 address or one
    IPv6 /64, since a /64 is what one customer gets. Settings feed it; tests loosen it.
    """

    # At the door (before login).
    unauthenticated: int = 100
    """Connections that have not logged in, all sources: sshd's MaxStartups ends at 100."""
    unauthenticated_per_source: int = 10
    """The same from one source, so that one host cannot use up the hundred."""
    early_drop_from: int = 50
    """From here on new ones are refused at random, rising to all of them at `unauthenticated`:
    a flood then loses most of its attempts while an honest retry gets through."""
    connection_rate: float = 20.0
    """New connections a second and source; ssh-audit calls more than 20 a DHEat exposure."""
    connection_burst: int = 40
    """Ansible opens its forks at once; forty covers its usual settings."""
    login_grace: float = 60.0
    """From accept to logged in. sshd's 120 is for typing; 60 is plenty with keys."""
    login_grace_pending: float = 120.0
    """The same while a browser step is pending (`ServerConnection.extend_grace`)."""
    login_pending: int = 20
    """How many connections may have the longer grace at once."""
    exempt_networks: tuple[str, ...] = ()
    """Networks (CIDR) that per-source limits and penalties do not count: a balancer, a load test."""

    # Penalties, as sshd's PerSourcePenalties: seconds added for each bad ending.
    penalty_auth_failed: float = 5.0
    penalty_invalid_user: float = 5.0
    penalty_grace: float = 10.0
    penalty_no_auth: float = 1.0
    penalty_min: float = 15.0
    """Nothing is refused until this much has come together: a typo is no attack."""
    penalty_max: float = 600.0
    """No source is shut out longer, since addresses are shared and re-used."""
    penalty_sources: int = 65_536
    """Sources remembered; the one seen longest ago is forgotten first. About 12 MiB when full."""

    # While logging in.
    auth_tries: int = 6
    """Failed tries a connection, as sshd's MaxAuthTries."""
    auth_requests: int = 30
    """Requests in all a connection: an unsigned key probe is one and its signature another,
    and a request may be overtaken by the next before it is answered."""
    input_before_login: int = 300 * 1024
    """All bytes a connection may send before it is logged in. A login needs under 50 KiB; the
    largest legal packet is 256 KiB. Bounds every pre-login flood, whatever it is made of."""

    # Once logged in.
    input_buffer: int = 4 * 1024 * 1024
    """Unparsed bytes held while a packet is being worked on."""
    output_buffer: int = 8 * 1024 * 1024
    """Unsent bytes on one connection. Sources are paused at the transport's high-water mark
    (64 KiB), so only what ignores the pause, or endless replies, get here. Then it is dropped."""
    channels: int = 10
    """Open channels a connection, as sshd's MaxSessions."""
    min_packet: int = 1024
    """Smallest maximum packet a peer may announce: with 1 each byte we send costs a packet."""
    request_rate: float = 100.0
    """Channel requests a second. People make one or two; Ansible about sixty."""
    global_rate: float = 20.0
    """Global requests a second: keep-alives, mostly one in fifteen seconds."""
    request_burst: int = 200
    """Requests at once. OpenSSH's SendEnv with a long list stays well below."""
    rekeys_per_minute: float = 30.0
    """Key exchanges the peer may begin. The norm is one an hour; each costs 3 ms of our CPU."""
    idle_messages: int = 1000
    """Messages that carry nothing (IGNORE, DEBUG, unknown, empty data, further window changes)
    beyond those that do. Some clients send one IGNORE with each packet, which is allowed."""
    idle_message_rate: float = 100.0
    """How many of these a second are forgiven."""
    parse_budget: float = 0.01
    """Seconds one connection may parse before others get their turn."""
    parse_share: int = 32 * 1024
    """Bytes one connection may have handled in a turn while others move data. To record and send them costs ten times
    as long as to parse them, about 0.3 ms in all, and that is what a neighbour's keystroke waits."""
    unused_connection: float = 60.0
    """A logged-in connection without a channel is closed after this (UnusedConnectionTimeout)."""
    receive_window: int = 128 * 1024
    """Window we grant on a channel. Keeps neighbours' echo at a few ms under another's flood."""
    receive_window_alone: int = 2 * 1024 * 1024
    """Window while no other channel moves data: nearly doubles bulk speed."""

    # What a session may ask for.
    env_names: int = 32
    env_bytes: int = 16 * 1024
    env_name: str = r"LANG|LC_[A-Z_]{1,32}|TERM|COLORTERM|NO_COLOR"
    """Only what changes the looks of text; never LD_PRELOAD, BASH_ENV and their kin."""
    env_value: str = r"[A-Za-z0-9_.@:+-]{0,64}"
    command_bytes: int = 64 * 1024
    """Longest exec line."""
    terminal_cols: int = 1000
    terminal_rows: int = 500
    terminal_cells: int = 200_000
    """A screen model costs memory and time by the cell, so the product is bounded as well."""
    terminal_modes: int = 128
    """Terminal modes in one pty request; RFC 4254 names 58."""

    # The process.
    open_files: int = 65_536
    """Soft limit that is asked for at start, within the hard one."""
    open_files_share: float = 0.75
    """Part of the open files that SSH may fill. The rest is for recordings, database, endpoints."""


DEFAULT_LIMITS = Limits()

_TERM = re.compile(r"[A-Za-z0-9._+-]{1,64}")


class TerminalSize(NamedTuple):
    """A terminal's size in cells and, where the client told, in pixels."""

    cols: int
    rows: int
    width: int = 0
    height: int = 0


def clamp_size(cols: int, rows: int, width: int, height: int, limits: Limits) -> TerminalSize:
    """The size we work with for what a client said. Zero means unknown: 80 or 24."""
    cols = min(cols, limits.terminal_cols) if cols > 0 else 80
    rows = min(rows, limits.terminal_rows) if rows > 0 else 24
    rows = max(1, min(rows, limits.terminal_cells // cols))
    # Pixels are a courtesy to image protocols: the kernel keeps 16 bits of them.
    return TerminalSize(cols, rows, min(max(width, 0), 0xFFFF), min(max(height, 0), 0xFFFF))


def clean_term(name: bytes) -> str:
    """The TERM we work with: what the client said if it is harmless, else `xterm`."""
    text = name.decode("ascii", "replace")
    return text if _TERM.fullmatch(text) else "xterm"
