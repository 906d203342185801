"""What every implementation of Endpoints does."""

from dataclasses import replace

import pytest

from bastion.core.access.endpoint import Endpoint, HostKey, Login
from bastion.core.errors import Conflict, Missing
from bastion.core.identity import User

KEYS = (HostKey("ssh-ed25519", "ssh-ed25519 AAAA", "SHA256:x", 3.5, "alice"), HostKey("ssh-rsa", "ssh-rsa BBBB", "SHA256:y"))
WEB = Endpoint(
    "e" * 32,
    "web01",
    host="fe80::1",
    port=2222,
    logins=(Login("deploy", "key", "c1"), Login("root", "ask"), Login("admin", "password", "c2")),
    labels=(("env", "prod"), ("a", "")),
    description="über",
    host_keys=KEYS,
    legacy=True,
    created_at=8.25,
)
DEMO = Endpoint("d" * 32, "demo", kind="local", command=("/bin/sh", "-c", "echo 'x y'"), logins=(Login("demo", "none"),))


async def test_an_endpoint_comes_back_with_its_logins_and_keys_in_order(store):
    await store.endpoints.add(WEB)
    await store.endpoints.add(DEMO)
    assert await store.endpoints.get("web01") == WEB
    assert await store.endpoints.all() == [DEMO, WEB]
    assert await store.endpoints.get("nothing") is None


async def test_a_taken_name_is_refused_and_leaves_nothing_behind(store):
    await store.endpoints.add(WEB)
    with pytest.raises(Conflict, match="'web01' already"):
        await store.endpoints.add(replace(DEMO, name="web01"))
    await store.endpoints.add(DEMO)
    with pytest.raises(Conflict, match="'demo' already"):
        await store.endpoints.save(replace(WEB, name="demo", logins=()))
    assert await store.endpoints.all() == [DEMO, WEB]


async def test_a_saved_endpoint_replaces_all_its_parts(store):
    await store.endpoints.add(WEB)
    changed = replace(WEB, name="web02", logins=(Login("new", "ca"),), host_keys=KEYS[1:], labels=())
    await store.endpoints.save(changed)
    assert await store.endpoints.all() == [changed]
    with pytest.raises(Missing, match="'demo'"):
        await store.endpoints.save(DEMO)


async def test_several_are_put_together_or_not_at_all(store):
    await store.endpoints.add(WEB)
    changed = replace(WEB, description="changed", labels=())
    await store.endpoints.put([changed, DEMO])
    assert await store.endpoints.all() == [DEMO, changed]
    with pytest.raises(Conflict, match="'demo' already"):
        await store.endpoints.put([WEB, replace(DEMO, id="e" * 32)])
    assert await store.endpoints.all() == [DEMO, changed]
    await store.endpoints.put([])


async def test_a_removed_endpoint_takes_only_its_own_credentials_along(store):
    for name in ("c1", "c2", "c3"):
        await store.credentials.add(name, "key", b"x", 1.0)
    await store.endpoints.add(WEB)
    await store.endpoints.add(replace(DEMO, logins=(Login("a", "key", "c2"), Login("b", "ask"))))
    await store.endpoints.remove(WEB.id)
    assert await store.endpoints.get("web01") is None
    with pytest.raises(Missing):
        await store.credentials.get("c1")
    assert await store.credentials.get("c2")
    assert await store.credentials.get("c3")
    await store.endpoints.remove(WEB.id)


async def test_a_removed_endpoint_is_nobodys_favourite(store):
    await store.users.add(User("u1", "alice"))
    await store.endpoints.add(WEB)
    await store.preferences.set_favourite("u1", "web01", True)
    await store.preferences.set_favourite("u1", "other", True)
    await store.endpoints.remove(WEB.id)
    assert await store.preferences.of("u1") == {"other": (True, None)}
