"""Reads the small languages inside a rule: endpoints, logins, conditions. Never decides anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from bastion.core.access.conditions import Check, Invited, Own
from bastion.core.access.glob import MAX_PATTERN, Glob
from bastion.core.access.models import WhenModel
from bastion.core.access.policy import Selector
from bastion.core.access.source import shown
from bastion.core.values import LABEL_KEY

_ENDPOINT: Final = re.compile(r"[a-z0-9*?][a-z0-9._*?-]*")
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


def read_checks(when: WhenModel | None, refuse: Callable[[str, str], None]) -> tuple[Check, ...]:  # noqa: ARG001 - conditions that can be misspelled will refuse
    """Return the conditions of a rule in the order in which they are explained."""
    if when is None:
        return ()
    checks: list[Check] = []
    if when.invited is not None:
        checks.append(Invited(when.invited))
    if when.own is not None:
        checks.append(Own(when.own))
    return tuple(checks)
