"""Lists of endpoints in the formats that people have them in."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bastion.backends.policies.document import read_document
from bastion.core.access.endpoint import Endpoint, HostKey, Login
from bastion.core.access.source import Problems
from bastion.core.inventory.entry import Entry
from bastion.core.inventory.text import read_ansible_ini, read_csv, read_ssh_config
from bastion.core.inventory.tree import is_ansible, read_ansible, read_tree
from bastion.core.inventory.write import as_csv, as_yaml
from bastion.services.stocktaking import guess_format


def short(entries: list[Entry]) -> dict[str, tuple[object, ...]]:
    """Return what was read, briefly."""
    return {one.name: (one.host, one.port, [login.name for login in one.logins], sorted(one.labels)) for one in entries}


def lines(problems: Problems) -> list[str]:
    return [f"{place.line}: {text}" for _, place, text in problems.found]


ANSIBLE_INI = """
mail.example ansible_user=post
[web]
web[01:03].example ansible_port=2222
[db]
db-[a:b] ansible_host=10.0.0.9 ansible_user=dba
[prod:children]
web
db
[prod:vars]
ansible_user=deploy
[all:vars]
ansible_port=22
"""
ANSIBLE_YAML = """
all:
  vars: {ansible_port: 22}
  hosts:
    mail.example: {ansible_user: post}
  children:
    prod:
      vars: {ansible_user: deploy}
      children:
        web:
          hosts:
            web01.example: {ansible_port: 2222}
            web02.example: {ansible_port: 2222}
            web03.example: {ansible_port: 2222}
        db:
          hosts:
            db-a: {ansible_host: 10.0.0.9, ansible_user: dba}
            db-b: {ansible_host: 10.0.0.9, ansible_user: dba}
"""


def test_both_forms_of_an_ansible_inventory_say_the_same() -> None:
    problems = Problems()
    ini = short(read_ansible_ini("line", ANSIBLE_INI, problems))
    document = read_document("line", ANSIBLE_YAML.encode())
    assert is_ansible(document.data)
    tree = short(read_ansible(document, problems))
    assert problems.found == []
    assert {name: (host, str(port), *rest) for name, (host, port, *rest) in ini.items()} == {
        name: (host, str(port), *rest) for name, (host, port, *rest) in tree.items()
    }
    assert ini["web02.example"] == ("", "2222", ["deploy"], ["group/prod", "group/web"])
    assert ini["db-b"] == ("10.0.0.9", "22", ["dba"], ["group/db", "group/prod"])
    assert ini["mail.example"][2] == ["post"]


def test_an_ssh_config_gives_its_machines_and_what_holds_for_all() -> None:
    text = "Host *.wild !x\n  User no\nHost web01 web02\n  HostName %h.example\n  Port=2222\nHost DB\n  User dba\nHost *\n  User deploy\n"
    problems = Problems()
    assert short(read_ssh_config("line", text, problems)) == {
        "web01": ("web01.example", "2222", ["deploy"], []),
        "web02": ("web02.example", "2222", ["deploy"], []),
        "db": ("DB", None, ["dba"], []),
    }
    read_ssh_config("line", "Host a\nMatch user b\n", problems)
    assert lines(problems) == ["2: Match cannot be followed here; write what it stands for into this file"]


def test_a_table_names_its_columns_and_says_which_are_wrong() -> None:
    problems = Problems()
    text = 'name,host,port,logins,labels,groups,owner,description\nweb01,10.0.0.5,22,deploy;root,env=prod,web;edge,carol,"a, b"\n'
    entry = read_csv("line", text, problems)[0]
    assert entry.labels == {"env": "prod", "group/web": "yes", "group/edge": "yes", "owner": "carol"}
    assert (entry.description, [one.name for one in entry.logins]) == ("a, b", ["deploy", "root"])
    read_csv("line", "name,hots\nweb01,a\nweb02\n", problems)
    assert lines(problems) == ["1: there is no column 'hots'; did you mean 'host'?", "3: 1 cells where the heading has 2"]


def test_our_own_form_tells_every_mistake_with_its_line() -> None:
    text = b"endpoints:\n  web01:\n    hosst: x\n    labels: [a]\n  web02:\n    logins: [{name: a, method: magic}]\n    legacy: 1\n"
    problems = Problems()
    read_tree(read_document("line", text), problems)
    assert lines(problems) == [
        "3: web01: hosst: there is no such key; did you mean 'host'?",
        "4: web01: labels: wants another kind of value",
        "6: web02: logins: there is no method 'magic'; known: ca, ask, key, password",
        "7: web02: legacy: is true or false",
    ]


def test_what_is_written_is_read_back() -> None:
    key = HostKey("ssh-ed25519", "ssh-ed25519 AAAA", "SHA256:x")
    one = Endpoint(
        "1", "web01", "ssh", "10.0.0.5", 2222, logins=(Login("deploy", "key", "c"), Login("root", "ask")), host_keys=(key,), legacy=True,
        labels=(("env", 'a "b" é'), ("group/web", "yes"), ("owner", "carol")), description="it's: [x]",
    )  # fmt: skip
    local = Endpoint("2", "demo", "local", command=("/bin/sh", "-c", 'echo "x"'), logins=(Login("me", "none"),))
    problems = Problems()
    first, second = read_tree(read_document("line", as_yaml([one, local]).encode()), problems)
    assert (first.name, first.host, first.port, first.legacy, first.host_keys) == ("web01", "10.0.0.5", 2222, True, ("ssh-ed25519 AAAA",))
    assert first.labels == dict(one.labels)
    assert (first.description, [(login.name, login.method) for login in first.logins]) == ("it's: [x]", [("deploy", "key"), ("root", "ask")])
    assert (second.kind, second.command) == ("local", ("/bin/sh", "-c", 'echo "x"'))
    again = read_csv("line", as_csv([one]), problems)[0]
    assert (again.labels, again.port, again.legacy) == (dict(one.labels), "2222", True)
    assert [text for _, _, text in problems.found] == ["demo: logins: there is no method 'none'; known: ca, ask, key, password"]


def test_the_format_is_seen_from_the_text() -> None:
    assert guess_format(ANSIBLE_INI) == "ansible"
    assert guess_format(ANSIBLE_YAML) == "yaml", "which then looks like Ansible's"
    assert guess_format("Host web01\n  User x\n") == "ssh-config"
    assert guess_format('"name",host\n') == "csv"
    assert guess_format("endpoints: {}\n") == "yaml"


@given(st.text(max_size=300), st.sampled_from([read_csv, read_ssh_config, read_ansible_ini]))
def test_nothing_that_is_read_raises(text: str, read) -> None:
    read("line", text, Problems())
