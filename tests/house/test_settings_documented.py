"""Every setting has a reason beside it, and the file that `init` writes has every setting."""

from __future__ import annotations

import tomllib

from bastion.settings import as_toml, every_setting


def test_every_setting_says_why() -> None:
    reasons = {key: reason for key, _, reason in every_setting()}
    assert len(reasons) > 20
    assert [key for key, reason in reasons.items() if len(reason) < 10] == []


def test_the_file_that_init_writes_has_every_setting_and_becomes_the_defaults_without_its_marks() -> None:
    import re

    text = as_toml()
    opened = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)
    read = tomllib.loads(opened)
    for key, _, reason in every_setting():
        place = read
        for part in key.split("."):
            place = place[part]
        assert reason in text
