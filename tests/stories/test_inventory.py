"""Taking over endpoints from lists, through the real door."""

from __future__ import annotations

import json

from tests.lab.bastion import Bastion
from tests.lab.sshd import Sshd
from tests.lab.waiting import until


def listing(sshd: Sshd, more: str = "") -> str:
    key = sshd.host_key_public.read_text().strip()
    return f"""endpoints:
  imp01:
    host: 127.0.0.1
    port: {sshd.port}
    logins: [{sshd.user}, {{name: other, method: ask}}]
    labels: {{env: prod}}
    groups: [web]
    owner: carol
    description: taken over
    host_keys: [{json.dumps(key)}]
{more}"""


def test_a_list_is_shown_as_a_difference_first_and_taken_over_when_told(bastion: Bastion, sshd: Sshd) -> None:
    dry = bastion.ssh("root1", "endpoint import -", input=listing(sshd).encode())
    assert dry.returncode == 0, dry.stderr
    assert dry.stdout.decode().startswith(f"+ imp01  127.0.0.1:{sshd.port}; {sshd.user} (ca); other (ask); env=prod; group/web=yes; owner=carol")
    assert b"1 new, 0 changed, 0 unchanged. Nothing was done: add --apply." in dry.stderr
    assert not [one for one in bastion.json("root1", "endpoint list") if one["name"] == "imp01"]
    done = bastion.ssh("root1", "endpoint import - --apply", input=listing(sshd).encode())
    assert (done.returncode, b"Done: 1 new" in done.stderr) == (0, True)
    shown = bastion.json("root1", "endpoint show imp01")
    assert (shown["labels"], shown["description"]) == ({"env": "prod", "group/web": "yes", "owner": "carol"}, "taken over")
    assert [login["name"] for login in shown["logins"]] == [sshd.user, "other"]
    assert [one["name"] for one in bastion.json("alice", "ls --label group/web=yes")] == ["imp01"]
    assert bastion.ssh("root1", "endpoint test imp01").returncode == 0
    exported = bastion.ssh("root1", "endpoint export").stdout
    again = json.loads(bastion.ssh("root1", "endpoint import - --json", input=exported).stdout)
    assert {one["change"] for one in again} == {"same"}, "what is exported is what is there"
    changed = listing(sshd).replace("prod", "test").replace("taken over", "again")
    changed_dry = bastion.ssh("root1", "endpoint import -", input=changed.encode()).stdout.decode()
    assert changed_dry == "~ imp01  env=prod -> test; description 'again'\n"
    assert [row["data"]["by"] for row in bastion.audit("endpoint.added") if row["subject"] == "imp01"] == ["import"]


def test_a_bad_list_names_every_line_and_changes_nothing(bastion: Bastion, sshd: Sshd) -> None:
    bad = listing(sshd, "  imp02:\n    prot: 22\n  Imp03:\n    logins: [a]\n  imp04:\n    host: 'a b'\n    logins: [{name: x, method: password}]\n")
    done = bastion.ssh("root1", "endpoint import - --apply", input=bad.replace("imp01", "imp11").encode())
    assert (done.returncode, done.stdout) == (78, b"")
    told = done.stderr.decode().splitlines()
    assert told[0] == "bastion: Nothing was changed."
    assert [line.split(":")[1].strip() for line in told[1:]] == ["line 12", "line 11", "line 13", "line 15", "line 15"]
    assert "did you mean 'port'?" in told[1]
    assert "not an endpoint name" in told[3]
    assert "a secret is not imported" in told[5]
    names = {one["name"] for one in bastion.json("root1", "endpoint list")}
    assert not names & {"imp11", "imp02", "imp03", "imp04"}


def test_a_pinned_host_key_is_never_changed_by_a_list(bastion: Bastion) -> None:
    other = (bastion.home / "host_ed25519.pub").read_text().strip()
    text = json.dumps({"endpoints": {"web01": {"host_keys": [other]}}})
    done = bastion.ssh("root1", "endpoint import - --apply", input=text.encode())
    assert done.returncode == 78
    assert b"web01 has another host key pinned; that is changed by: endpoint accept-key web01" in done.stderr


def test_nobody_but_admins_imports(bastion: Bastion) -> None:
    assert bastion.ssh("alice", "endpoint import - --apply", input=b"endpoints: {}").returncode == 77
    assert bastion.ssh("alice", "endpoint export").returncode == 77


def test_on_the_host_a_file_is_named(bastion: Bastion, tmp_path) -> None:
    file = tmp_path / "hosts.ini"
    file.write_text("[web]\nhostfile01 ansible_host=10.9.9.9 ansible_user=deploy\n")
    done = bastion.program("endpoint", "import", str(file))
    assert done.stdout.decode() == "+ hostfile01  10.9.9.9:22; deploy (ca); group/web=yes; no host key is pinned yet\n"


def test_an_endpoint_says_when_it_was_last_seen(bastion: Bastion) -> None:
    bastion.ssh("alice", "connect web01 -- true")
    assert until(lambda: bastion.json("root1", "endpoint show web01")["last_seen_at"], "a session was there").endswith("Z")
