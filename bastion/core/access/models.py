"""The shape of a policy file: which keys there are and what kind of value each takes. Never what they mean.

What a value means (is this a length of time, does that role exist) is judged in `build`, where the whole
policy is known. The descriptions here are what editors show from the exported JSON Schema.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_FEW = Annotated[list[str], Field(max_length=100)]
_NAMES = Annotated[list[str], Field(max_length=10_000)]


class Shape(BaseModel):
    """Refuses what it does not know, and takes no text for a number."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class RoleModel(Shape):
    """A role. Members are user names, or `group:NAME` for everybody whom the directory puts into that group."""

    description: str = Field("", description="what this role is for")
    members: _NAMES = Field([], description="user names, or group:NAME; roles given to users in the store add to these")


class WatchersModel(Shape):
    """So many different people who must look on."""

    by: _FEW = Field([], description="roles whose members count; the session's owner never does")
    users: _FEW = Field([], description="single users who count")
    count: int = Field(1, ge=1, le=10, description="how many different people")
    on_leave: Literal["pause", "end"] = Field("pause", description="what happens when one of them leaves")
    grace: str = Field("5m", description="how long it stays paused before it ends")


class TermsModel(Shape):
    """What a session is bound to. The strictest of all granting rules counts."""

    max: str | None = Field(None, description="longest session, like 8h; none for no limit")
    idle: str | None = Field(None, description="end after so long without a key, like 30m; none for no limit")
    lock: str | None = Field(None, description="hide the screen after so long without a key, until the owner proves who they are")
    reauth: str | None = Field(None, description="ask who they are again, in place, each time so long has passed")
    detach: str | None = Field(None, description="how long a detached session lives on, like 10m; none to end it at once")
    recording: Literal["strict", "best-effort"] | None = Field(None, description="strict: no record, no session")
    input: bool | None = Field(None, description="record what is typed, too")
    participants: int | None = Field(None, ge=1, le=100, description="most people in the session, its owner counted")
    viewers: Literal["invited", "permitted", "none"] | None = Field(
        None, description="who may watch: whom the owner invites and whom a rule lets join; only the latter; nobody"
    )
    handover: bool | None = Field(None, description="false: the keyboard cannot be given away")
    typing: Literal["one", "shared"] | None = Field(
        None, description="one: who has the keyboard; shared: controllers type beside each other"
    )
    handback: str | None = Field(None, description="a keyboard that rests with somebody else for so long goes back to the owner, like 5m")
    sessions_per_user: int | None = Field(None, ge=1, le=10_000, description="most live sessions of one user")
    sessions_per_endpoint: int | None = Field(None, ge=1, le=10_000, description="most live sessions on one endpoint")
    watchers: WatchersModel | None = Field(None, description="who must look on; the session waits for them")


class FactorModel(Shape):
    """A proof of who they are, and how fresh it must be."""

    kinds: list[Literal["publickey", "certificate", "password", "totp", "browser"]] = Field(
        [], max_length=10, description="one of these; left out: any"
    )
    within: str | None = Field(None, description="how long ago at most, like 15m; left out: in this login")


class FilesModel(Shape):
    """Which files an sftp or scp session may move or change."""

    direction: Literal["upload", "download"] | None = Field(None, description="upload: anything that changes the endpoint; left out: both")
    paths: _FEW | None = Field(None, description="like /srv/in/** (that folder and all below), ~/*.log; one of them must fit")
    size: str | None = Field(None, description="the largest file, like 10M or 2G")


class WhenModel(Shape):
    """Conditions; all of them must hold."""

    hours: _FEW | None = Field(None, description="weekly windows, like mon-fri 08:00-17:00 Europe/Berlin; one of them must be open")
    dates: _FEW | None = Field(None, description="like 2026-12-01..2026-12-24 Europe/Berlin, or with times; one of them must be now")
    sources: _FEW | None = Field(None, description="networks the person comes from, like 10.0.0.0/8")
    factor: FactorModel | None = Field(None, description="a fresh proof of who they are, asked when a session starts")
    ticket: str | None = Field(None, description="form of the ticket number they give: # digit, @ letter, ? one, * any characters")
    owner_roles: _FEW | None = Field(None, description="only sessions whose owner has one of these roles")
    invited: bool | None = Field(None, description="true: only sessions one was invited to")
    files: FilesModel | None = Field(None, description="which files, for the actions sftp and scp; asked for each file")
    to: _FEW | None = Field(None, description="where tunnels may go, for the action forward: db01:5432, *.internal:80-90, 10.0.0.0/8:*")
    own: bool | None = Field(None, description="true: only one's own sessions and recordings; false: only those of others")


class LevelModel(Shape):
    """So many different people out of these."""

    by: _FEW = Field([], description="roles whose members may approve")
    users: _FEW = Field([], description="single users who may approve")
    count: int = Field(1, ge=1, le=10, description="how many different people; never the one who asks")


class ApprovalModel(LevelModel):
    """What must be approved first. Either by/users/count, or several levels one after the other."""

    levels: list[LevelModel] | None = Field(None, max_length=5, description="instead of by, users and count: one level after the other")
    valid: str = Field("8h", description="how long an approval lasts from its first use")
    watched: bool = Field(default=False, description="true: only while an approver looks on")


class RuleModel(Shape):
    """One rule. It applies when who, action, endpoint, login and all conditions fit."""

    name: str = Field(description="what refusals, audit and explain call it; once in the whole policy")
    description: str = Field("", description="why it is there")
    effect: Literal["allow", "deny"] = Field(description="a deny wins over every allow")
    roles: _NAMES = Field([], description='whom it concerns: roles, or ["*"] for everybody who is logged in')
    users: _NAMES = Field([], description="whom it concerns: single users")
    actions: _NAMES = Field(description='what it is about: actions, "admin.*", or "*" for all')
    endpoints: _NAMES | None = Field(
        None, description='names, globs (web*), labels (env=prod, globs too), joined by a comma for "and"; ["*"] for all'
    )
    logins: _NAMES | None = Field(None, description="accounts on the endpoint, globs too; left out: every account")
    when: WhenModel | None = Field(None, description="conditions; all must hold")
    terms: TermsModel | None = Field(None, description="what the session is bound to")
    approval: ApprovalModel | None = Field(None, description="who has to say yes before it is allowed")


class FileModel(Shape):
    """A policy file. All files of the folder together make one policy; their order does not matter."""

    version: Literal[1] = Field(1, description="of this format")
    defaults: TermsModel | None = Field(None, description="terms for rules that say nothing; in one file only")
    roles: dict[str, RoleModel | None] = Field({}, description="role name -> who has it")
    rules: list[RuleModel] = Field([], description="who may do what; what no rule allows is denied")


def schema() -> dict[str, Any]:
    """Return the JSON Schema of a policy file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Bastion policy"} | FileModel.model_json_schema()
