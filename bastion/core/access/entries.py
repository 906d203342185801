"""Reads the small languages inside a rule: endpoints, logins, conditions. Never decides anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

from bastion.core.access.conditions import (
    Check,
    Files,
    Fresh,
    From,
    Invited,
    Own,
    OwnerRoles,
    Ticket,
    Times,
    To,
)
from bastion.core.access.decision import ApprovalLevel, ApprovalNeed
from bastion.core.access.destinations import read_destination
from bastion.core.access.durations import parse_duration
from bastion.core.access.glob import MAX_PATTERN, Form, Glob
from bastion.core.access.hours import read_dates, read_weekly
from bastion.core.access.models import ApprovalModel, FactorModel, FilesModel, LevelModel, WhenModel
from bastion.core.access.networks import read_network
from bastion.core.access.paths import read_path_glob
from bastion.core.access.policy import Selector
from bastion.core.access.source import shown
from bastion.core.values import LABEL_KEY, NAME

T = TypeVar("T")

_EMPTY: Final = "an empty list fits nobody and nothing; name something, or leave it out"
_TICKET: Final = re.compile(r"[!-~]{1,64}")
_ENDPOINT: Final = re.compile(r"[a-z0-9*?][a-z0-9._*?-]*")
_SIZE: Final = re.compile(r"([0-9]{1,15})([KMGT]?)")
_UNITS: Final = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_LOGIN: Final = re.compile(r"[A-Za-z0-9_*?][A-Za-z0-9._@\\$*?-]*")


def read_selector(text: str, refuse: Callable[[str], None]) -> Selector | None:
    """Read one entry of `endpoints:`: `web01`, `web*`, `env=prod`, `web*,env=prod`."""
    names: list[Glob] = []
    labels: list[tuple[str, Glob]] = []
    if len(text) > MAX_PATTERN:
        refuse(f"a pattern has at most {MAX_PATTERN} characters")
        return None
    for part in text.split(","):
        key, equals, value = part.strip().partition("=")
        if equals and LABEL_KEY.fullmatch(key) and value and value.isprintable():
            labels.append((key, Glob(value)))
        elif not equals and _ENDPOINT.fullmatch(key):
            names.append(Glob(key))
        else:
            hint = "; endpoint names are lower case" if not equals and _ENDPOINT.fullmatch(key.lower()) else ""
            refuse(f"'{shown(part)}' is neither an endpoint name, a glob (web*) nor a label (env=prod){hint}")
            return None
    return Selector(",".join(part.strip() for part in text.split(",")), tuple(names), tuple(labels))


def read_login(text: str, refuse: Callable[[str], None]) -> Glob | None:
    """Read one entry of `logins:`: `root`, `svc-*`."""
    if len(text) <= MAX_PATTERN and _LOGIN.fullmatch(text):
        return Glob(text)
    refuse(f"'{shown(text)}' is neither a login name nor a glob (svc-*)")
    return None


def read_checks(when: WhenModel | None, refuse: Callable[[str, str], None]) -> tuple[Check, ...]:
    """Return the conditions of a rule in the order in which they are explained; `refuse(key, sentence)` for bad ones."""
    if when is None:
        return ()
    checks: list[Check] = []
    if when.hours is not None and (weekly := _each(read_weekly, when.hours, "hours", refuse)):
        checks.append(Times("hours", weekly))
    if when.dates is not None and (dates := _each(read_dates, when.dates, "dates", refuse)):
        checks.append(Times("dates", dates))
    if when.sources is not None and (networks := _each(read_network, when.sources, "sources", refuse)):
        checks.append(From(networks))
    if when.factor is not None:
        checks.append(_fresh(when.factor, refuse))
    if when.ticket is not None:
        if not _TICKET.fullmatch(when.ticket):
            refuse("ticket", "use up to 64 visible characters: # digit, @ letter, ? one, * any, others as they are")
        checks.append(Ticket(Form(when.ticket)))
    if when.owner_roles is not None:
        if not when.owner_roles:
            refuse("owner_roles", _EMPTY)
        checks.append(OwnerRoles(frozenset(when.owner_roles)))
    return (*checks, *_about(when, refuse))


def _about(when: WhenModel, refuse: Callable[[str, str], None]) -> list[Check]:
    """Return the conditions on what it is done to: a session, a file, a destination."""
    checks: list[Check] = []
    if when.invited is not None:
        checks.append(Invited(when.invited))
    if when.files is not None:
        checks.append(_files(when.files, refuse))
    if when.to is not None and (destinations := _each(read_destination, when.to, "to", refuse)):
        checks.append(To(destinations))
    if when.own is not None:
        checks.append(Own(when.own))
    return checks


def _files(files: FilesModel, refuse: Callable[[str, str], None]) -> Files:
    most = None
    if files.size is not None:
        found = _SIZE.fullmatch(files.size)
        if found is None:
            refuse("files.size", f"'{shown(files.size)}' is no size: write bytes, or 500K, 10M, 2G")
        else:
            most = int(found[1]) << _UNITS[found[2]]
    if files.direction is None and files.paths is None and files.size is None:
        refuse("files", "say a direction, paths or a size")
    paths = () if files.paths is None else _each(read_path_glob, files.paths, "files.paths", refuse)
    return Files(() if files.direction is None else (files.direction,), paths, most)


def _each(read: Callable[[str], T], texts: list[str], key: str, refuse: Callable[[str, str], None]) -> tuple[T, ...]:
    found = []
    if not texts:
        refuse(key, _EMPTY)
    for number, text in enumerate(texts):
        try:
            found.append(read(text))
        except ValueError as error:
            refuse(f"{key}.{number}", str(error))
    return tuple(found)


def _fresh(factor: FactorModel, refuse: Callable[[str, str], None]) -> Fresh:
    seconds = None
    if factor.within is not None:
        try:
            seconds = parse_duration(factor.within)
        except ValueError as error:
            refuse("factor.within", str(error))
    if not factor.kinds and factor.within is None:
        refuse("factor", "say which kinds, or within which time")
    return Fresh(tuple(factor.kinds), seconds)


def read_approval(said: ApprovalModel | None, rule: str, refuse: Callable[[str, str], None]) -> ApprovalNeed | None:
    """Return who has to say yes first; `refuse(key, sentence)` for what can never be fulfilled."""
    if said is None:
        return None
    single = bool(said.by or said.users or "count" in said.model_fields_set)
    if single and said.levels is not None:
        refuse("levels", "say either by, users and count, or levels")
    levels = [("", said)] if said.levels is None else [(f"levels.{number}.", level) for number, level in enumerate(said.levels)]
    if not levels:
        refuse("levels", _EMPTY)
    for key, level in levels:
        _check_level(level, key, refuse)
    seconds = 0.0
    try:
        seconds = parse_duration(said.valid)
    except ValueError as error:
        refuse("valid", str(error))
    else:
        if not seconds:
            refuse("valid", "an approval that lasts no time is none")
    needed = tuple(ApprovalLevel(level.count, tuple(sorted(set(level.by))), tuple(sorted(set(level.users)))) for _, level in levels)
    return ApprovalNeed(rule, needed, seconds, said.watched)


def _check_level(level: LevelModel, key: str, refuse: Callable[[str, str], None]) -> None:
    if not level.by and not level.users:
        refuse(f"{key}by", "say who may approve: by (roles) or users")
    elif not level.by and level.count > len(set(level.users)):
        refuse(f"{key}count", f"{level.count} different people out of {len(set(level.users))} can never approve")
    for number, name in enumerate(level.users):
        if not NAME.fullmatch(name):
            refuse(f"{key}users.{number}", f"'{shown(name)}' is not a user name")
