"""Audited facts as other programs take them: CEF for log collectors, OCSF for security lakes. Never sends or stores one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import orjson

if TYPE_CHECKING:
    from bastion.core.audit.event import AuditEvent

PRODUCT: Final = "Bastion"
OCSF_VERSION: Final = "1.3.0"

_SEVERITY: Final = {"ok": 3, "denied": 6, "failed": 7}  # CEF: 0 to 10
_OCSF_SEVERITY: Final = {"ok": (1, "Informational"), "denied": (3, "Medium"), "failed": (3, "Medium")}
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_ACTIVITIES: Final = {
    "login.accepted": (3002, 1),
    "login.failed": (3002, 1),
    "login.refused": (3002, 1),
    "session.started": (4007, 1),
    "session.ended": (4007, 2),
    "session.refused": (4007, 5),
    "user.added": (3001, 1),
    "user.removed": (3001, 6),
    "user.locked": (3001, 9),
    "user.unlocked": (3001, 8),
}
"""OCSF class and activity of what has one: Authentication, SSH Activity, Account Change."""
_OTHER: Final = (6003, 99)  # API Activity, Other
_CLASSES: Final = {3001: ("Account Change", 3), 3002: ("Authentication", 3), 4007: ("SSH Activity", 4), 6003: ("API Activity", 6)}
_CATEGORIES: Final = {3: "Identity & Access Management", 4: "Network Activity", 6: "Application Activity"}


def cef(seq: int, event: AuditEvent, digest: bytes, *, node: str, version: str) -> str:
    """Return a fact as one line of ArcSight's Common Event Format, version 0."""
    pairs = {
        "rt": int(event.at * 1000),
        "externalId": seq,
        "dvchost": node,
        "suser": event.actor,
        "src": event.source if _is_address(event.source) else "",
        "outcome": event.result,
        "duser": "" if event.subject == event.actor else event.subject,
        "reason": event.reason,
        "cs1Label": "session" if event.session else "",
        "cs1": event.session,
        "cs2Label": "chainHash",
        "cs2": digest.hex(),
        "cs3Label": "data" if event.data else "",
        "cs3": orjson.dumps(event.data).decode() if event.data else "",
    }
    extension = " ".join(f"{key}={_value(str(value))}" for key, value in pairs.items() if value != "")
    head = "|".join(_head(part) for part in (PRODUCT, "bastion", version, event.code, event.code.replace(".", " ")))
    return f"CEF:0|{head}|{_SEVERITY.get(event.result, 5)}|{extension}"


def ocsf(seq: int, event: AuditEvent, previous: bytes, digest: bytes, *, node: str, version: str) -> dict[str, object]:
    """Return a fact as an object of the Open Cybersecurity Schema Framework."""
    class_id, activity = _ACTIVITIES.get(event.code, _OTHER)
    class_name, category = _CLASSES[class_id]
    severity, severity_name = _OCSF_SEVERITY.get(event.result, (1, "Informational"))
    good = event.result == "ok"
    fact: dict[str, object] = {
        "time": int(event.at * 1000),
        "class_uid": class_id,
        "class_name": class_name,
        "category_uid": category,
        "category_name": _CATEGORIES[category],
        "activity_id": activity,
        "activity_name": event.code,
        "type_uid": class_id * 100 + activity,
        "severity_id": severity,
        "severity": severity_name,
        "status_id": 1 if good else 2,
        "status": "Success" if good else "Failure",
        "status_code": event.result,
        "status_detail": event.reason,
        "message": event.code,
        "actor": {"user": {"name": event.actor}},
        "metadata": {
            "version": OCSF_VERSION,
            "product": {"name": PRODUCT, "vendor_name": PRODUCT, "version": version},
            "uid": str(seq),
            "sequence": seq,
            "event_code": event.code,
            "log_provider": node,
        },
        "unmapped": {"data": event.data, "previous": previous.hex(), "hash": digest.hex()},
    }
    if event.session:
        fact["session"] = {"uid": event.session}
    if event.source:
        fact["src_endpoint"] = {"ip": event.source} if _is_address(event.source) else {"name": event.source}
    if event.subject:
        if class_id in (3001, 3002):
            fact["user"] = {"name": event.subject}
        else:
            fact["dst_endpoint"] = {"name": event.subject}
    if class_id == _OTHER[0]:
        fact["api"] = {"operation": event.code}
    if class_id == 3002:  # noqa: PLR2004 - Authentication names who logged in
        fact["user"] = {"name": event.actor}
    return fact


def _is_address(text: str) -> bool:
    return bool(text) and all(character in "0123456789abcdefABCDEF.:" for character in text) and ("." in text or ":" in text)


def _head(text: str) -> str:
    return _LINE_END.sub(" ", text).replace("\\", "\\\\").replace("|", "\\|")


def _value(text: str) -> str:
    return _LINE_END.sub(r"\\n", text.replace("\\", "\\\\").replace("=", "\\="))
