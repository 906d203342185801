"""The wire: SSH for both doors, with limits that hold and a fast path; asyncssh's private parts stay in here.

It never decides who a user is, what he may do or where a session goes.

limits      every number, with its reason       gate     who may connect at all
events      what was refused or went wrong      guard    what a connection may cost
options     the exact algorithms                channels what a channel may ask for and hold back
server      the listener                        login    the login's hooks, safe from tricks
client      connect, and sessions on endpoints  sessions byte streams for both sides
inner       SSH inside a channel (`ssh -J`)
send, receive, gcm: the fast path
selfcheck   is this the asyncssh that it was written for?
"""

from bastion.wire.client import ClientConnection, connect
from bastion.wire.events import Code, OnEvent, safe_text
from bastion.wire.inner import InnerServer
from bastion.wire.limits import DEFAULT_LIMITS, Limits, TerminalSize, clamp_size, clean_term
from bastion.wire.login import Proof, ServerConnection
from bastion.wire.options import client_options, server_options
from bastion.wire.selfcheck import WireMismatch, check, fast_path
from bastion.wire.server import Server, listen, serve
from bastion.wire.sessions import ClientSession, Exit, ServerSession, TCPSession

__all__ = [
    "DEFAULT_LIMITS",
    "ClientConnection",
    "ClientSession",
    "Code",
    "Exit",
    "InnerServer",
    "Limits",
    "OnEvent",
    "Proof",
    "Server",
    "ServerConnection",
    "ServerSession",
    "TCPSession",
    "TerminalSize",
    "WireMismatch",
    "check",
    "clamp_size",
    "clean_term",
    "client_options",
    "connect",
    "fast_path",
    "listen",
    "safe_text",
    "serve",
    "server_options",
]
