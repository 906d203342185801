"""What to do with journal and database after a crash. Never hides a difference: it says what it found.

The journal is written first, so after a crash it may hold more than the database, and end in a line that was cut. Both
are ordinary: the lines are stored, the piece is set aside. All else is not, and is reported while the log goes on in a
new file, so that every entry stays as evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bastion.backends.store.journal import Journal, Place
from bastion.core.audit.chain import Head, Link, judge


@dataclass(slots=True)
class Recovery:
    """Where the chain goes on, what the database lacks, and what people should know ("": nothing)."""

    head: Head
    missing: list[Link] = field(default_factory=list)
    fresh: bool = False
    notice: str = ""


def recover(journal: Journal, stored: Head, signed: int) -> Recovery:
    """Bring journal and database together. `stored` is the database's head, `signed` the last checkpoint's entry."""
    tail, clean = journal.tail()
    if clean and _head(tail) == stored and signed <= stored.seq:
        return Recovery(stored)
    if clean and tail is None and stored.seq == 0 and signed == 0:
        return Recovery(stored)
    return _compare(journal, stored, signed)


def _head(entry: Link | None) -> Head | None:
    return None if entry is None else Head(entry.seq, entry.hash)


def _compare(journal: Journal, stored: Head, signed: int) -> Recovery:
    found = Recovery(stored)
    head, known = stored, stored.seq == 0
    for place, entry in journal.read(max(0, stored.seq - 1)):
        if not known:
            if entry is None or _head(entry) != stored:
                return _damaged(journal, stored, f"journal and database differ at entry {stored.seq}")
            known = True
            continue
        fault = judge(head, entry)
        if fault is not None:
            if signed > head.seq or place.segment != journal.segments()[-1]:
                return _damaged(journal, stored, f"the journal is damaged: {fault}")
            kept = journal.set_aside(place)
            found.notice = f"the journal's end after entry {head.seq} was unreadable and is kept in {kept.name}"
            break
        assert entry is not None  # noqa: S101 - judge names an unreadable one
        found.missing.append(entry)
        head = Head(entry.seq, entry.hash)
    if not known:
        return _damaged(journal, stored, f"the journal ends before entry {stored.seq}, the database's last")
    if signed > head.seq:
        return _damaged(journal, stored, f"entries up to {signed} were signed, but the log ends at {head.seq}")
    found.head = head
    if not found.notice:
        _cut_last_piece(journal, found)
    if signed > stored.seq:
        found.notice = f"the database had lost the entries after {stored.seq}; they were taken from the journal"
    return found


def _cut_last_piece(journal: Journal, found: Recovery) -> None:
    """Set aside a last line without end, that a crash left: nobody was told that it is written."""
    end = None
    size = 0
    for path in journal.segments()[-1:]:
        size = path.stat().st_size
        with path.open("rb") as file:
            end = sum(len(line) for line in file if line.endswith(b"\n"))
    if end is not None and end < size:
        kept = journal.set_aside(Place(journal.segments()[-1], end))
        found.notice = f"a line cut short after entry {found.head.seq} is kept in {kept.name}"


def _damaged(journal: Journal, stored: Head, why: str) -> Recovery:
    """Go on after the farthest entry that can still be read, in a new file."""
    head = stored
    for _place, entry in journal.read(stored.seq):
        if entry is not None and entry.seq > head.seq:
            head = Head(entry.seq, entry.hash)
    return Recovery(head, fresh=True, notice=f"audit log damaged: {why}")
