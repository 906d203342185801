"""What a person types, from raw terminal bytes to keys: for menu, viewer, player and admin prompt.

Never waits: an ESC that may begin a sequence is held until more bytes come or `flush` is called.
"""
# ruff: noqa: PLR2004 - the numbers are bytes and code points; names would hide which

from __future__ import annotations

import codecs
import re
from typing import Final, NamedTuple

PASTE_LIMIT: Final = 4096
"""Characters kept of one paste; the rest is dropped. Names and filters are far shorter."""

_LONGEST: Final = 64  # bytes of one control sequence; longer ones are skipped to their end
_LOST_PASTE: Final = 1 << 20  # a paste whose end never comes ends after so many bytes
_PIECE: Final = 1024  # bytes
_ESC: Final = re.compile(rb"\x1b")
_BEL_OR_ESC: Final = re.compile(rb"[\x07\x1b]")
_FINAL: Final = re.compile(rb"[@-~]")
_PASTE_END: Final = b"\x1b[201~"


class Key(NamedTuple):
    """One key or paste.

    name: "text" (with the character in `text`), "paste" (with what was pasted), "enter", "tab",
    "backtab", "backspace", "escape", "up", "down", "left", "right", "home", "end", "pageup",
    "pagedown", "insert", "delete", or one of these or a letter behind "ctrl-", "alt-", "shift-"
    (in this order when there are several).
    """

    name: str
    text: str = ""


_CONTROLS: Final = {
    0x00: "ctrl-space",
    0x08: "backspace",
    0x09: "tab",
    0x0A: "enter",
    0x0D: "enter",
    0x1C: "ctrl-\\",
    0x1D: "ctrl-]",
    0x1E: "ctrl-^",
    0x1F: "ctrl-_",
    0x7F: "backspace",
}
_FINALS: Final = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "F": "end",
    "H": "home",
    "M": "enter",
    "Z": "backtab",
}
_TILDES: Final = {
    1: "home",
    2: "insert",
    3: "delete",
    4: "end",
    5: "pageup",
    6: "pagedown",
    7: "home",
    8: "end",
}
_ARROWS: Final = {
    b"\x1b" + kind + final.encode(): Key(name)
    for kind in (b"[", b"O")
    for final, name in _FINALS.items()
    if name in {"up", "down", "left", "right"}
}
_NUMBERS: Final = re.compile(r"[0-9;:]*")


class KeyDecoder:
    """Turns input bytes into keys, however they are cut into chunks. One per person and terminal."""

    def __init__(self) -> None:
        self._held = b""  # an unfinished sequence
        self._utf8 = codecs.getincrementaldecoder("utf-8")("ignore")
        self._skip: re.Pattern[bytes] | None = None  # what ends a sequence being skipped
        self._st = False  # an ESC ended a string: a backslash after it belongs to it
        self._raw = 0  # bytes of an old mouse report still to skip
        self._paste: bytearray | None = None
        self._pasted = 0
        self._after_cr = False

    @property
    def pending(self) -> bool:
        """Whether a sequence waits for its rest; call `flush` when nothing comes in 50 ms or so."""
        return self._paste is None and bool(self._held or self._skip or self._raw or self._st)

    def feed(self, data: bytes) -> list[Key]:
        """Return the keys that these bytes complete."""
        keys: list[Key] = []
        for at in range(0, len(data), _PIECE):  # what follows a key is copied: keep that short
            self._feed(data[at : at + _PIECE], keys)
        return keys

    def _feed(self, data: bytes, keys: list[Key]) -> None:
        rest = self._held + data
        self._held = b""
        while rest:
            if self._paste is not None:
                rest = self._in_paste(rest, self._paste, keys)
            elif self._st:
                self._st = False
                rest = rest[1:] if rest[:1] == b"\\" else b"\x1b" + rest
            elif self._skip is not None:
                rest = self._skipped(rest, self._skip)
            elif self._raw:
                rest, self._raw = rest[self._raw :], max(self._raw - len(rest), 0)
            elif rest[0] == 0x1B:
                arrow = _ARROWS.get(rest[:3])  # a held key floods: the short way for these
                used = 3 if arrow else self._escape(rest, keys)
                if arrow:
                    self._began()
                    keys.append(arrow)
                elif used == 0:
                    self._held = rest
                    break
                rest = rest[used:]
            else:
                end = rest.find(b"\x1b")
                end = len(rest) if end < 0 else end
                self._plain(rest[:end], keys)
                rest = rest[end:]

    def _began(self) -> None:
        """Forget what a sequence cuts short."""
        self._utf8.reset()
        self._after_cr = False

    def flush(self) -> list[Key]:
        """Return what a held ESC means now that nothing followed it in time."""
        if not self.pending:
            return []
        held, self._held = self._held, b""
        self._skip, self._raw, self._st = None, 0, False  # Alt-] is no string: typing goes on
        if held == b"\x1b":
            return [Key("escape")]
        if held in {b"\x1b[", b"\x1bO"}:
            return [Key(f"alt-{chr(held[1]).lower()}")]
        return []  # a broken sequence says nothing

    # ---- text -----------------------------------------------------------------------------------

    def _plain(self, data: bytes, keys: list[Key]) -> None:
        for character in self._utf8.decode(data):
            point = ord(character)
            if point == 0x0A and self._after_cr:  # CR LF is one Enter
                self._after_cr = False
                continue
            self._after_cr = point == 0x0D
            if 0x20 <= point < 0x7F or point > 0x9F:
                keys.append(Key("text", character))
            elif point in _CONTROLS:
                keys.append(Key(_CONTROLS[point]))
            elif point < 0x1B:
                keys.append(Key(f"ctrl-{chr(point + 0x60)}"))

    # ---- sequences ------------------------------------------------------------------------------

    def _escape(self, data: bytes, keys: list[Key]) -> int:  # noqa: PLR0911 - one per kind
        """Read one sequence; return its length, or 0 when more bytes must come."""
        self._began()
        if len(data) == 1:
            return 0
        kind = data[1]
        if kind == 0x5B:  # CSI
            return self._csi(data, keys)
        if kind == 0x4F:  # SS3
            return self._ss3(data, keys)
        if kind in b"]PX^_":  # answers of a terminal to questions we did not ask
            self._skip = _BEL_OR_ESC if kind == 0x5D else _ESC
            return 2
        if kind == 0x1B:  # two ESC: the first stands alone
            keys.append(Key("escape"))
            return 1
        if 0x20 < kind < 0x7F:
            keys.append(Key(f"alt-{chr(kind)}"))
            return 2
        if kind in _CONTROLS:
            keys.append(Key(f"alt-{_CONTROLS[kind]}"))
            return 2
        keys.append(Key("escape"))
        return 1

    def _ss3(self, data: bytes, keys: list[Key]) -> int:
        if len(data) < 3:
            return 0
        name = _FINALS.get(chr(data[2]))
        if name is not None:
            keys.append(Key(name))
        return 3 if 0x20 <= data[2] < 0x7F else 2

    def _csi(self, data: bytes, keys: list[Key]) -> int:
        end = 2
        while end < len(data) and 0x20 <= data[end] < 0x40:
            end += 1
        if end - 2 > _LONGEST:
            self._skip = _FINAL
            return end
        if end == len(data):
            return 0
        final = chr(data[end])
        if not "@" <= final <= "~":
            return end  # broken off by a control or a new sequence, which is read next
        body = data[2:end].decode("ascii")
        if final == "M" and not body:
            self._raw = 3  # an old mouse report carries three bytes behind it
        elif final == "[" and not body:
            self._raw = 1  # Linux function keys: CSI [ A
        elif _NUMBERS.fullmatch(body):
            self._known(body, final, keys)
        return end + 1

    def _known(self, body: str, final: str, keys: list[Key]) -> None:
        numbers = [int(part.split(":")[0][:9] or 0) for part in body.split(";")] if body else []
        first = numbers[0] if numbers else 0
        mods = numbers[1] if len(numbers) > 1 else 1
        if final == "~" and first == 200:
            self._paste, self._pasted = bytearray(), 0
        elif final == "~" and first == 27 and len(numbers) > 2:  # modifyOtherKeys
            self._point(numbers[2], mods, keys)
        elif final == "u":  # the kitty protocol, left on by a program that died
            self._point(first, mods, keys)
        elif final == "~" and first in _TILDES:
            keys.append(Key(_modified(_TILDES[first], mods)))
        elif final != "M" and final in _FINALS:
            keys.append(Key(_modified(_FINALS[final], mods)))

    @staticmethod
    def _point(point: int, mods: int, keys: list[Key]) -> None:
        """Add a key told by its code point and modifiers."""
        if point == 0x1B:
            keys.append(Key(_modified("escape", mods)))
        elif point in _CONTROLS:
            keys.append(Key(_modified(_CONTROLS[point], mods)))
        elif 0x20 <= point < 0x7F or 0x9F < point < 0xD800:
            plain = mods in {1, 2}
            text = chr(point).upper() if mods == 2 else chr(point)
            keys.append(Key("text", text) if plain else Key(_modified(chr(point), mods)))

    # ---- strings and pastes ---------------------------------------------------------------------

    def _skipped(self, data: bytes, end: re.Pattern[bytes]) -> bytes:
        found = end.search(data)
        if found is None:
            return b""
        self._skip = None
        self._st = found[0] == b"\x1b"
        return data[found.end() :]

    def _in_paste(self, data: bytes, paste: bytearray, keys: list[Key]) -> bytes:
        end = data.find(_PASTE_END)
        if end < 0:
            keep = next((n for n in range(5, 0, -1) if data.endswith(_PASTE_END[:n])), 0)
            self._held = data[len(data) - keep :]
            data = data[: len(data) - keep]
            self._pasted += len(data)
            paste += data[: max(PASTE_LIMIT * 4 - len(paste), 0)]
            if self._pasted > _LOST_PASTE:
                self._paste, self._held = None, b""
            return b""
        paste += data[: min(end, max(PASTE_LIMIT * 4 - len(paste), 0))]
        text = paste.decode("utf-8", "ignore")[:PASTE_LIMIT]
        self._paste = None
        keys.append(Key("paste", text))
        return data[end + len(_PASTE_END) :]


def _modified(name: str, mods: int) -> str:
    bits = min(max(mods - 1, 0), 255)
    prefix = "ctrl-" if bits & 4 else ""
    prefix += "alt-" if bits & 2 else ""
    return prefix + ("shift-" if bits & 1 else "") + name
