"""Events of the wire: what was refused, dropped or went wrong, for the audit log.

It never decides and never formats for people beyond making text from a peer harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

Code = Literal[
    "refused.unauthenticated",  # too many connections that have not logged in
    "refused.source",  # too many of these from one source
    "refused.early_drop",  # dropped at random between the two marks
    "refused.rate",  # connecting too fast
    "refused.penalty",  # the source misbehaved and waits
    "refused.open_files",  # file descriptors are running out
    "login.tries",  # too many failed tries
    "login.requests",  # too many requests in all
    "login.grace",  # not logged in in time
    "login.input",  # too many bytes before login
    "login.hook",  # a login hook raised or returned nonsense; taken as a refusal
    "peer.protocol",  # the peer broke the protocol
    "peer.input",  # unparsed input over the limit
    "peer.output",  # unread output over the limit
    "peer.requests",  # channel or global requests too fast
    "peer.rekeys",  # key exchanges too often
    "peer.idle_messages",  # a flood of messages that carry nothing
    "peer.packet_size",  # maximum packet too small
    "peer.channels",  # too many channels
    "peer.channel_type",  # channel type that is not offered
    "peer.request",  # request that is not offered (agent, X11, listeners, unknown)
    "peer.env",  # environment variable refused
    "peer.command",  # exec line too long or not text
    "peer.unused",  # logged in, but no channel for too long
    "fault.session",  # an exception in a session's code; that channel ended
    "fault.connection",  # an exception in the connection's code; the connection ended
]

OnEvent = Callable[[Code, str, str], None]
"""Called with the code, the source address ("" when unknown) and harmless one-line detail."""

_LONGEST: Final = 300


def ignore(code: Code, source: str, detail: str) -> None:
    """An `OnEvent` for whoever keeps no audit log."""


def safe_text(value: str | bytes) -> str:
    """Text from a peer as one printable ASCII line, at most 300 characters."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    text = text[: _LONGEST + 1].encode("unicode_escape").decode("ascii")
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
