"""How long recordings are kept: the first rule that fits decides."""

from __future__ import annotations

import pytest

from bastion.core.recording.retention import decide, parse

RULES = parse(["endpoint=lab* 7d", "env=prod forever", "env=* 30d", " endpoint=* 1d12h "])


@pytest.mark.parametrize(
    ("endpoint", "labels", "days"),
    [("lab7", {"env": "prod"}, 7), ("web01", {"env": "prod"}, None), ("web01", {"env": "test"}, 30), ("web01", {}, 1.5), ("LAB1", {}, 1.5)],
)
def test_the_first_rule_that_fits_decides(endpoint: str, labels: dict[str, str], days: float | None) -> None:
    rule = decide(RULES, endpoint, labels)
    assert rule is not None
    assert rule.seconds == (None if days is None else days * 86400)


def test_where_no_rule_fits_recordings_stay() -> None:
    assert decide(parse(["env=test 1d"]), "web01", {}) is None


@pytest.mark.parametrize("text", ["", "7d", "endpoint=x", "endpoint 7d", "=x 7d", "endpoint= 7d", "endpoint=x 7", "endpoint=x 0d", "endpoint=x -3d"])
def test_what_is_no_rule_is_said_so(text: str) -> None:
    with pytest.raises(ValueError, match="rule|length of time|nothing at all"):
        parse([text])
