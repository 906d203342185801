"""The virtual terminal: what stands on a session's screen, exactly.

Never answers the endpoint, never waits, never looks at a clock. Bytes and changes of size go in; pictures
(`Grid`), keyframes and lines of text come out.

The rooms' furniture, from the bytes inwards:
  `terminal`   one session's terminal: backlog, bounds, faults, lines for search
  `skip`       passes over what only scrolls by; `scrollback` keeps it unread
  `stream`     bytes to calls; `controls`, `sgr`, `strings` say what a sequence means
  `screen`     pyte's screen anew: `canvas` draws, `editing` moves and erases, `modes`, `reflow`
  `line`, `style`, `widths`, `charsets`   cells
  `keyframe`   a screen as bytes again, with `pencil`; `describe` tells a grid as data

What it follows: where terminals differ, the majority of tmux, libvterm and xterm. Three ways, then xterm's.

How to run it beside a session (measured, 3 MB of vim and htop, two cores): in the loop, by slices. A
thread takes the loop's time all the same (the interpreter lock; p99 lateness 15 ms for 17 by slices of 16 KB and 10 by slices
of 4 KB), a process costs a sixth more processor time and 10 MB each, and its pictures must be carried over.
So: `push` what arrives; `advance()` when a viewer looks, a keyframe is due, output has idled for a while or
much waits, and yield to the loop after each call; stop reading the endpoint where too much waits, for what is given
up is gone for good (see `services.live.screen`). A call takes 1 to 3 ms (16 KB of a full-screen program
or 512 KB of a flood); give a smaller limit when one took over 5 ms. The longer one waits, the more of a flood is
skipped: 100 to 250 MB/s from 256 KB on, for 4 to 12 when drawn.
"""

from bastion.core.terminal.grid import Grid, Row, blank
from bastion.core.terminal.screen import Screen
from bastion.core.terminal.stream import Stream
from bastion.core.terminal.terminal import Modes, Terminal

__all__ = ["Grid", "Modes", "Row", "Screen", "Stream", "Terminal", "blank"]
