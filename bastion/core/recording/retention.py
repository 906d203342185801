"""How long recordings are kept: rules in order, the first that fits decides. Never deletes one and asks no clock."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from bastion.core.access.durations import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FOREVER: Final = "forever"


@dataclass(frozen=True, slots=True)
class Rule:
    """Recordings whose `key` (a label of the endpoint, or "endpoint" itself) matches `pattern` are kept `seconds` (None: for ever)."""

    key: str
    pattern: str
    seconds: float | None
    text: str

    def fits(self, endpoint: str, labels: Mapping[str, str]) -> bool:
        """Return whether this rule is about that endpoint."""
        value = endpoint if self.key == "endpoint" else labels.get(self.key)
        return value is not None and fnmatchcase(value, self.pattern)


def parse(texts: Iterable[str]) -> list[Rule]:
    """Return the rules that settings spell `endpoint=lab* 7d`, `env=prod 365d`, `endpoint=* forever`. Raises `ValueError`."""
    rules = []
    for text in texts:
        what, _, how_long = text.strip().rpartition(" ")
        key, equals, pattern = what.strip().partition("=")
        if not equals or not key or not pattern:
            raise ValueError(f"{text[:80]!r} is no rule: write it like 'env=test 30d', 'endpoint=lab* 7d' or 'endpoint=* forever'")
        seconds = None if how_long == FOREVER else parse_duration(how_long)
        if seconds is not None and seconds <= 0:
            raise ValueError(f"{text[:80]!r} would keep nothing at all")
        rules.append(Rule(key, pattern, seconds, text.strip()))
    return rules


def decide(rules: Sequence[Rule], endpoint: str, labels: Mapping[str, str]) -> Rule | None:
    """Return the rule that says how long recordings of that endpoint are kept; None (no rule fits) is for ever."""
    return next((rule for rule in rules if rule.fits(endpoint, labels)), None)
