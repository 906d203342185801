"""The virtual terminal: what stands on a session's screen, exactly."""

from bastion.core.terminal.grid import Grid, Row, blank
from bastion.core.terminal.screen import Screen
from bastion.core.terminal.stream import Stream
from bastion.core.terminal.terminal import Modes, Terminal

__all__ = ["Grid", "Modes", "Row", "Screen", "Stream", "Terminal", "blank"]
