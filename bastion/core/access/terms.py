"""What a session is bound to, as rules say it, and the strictest of several. Never enforces anything."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import reduce
from typing import Any, Final

from bastion.core.access.decision import Terms, WatchNeed
from bastion.core.access.durations import parse_duration, show_duration
from bastion.core.access.models import TermsModel, WatchersModel

_VIEWERS: Final = ("none", "permitted", "invited")  # strictest first
_RECORDING: Final = ("strict", "best-effort")
_TYPING: Final = ("one", "shared")

# key in a rule -> field of Terms, for everything that is a length of time
_DURATIONS: Final = {
    "max": "max_seconds",
    "idle": "idle_seconds",
    "detach": "detach_seconds",
    "lock": "lock_seconds",
    "reauth": "reauth_seconds",
    "handback": "handback_seconds",
}


def _least(a: Any, b: Any) -> Any:
    if a is None or b is None:
        return b if a is None else a
    return min(a, b)


def _first_of(order: tuple[str, ...]) -> Callable[[str, str], str]:
    return lambda a, b: min(a, b, key=order.index)


STRICTER: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "recording": _first_of(_RECORDING),
    "record_input": lambda a, b: a or b,
    "max_seconds": _least,
    "idle_seconds": _least,
    "detach_seconds": _least,
    "max_participants": _least,
    "joinable": lambda a, b: a and b,
    "viewers": _first_of(_VIEWERS),
    "lock_seconds": _least,
    "reauth_seconds": _least,
    "handover": lambda a, b: a and b,
    "typing": _first_of(_TYPING),
    "handback_seconds": _least,
    "sessions_per_user": _least,
    "sessions_per_endpoint": _least,
    "watchers": lambda a, b: tuple(sorted({*a, *b}, key=repr)),
}


def stricter(one: Terms, other: Terms) -> Terms:
    """Return, term by term, the stricter of two."""
    return Terms(**{name: pick(getattr(one, name), getattr(other, name)) for name, pick in STRICTER.items()})


def strictest(terms: Iterable[Terms], otherwise: Terms) -> Terms:
    """Return, term by term, the strictest of all; `otherwise` when there are none."""
    distinct = list({id(one): one for one in terms}.values())  # `build` gives equal terms one value
    return reduce(stricter, distinct) if distinct else otherwise


def read_terms(said: TermsModel | None, defaults: Terms, refuse: Callable[[str, str], None]) -> Terms:
    """Return `defaults` with what a rule says put over them; `refuse(key, sentence)` for what makes no sense.

    A rule that says nothing of a term asks for the default, so one more granting rule never loosens anything.
    """
    if said is None:
        return defaults
    changes: dict[str, Any] = {}
    for key, name in _DURATIONS.items():
        text = getattr(said, key)
        if text is None:
            continue
        try:
            seconds = None if text == "none" else parse_duration(text)
        except ValueError as error:
            refuse(key, f"{error}, or none")
            continue
        if key == "detach":
            seconds = seconds or 0.0
        elif seconds == 0:
            refuse(key, "0 would end it at once; write none for no limit")
            continue
        changes[name] = seconds
    plain = {"recording": said.recording, "record_input": said.input, "max_participants": said.participants,
             "viewers": said.viewers, "handover": said.handover, "typing": said.typing, "sessions_per_user": said.sessions_per_user,
             "sessions_per_endpoint": said.sessions_per_endpoint}  # fmt: skip
    changes |= {name: value for name, value in plain.items() if value is not None}
    if said.watchers is not None:
        changes["watchers"] = (_watchers(said.watchers, refuse),)
        if said.viewers == "none":
            refuse("watchers", "somebody must look on where nobody may (viewers: none); leave one of them out")
    if said.viewers is not None:
        changes["joinable"] = said.viewers != "none"
    return replace(defaults, **changes)


def _watchers(said: WatchersModel, refuse: Callable[[str, str], None]) -> WatchNeed:
    seconds = 0.0
    try:
        seconds = parse_duration(said.grace)
    except ValueError as error:
        refuse("watchers.grace", str(error))
    if not said.by and not said.users:
        refuse("watchers.by", "say who may look on: by (roles) or users")
    elif not said.by and said.count > len(set(said.users)):
        refuse("watchers.count", f"{said.count} different people out of {len(set(said.users))} can never look on")
    return WatchNeed(said.count, tuple(sorted(set(said.by))), tuple(sorted(set(said.users))), said.on_leave, seconds)


def show_terms(terms: Terms) -> list[str]:
    """Return what people should know of them, one short phrase a term."""
    spelled = {key: getattr(terms, name) for key, name in _DURATIONS.items()}
    phrases = [f"recording {terms.recording}" + (", input too" if terms.record_input else "")]
    phrases += [f"{key} {show_duration(seconds)}" for key, seconds in spelled.items() if seconds]
    phrases.append(f"up to {terms.max_participants} participants, viewers {terms.viewers}")
    if not terms.handover:
        phrases.append("the keyboard stays with the owner")
    elif terms.typing == "shared":
        phrases.append("controllers type beside each other")
    if terms.sessions_per_user is not None:
        phrases.append(f"at most {terms.sessions_per_user} at a time for a user")
    if terms.sessions_per_endpoint is not None:
        phrases.append(f"at most {terms.sessions_per_endpoint} at a time on the endpoint")
    phrases += [f"only while {need} looks on" for need in terms.watchers]
    return phrases
