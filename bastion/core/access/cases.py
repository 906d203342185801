"""Tests that are kept beside a policy: who asks for what, and what the answer must be. Never reads a file.

A case is written like a rule and judged by `decide` itself, so a green case is what the bastion would really do.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from bastion.core.access.actions import ACTIONS
from bastion.core.access.build import read_shape
from bastion.core.access.decide import decide
from bastion.core.access.decision import Decision, FileFacts, SessionFacts, TunnelFacts
from bastion.core.access.durations import parse_duration
from bastion.core.access.endpoint import Endpoint, Login
from bastion.core.access.hours import read_instant, read_zone, show_instant
from bastion.core.access.models import Shape
from bastion.core.access.policy import Policy
from bastion.core.access.source import (
    Document,
    Path,
    Place,
    Problems,
    did_you_mean,
    shown,
)
from bastion.core.identity import Factor, Identity

_WHEN = "2026-06-03 12:00 UTC"  # a Wednesday, where a case does not care


class CaseModel(Shape):
    """One question, and the answer that must come."""

    name: str = Field(description="a sentence")
    user: str = Field(description="who asks")
    roles: list[str] = Field([], description="roles the store gives; those of the policy's members lists come by themselves")
    groups: list[str] = Field([], description="groups the directory gives")
    source: str = Field("10.0.0.1", description="address they come from")
    factors: dict[str, str] = Field({"publickey": "1m"}, description="what was proven -> how long ago, like totp: 5m")
    action: str = Field(description="what they ask for")
    endpoint: str | None = Field(None, description="name of an endpoint; left out: none is concerned")
    labels: dict[str, str] = Field({}, description="labels of that endpoint")
    login: str | None = Field(None, description="account there")
    at: str = Field(_WHEN, description="when, like 2026-12-01 08:00 Europe/Berlin")
    invited: bool = Field(default=False, description="the session's owner invited them")
    owner: str | None = Field(None, description="whose session it is; the user's own name for their own")
    owner_roles: list[str] = Field([], description="roles of the session's owner")
    ticket: str = Field("", description="the ticket number they give")
    approved: list[str] = Field([], description="rules whose approval was given")
    file: str | None = Field(None, description="an absolute path that is to be moved; left out: the session itself")
    direction: Literal["upload", "download"] = Field("upload", description="where to, for the actions sftp and scp")
    bytes: int | None = Field(None, ge=0, description="how large that file is")
    to: str | None = Field(None, description="HOST:PORT of a tunnel, for the action forward; left out: whether there may be any")
    expect: Literal["allow", "deny", "needs-approval"] = Field(description="the answer that must come")
    rule: str | None = Field(None, description="the rule that must decide")
    opens: str | None = Field(None, description="when a refusal must say that it opens, like 2026-12-01 08:00 Europe/Berlin")


class CaseFile(Shape):
    """A file of cases."""

    cases: list[CaseModel] = Field(description="questions with their answers")


@dataclass(frozen=True, slots=True)
class Case:
    """A question ready to be asked, and its expected answer."""

    name: str
    place: Place
    identity: Identity
    endpoint: Endpoint | None
    action: str
    at: float
    login: str | None
    session: SessionFacts
    expect: str
    rule: str | None = None
    opens_at: float | None = None


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What came of a case. `failures` are sentences, none when it passed."""

    case: Case
    decision: Decision
    failures: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Return whether the answer was the expected one."""
        return not self.failures

    def __str__(self) -> str:
        return f"{self.case.place}: {self.case.name}: " + ("; ".join(self.failures) or "as expected")


def build_cases(documents: Sequence[Document]) -> list[Case]:
    """Return the cases of all documents in order; raises `Misconfigured` (`policy.*`) with file and line."""
    problems = Problems()
    cases = []
    for document in documents:
        file = read_shape(CaseFile, document, problems)
        for number, model in enumerate(file.cases if file else ()):
            cases.append(_case(model, document, ("cases", number), problems))
    problems.raise_if_any()
    return [case for case in cases if case is not None]


def run_cases(policy: Policy, cases: Iterable[Case]) -> list[CaseResult]:
    """Ask every question and compare."""
    return [_run(policy, case) for case in cases]


def _run(policy: Policy, case: Case) -> CaseResult:
    answer = decide(policy, case.identity, case.endpoint, case.action, case.at, login=case.login, session=case.session)
    failures = []
    if answer.verdict.value != case.expect:
        failures.append(f"wanted {case.expect}, got {answer.verdict.value}: {answer.reason}")
    elif case.rule is not None and case.rule not in {answer.rule, *answer.granted_by}:
        failures.append(f"wanted the rule {case.rule!r} to decide, got {answer.rule or 'the default'!r}")
    if case.opens_at is not None and case.opens_at != answer.opens_at:
        failures.append(f"wanted it to open at {_utc(case.opens_at)}, got {_utc(answer.opens_at)}")
    return CaseResult(case, answer, tuple(failures))


def _utc(at: float | None) -> str:
    return "no time" if at is None else show_instant(at, read_zone("UTC"))


def _to(model: CaseModel, document: Document, path: Path, problems: Problems) -> TunnelFacts | None:
    if model.to is None:
        return None
    host, colon, port = model.to.rpartition(":")
    if not colon or not port.isdigit():
        problems.add("bad_value", document.place((*path, "to")), f"case {shown(model.name)!r}: to: '{shown(model.to)}' is not HOST:PORT")
        return None
    return TunnelFacts(host.strip("[]"), "", int(port))


def _case(model: CaseModel, document: Document, path: Path, problems: Problems) -> Case | None:
    def read(key: str, text: str) -> float | None:
        try:
            return read_instant(text)
        except ValueError as error:
            problems.add("bad_value", document.place((*path, key)), f"case '{shown(model.name)}': {key}: {error}")
            return None

    if model.action not in ACTIONS:
        text = f"case '{shown(model.name)}': there is no action '{shown(model.action)}'{did_you_mean(model.action, ACTIONS)}"
        problems.add("unknown_action", document.place((*path, "action")), text)
    at, opens = read("at", model.at), None if model.opens is None else read("opens", model.opens)
    if at is None:
        return None
    factors = []
    for kind, age in model.factors.items():
        try:
            factors.append(Factor(kind, at - parse_duration(age)))
        except ValueError as error:
            problems.add("bad_value", document.place((*path, "factors", kind)), f"case '{shown(model.name)}': {error}")
    identity = Identity(model.user, model.user, tuple(model.roles), model.source, tuple(factors), tuple(model.groups))
    endpoint = None
    if model.endpoint is not None:
        logins = (Login(model.login, "key"),) if model.login else ()
        endpoint = Endpoint(model.endpoint, model.endpoint, logins=logins, labels=tuple(model.labels.items()))
    owner = model.owner or ""
    file = FileFacts(model.direction, model.file, (model.file,), size=model.bytes) if model.file is not None else None
    session = SessionFacts(
        owner,
        owner,
        tuple(model.owner_roles),
        model.invited,
        model.ticket,
        frozenset(model.approved),
        file=file,
        to=_to(model, document, path, problems),
    )
    place = document.place(path)
    return Case(model.name, place, identity, endpoint, model.action, at, model.login, session, model.expect, model.rule, opens)
