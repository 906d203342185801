"""CEF and OCSF: nothing in a fact can break out of its field, and what schemas ask for is there."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bastion.core.audit.event import AuditEvent
from bastion.core.audit.formats import cef, ocsf

HASH = bytes(range(32))
DENIED = AuditEvent("session.refused", 1_700_000_000.25, "alice", "192.0.2.7", "web|01", "s1", "denied", "rule = none\nof them \\ fits", {"a": [1, "x=y"]})


def test_a_fact_in_cef_reads_as_the_format_says() -> None:
    line = cef(7, DENIED, HASH, node="n1", version="0.1")
    assert line == (
        "CEF:0|Bastion|bastion|0.1|session.refused|session refused|6|rt=1700000000250 externalId=7 dvchost=n1 suser=alice src=192.0.2.7 "
        "outcome=denied duser=web|01 reason=rule \\= none\\nof them \\\\ fits cs1Label=session cs1=s1 cs2Label=chainHash "
        f'cs2={HASH.hex()} cs3Label=data cs3={{"a":[1,"x\\=y"]}}'
    )


@settings(max_examples=100)
@given(st.text(max_size=30), st.text(max_size=30))
def test_no_text_adds_a_field_or_a_line_to_cef(actor: str, reason: str) -> None:
    line = cef(1, AuditEvent("a.b", 1.0, actor, reason=reason), HASH, node="n1", version="1")
    assert "\n" not in line
    assert "\r" not in line
    fields = re.sub(r"\\.", "", line)  # what is escaped is no syntax
    assert fields.split("|", 7)[:7] == ["CEF:0", "Bastion", "bastion", "1", "a.b", "a b", "3"]
    plain = re.sub(r"\\.", "", cef(1, AuditEvent("a.b", 1.0, actor and "x", reason=reason and "x"), HASH, node="n1", version="1"))
    assert fields.count("=") == plain.count("=")


@pytest.mark.parametrize(
    ("code", "class_uid", "activity"), [("login.accepted", 3002, 1), ("session.started", 4007, 1), ("session.ended", 4007, 2), ("user.locked", 3001, 9), ("policy.changed", 6003, 99)]
)
def test_a_fact_in_ocsf_has_its_class_and_what_every_event_must_have(code: str, class_uid: int, activity: int) -> None:
    fact = ocsf(7, AuditEvent(code, 1.5, "alice", "192.0.2.7", "web01", "s1"), HASH, HASH, node="n1", version="0.1")
    json.dumps(fact)
    assert (fact["class_uid"], fact["activity_id"], fact["type_uid"]) == (class_uid, activity, class_uid * 100 + activity)
    assert fact["category_uid"] == class_uid // 1000
    assert (fact["time"], fact["severity_id"], fact["status"]) == (1500, 1, "Success")
    assert fact["metadata"] == {
        "version": "1.3.0", "product": {"name": "Bastion", "vendor_name": "Bastion", "version": "0.1"}, "uid": "7", "sequence": 7, "event_code": code, "log_provider": "n1",
    }  # fmt: skip
    assert fact["src_endpoint"] == {"ip": "192.0.2.7"}
    assert fact["unmapped"] == {"data": {}, "previous": HASH.hex(), "hash": HASH.hex()}


def test_a_denial_in_ocsf_is_a_failure_with_its_reason() -> None:
    fact = ocsf(7, DENIED, HASH, HASH, node="n1", version="0.1")
    assert (fact["status"], fact["status_detail"], fact["severity"]) == ("Failure", DENIED.reason, "Medium")
