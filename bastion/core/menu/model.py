"""What the menu knows: the items in their order, the filter, the hits and the one selected.

Never draws and never reads keys. Every change returns a new `Menu`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from bastion.core.menu.layout import Natural, layout
from bastion.core.text import safe_text, text_width

if TYPE_CHECKING:
    from collections.abc import Iterable

QUERY_LIMIT: Final = 64
"""Characters of a filter; longer than any name worth typing."""

_FIELD: Final = 200  # characters of a name, description or list shown; the rest is "…"
_DIGITS: Final = re.compile(r"(\d+)")
_EDGES: Final = frozenset(" -._/@:=")
_WORST: Final = 4  # the rank of a word that the name does not hold


@dataclass(frozen=True, slots=True)
class MenuItem:
    """One thing to choose. All texts may come from outside; they are made safe for showing.

    actions: what this person may do there ("connect", "sftp" …). live: who is on it now.
    last_used: seconds since the epoch, None for never. note: "needs approval", "opens mon 08:00".
    """

    name: str
    description: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    actions: tuple[str, ...] = ()
    live: tuple[str, ...] = ()
    favourite: bool = False
    last_used: float | None = None
    note: str = ""
    kind: Literal["endpoint", "session"] = "endpoint"

    @property
    def key(self) -> tuple[str, str]:
        """What stays the same when the item's other parts change."""
        return self.kind, self.name


class Entry(NamedTuple):
    """An item with its texts made ready for showing and for searching."""

    item: MenuItem
    name: str
    description: str
    labels: str
    may: str
    note: str
    live: str
    low_name: str
    haystack: str
    order: tuple[int, float, list[str | int]]


class Index(NamedTuple):
    """All entries in their usual order, and the widths that their columns would like.

    names and haystacks stand beside the entries in lower case: what a filter looks through.
    """

    entries: tuple[Entry, ...]
    names: tuple[str, ...]
    haystacks: tuple[str, ...]
    natural: Natural


@dataclass(frozen=True, slots=True)
class Menu:
    """The menu at one moment. Make the first with `Menu.of`.

    hits: positions in `index.entries`, best first. selected: position in `hits`. top: the first hit
    on the screen. message: what just happened, such as how the last session ended.
    """

    index: Index
    columns: int
    lines: int
    user: str = ""
    product: str = "bastion"
    query: str = ""
    hits: tuple[int, ...] = ()
    selected: int = 0
    top: int = 0
    message: str = ""
    plain_page: int = field(default=20, kw_only=True)
    leave: str = field(default="quit", kw_only=True)
    """What leaving the menu means: "back" where one came from a session."""

    @classmethod
    def of(
        cls,
        items: tuple[MenuItem, ...] | list[MenuItem],
        columns: int = 80,
        lines: int = 24,
        *,
        user: str = "",
        product: str = "bastion",
        message: str = "",
        leave: str = "quit",
    ) -> Menu:
        """Return a menu of these items with nothing filtered and the first selected."""
        index = build_index(items)
        menu = cls(
            index,
            max(columns, 1),
            max(lines, 1),
            safe_text(user, _FIELD),
            safe_text(product, _FIELD),
            hits=tuple(range(len(index.entries))),
            message=safe_text(message),
            leave=leave,
        )
        return menu.fitted()

    @property
    def current(self) -> MenuItem | None:
        """The selected item, if there is any."""
        entry = self.current_entry
        return entry.item if entry else None

    @property
    def current_entry(self) -> Entry | None:
        """The selected entry, if there is any."""
        return self.index.entries[self.hits[self.selected]] if self.hits else None

    def resized(self, columns: int, lines: int) -> Menu:
        """Return the menu on a terminal of another size, the same item selected."""
        return replace(self, columns=max(columns, 1), lines=max(lines, 1)).fitted()

    def saying(self, message: str) -> Menu:
        """Return the menu with another message; "" takes it away."""
        return replace(self, message=safe_text(message)).fitted()

    def moved(self, by: int) -> Menu:
        """Return the menu with the selection moved, stopping at both ends."""
        last = max(len(self.hits) - 1, 0)
        return replace(self, selected=min(max(self.selected + by, 0), last)).fitted()

    def filtered(self, query: str) -> Menu:
        """Return the menu with another filter and the best hit selected."""
        query = query[:QUERY_LIMIT]
        narrower = self.query and query.startswith(self.query)
        hits = find(self.index, query, sorted(self.hits) if narrower else None)
        return replace(self, query=query, hits=hits, selected=0, top=0).fitted()

    def with_items(self, items: tuple[MenuItem, ...] | list[MenuItem]) -> Menu:
        """Return the menu with new items, the filter kept, and the selected item where it is."""
        return self._with_index(build_index(items))

    def _with_index(self, index: Index) -> Menu:
        hits = find(index, self.query)
        selected = min(self.selected, max(len(hits) - 1, 0))
        current = self.current
        if current is not None:
            key = current.key
            same = (place for place, at in enumerate(hits) if index.entries[at].item.key == key)
            selected = next(same, selected)
        return replace(self, index=index, hits=hits, selected=selected).fitted()

    def toggled(self) -> Menu:
        """Return the menu with the selected item made a favourite, or no longer one."""
        chosen = self.current_entry
        if chosen is None:
            return self
        other = _entry(replace(chosen.item, favourite=not chosen.item.favourite))
        return self._with_index(_index([other if entry is chosen else entry for entry in self.index.entries]))

    def fitted(self) -> Menu:
        """Return the menu scrolled so that the selected hit is on the screen."""
        height = layout(self.columns, self.lines, self.message).list_height
        top = min(max(self.top, self.selected - height + 1), self.selected)
        top = max(min(top, len(self.hits) - height), 0)
        return self if top == self.top else replace(self, top=top)


def words_of(query: str) -> list[str]:
    """Return the words of a filter, each of which must match."""
    return query.lower().split()


def find(index: Index, query: str, among: list[int] | None = None) -> tuple[int, ...]:
    """Return the positions, of all or of those given, whose entry holds every word, best first.

    Best is: the name itself, a name that begins so, a part of a name that begins so, anywhere in
    the name, then description and labels. Equals keep their usual order.
    """
    names, haystacks = index.names, index.haystacks
    words = words_of(query)
    if not words:
        return tuple(range(len(names)))
    first, *others = words
    if among is None:
        hits = [at for at, haystack in enumerate(haystacks) if first in haystack]
    else:
        hits = [at for at in among if first in haystacks[at]]
    for word in others:
        hits = [at for at in hits if word in haystacks[at]]
    buckets: list[list[int]] = [[] for _ in range(_WORST * len(words) + 1)]
    for at in hits:
        name = names[at]
        score = 0
        for word in words:
            place = name.find(word)
            if place < 0:
                score += _WORST
            elif place:
                score += 2 if name[place - 1] in _EDGES else 3
            elif len(name) != len(word):
                score += 1
        buckets[score].append(at)
    return tuple(at for bucket in buckets for at in bucket)


def build_index(items: tuple[MenuItem, ...] | list[MenuItem]) -> Index:
    """Return the items ready for the menu: sessions, favourites, recent ones, then by name."""
    return _index([_entry(item) for item in items])


def _index(entries: list[Entry]) -> Index:
    entries.sort(key=_order_of)
    return Index(
        tuple(entries),
        tuple(e.low_name for e in entries),
        tuple(e.haystack for e in entries),
        Natural(
            name=_widest({e.name for e in entries}),
            description=_widest({e.description for e in entries}),
            labels=_widest({e.labels for e in entries}),
            may=_widest({may_text(e) for e in entries}),
            live=_widest({e.live for e in entries}),
        ),
    )


def may_text(entry: Entry) -> str:
    """Return what one may do there, after what stands in the way."""
    return f"{entry.note} · {entry.may}" if entry.may and entry.note else entry.may or entry.note


def _widest(texts: Iterable[str]) -> int:
    return max(map(text_width, texts), default=0)


def _order_of(entry: Entry) -> tuple[int, float, list[str | int]]:
    return entry.order


def _order(item: MenuItem) -> tuple[int, float, list[str | int]]:
    recent = item.last_used
    group = 0 if item.kind == "session" else 1 if item.favourite else 2 if recent is not None else 3
    natural: list[str | int] = list(_DIGITS.split(item.name.lower()))
    natural[1::2] = [int(digits[:18]) for digits in natural[1::2] if isinstance(digits, str)]
    return group, -recent if recent is not None else 0.0, natural


def _entry(item: MenuItem) -> Entry:
    name, description = safe_text(item.name, _FIELD), safe_text(item.description, _FIELD)
    labels = _labels(item.labels)
    low = name.lower()
    return Entry(
        item,
        name,
        description,
        labels,
        _joined(item.actions),
        safe_text(item.note, _FIELD) if item.note else "",
        _joined(item.live),
        low,
        f"{low}\n{description}\n{labels}".lower(),
        _order(item),
    )


@lru_cache(maxsize=4096)  # thousands of endpoints share a few sets of labels and actions
def _labels(labels: tuple[tuple[str, str], ...]) -> str:
    return safe_text(" ".join(f"{key}={value}" if value else key for key, value in labels), _FIELD)


@lru_cache(maxsize=4096)
def _joined(words: tuple[str, ...]) -> str:
    return safe_text(", ".join(words), _FIELD)
