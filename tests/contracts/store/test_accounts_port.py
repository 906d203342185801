"""What every implementation of Users, Preferences and Credentials does."""

from dataclasses import replace

import pytest

from bastion.core.errors import Conflict, Missing
from bastion.core.identity import User, UserKey

ALICE = User("a" * 32, "alice", ("admin", "engineer"), "Alice Ö. \U0001f600", created_at=12.5)
BOB = User("b" * 32, "bob", disabled=True)
KEY = UserKey(ALICE.id, "SHA256:one", "ssh-ed25519 AAAA", "laptop", added_at=5.0)


async def test_an_account_comes_back_as_it_was_stored(store):
    await store.users.add(BOB)
    await store.users.add(ALICE)
    assert await store.users.get("alice") == ALICE
    assert await store.users.by_id(BOB.id) == BOB
    assert await store.users.all() == [ALICE, BOB]


async def test_nobody_is_found_who_is_not_there(store):
    assert await store.users.get("alice") is None
    assert await store.users.by_id("x") is None
    assert await store.users.all() == []
    assert await store.users.with_key("alice", "SHA256:one") is None


async def test_a_taken_name_is_refused_by_name(store):
    await store.users.add(ALICE)
    with pytest.raises(Conflict, match="'alice' already"):
        await store.users.add(replace(BOB, name="alice"))
    await store.users.add(BOB)
    with pytest.raises(Conflict, match="'alice' already"):
        await store.users.save(replace(BOB, name="alice"))
    assert await store.users.all() == [ALICE, BOB]


async def test_a_saved_account_replaces_the_one_with_its_id(store):
    await store.users.add(ALICE)
    changed = replace(ALICE, name="alicia", roles=(), disabled=True)
    await store.users.save(changed)
    assert await store.users.all() == [changed]
    with pytest.raises(Missing, match="'bob'"):
        await store.users.save(BOB)


async def test_names_with_sql_in_them_are_only_names(store):
    evil = replace(ALICE, name="x'; drop table users; --")
    await store.users.add(evil)
    assert await store.users.get(evil.name) == evil
    assert await store.users.get("x' or '1'='1") is None


async def test_a_removed_account_takes_its_keys_along(store):
    await store.users.add(ALICE)
    await store.users.add_key(KEY)
    await store.preferences.used(ALICE.id, "web01", 1.0)
    await store.users.remove(ALICE.id)
    assert await store.users.keys(ALICE.id) == []
    assert await store.preferences.of(ALICE.id) == {}
    assert await store.users.with_key("alice", KEY.fingerprint) is None
    await store.users.remove(ALICE.id)


async def test_keys_are_listed_oldest_first(store):
    await store.users.add(ALICE)
    older = replace(KEY, fingerprint="SHA256:zzz", added_at=1.0)
    for key in (KEY, older):
        await store.users.add_key(key)
    assert await store.users.keys(ALICE.id) == [older, KEY]


async def test_an_account_has_a_key_once_but_two_accounts_may_share_one(store):
    await store.users.add(ALICE)
    await store.users.add(BOB)
    await store.users.add_key(KEY)
    with pytest.raises(Conflict, match="already"):
        await store.users.add_key(replace(KEY, comment="other"))
    await store.users.add_key(replace(KEY, user_id=BOB.id))
    assert await store.users.keys(ALICE.id) == [KEY]


async def test_a_key_needs_an_account(store):
    with pytest.raises(Missing):
        await store.users.add_key(KEY)


async def test_with_key_finds_the_account_only_by_its_own_name_and_key(store):
    await store.users.add(ALICE)
    await store.users.add(BOB)
    await store.users.add_key(KEY)
    assert await store.users.with_key("alice", KEY.fingerprint) == (ALICE, KEY)
    assert await store.users.with_key("bob", KEY.fingerprint) is None
    assert await store.users.with_key("alice", "SHA256:other") is None
    await store.users.key_used(ALICE.id, KEY.fingerprint, 99.5)
    assert await store.users.with_key("alice", KEY.fingerprint) == (ALICE, replace(KEY, last_used_at=99.5))


async def test_a_key_is_removed_once(store):
    await store.users.add(ALICE)
    await store.users.add_key(KEY)
    await store.users.remove_key(ALICE.id, KEY.fingerprint)
    assert await store.users.keys(ALICE.id) == []
    with pytest.raises(Missing, match="SHA256:one"):
        await store.users.remove_key(ALICE.id, KEY.fingerprint)


async def test_preferences_remember_use_and_favourites_apart(store):
    await store.users.add(ALICE)
    await store.preferences.used(ALICE.id, "web01", 5.0)
    await store.preferences.set_favourite(ALICE.id, "web01", True)
    await store.preferences.set_favourite(ALICE.id, "db01", True)
    await store.preferences.used(ALICE.id, "web01", 7.0)
    await store.preferences.set_favourite(ALICE.id, "db01", False)
    assert await store.preferences.of(ALICE.id) == {"web01": (True, 7.0), "db01": (False, None)}
    assert await store.preferences.of(BOB.id) == {}


async def test_preferences_of_somebody_unknown_are_not_kept(store):
    await store.preferences.used("nobody", "web01", 5.0)
    assert await store.preferences.of("nobody") == {}


async def test_a_credential_comes_back_byte_for_byte(store):
    sealed = bytes(range(256))
    await store.credentials.add("c1", "key", sealed, 1.0)
    assert await store.credentials.get("c1") == ("key", sealed)
    with pytest.raises(Conflict):
        await store.credentials.add("c1", "password", b"", 1.0)


async def test_a_forgotten_credential_is_missing(store):
    await store.credentials.add("c1", "key", b"x", 1.0)
    await store.credentials.remove("c1")
    with pytest.raises(Missing, match="gone"):
        await store.credentials.get("c1")
    await store.credentials.remove("c1")
