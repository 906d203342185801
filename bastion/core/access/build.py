"""From documents to a policy: shape, then meaning, then what is probably not meant. Never reads a file.

Everything wrong is collected, each with file, line and where possible a suggestion, and raised at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from bastion.core.access.actions import ACTIONS, FAMILIES, expand
from bastion.core.access.decision import Terms
from bastion.core.access.entries import (
    read_approval,
    read_checks,
    read_login,
    read_selector,
)
from bastion.core.access.lint import lint
from bastion.core.access.models import FileModel, RoleModel, RuleModel
from bastion.core.access.policy import EVERYBODY, Policy, Role, Rule
from bastion.core.access.source import (
    Document,
    Path,
    Place,
    PolicyWarning,
    Problems,
    did_you_mean,
    shown,
)
from bastion.core.access.terms import read_terms
from bastion.core.values import NAME

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

File = tuple[Document, FileModel, list[RuleModel]]

MAX_RULES = 20_000
"""Decisions stay within milliseconds up to here."""

_FORWARD = "forward"
_GROUP = 256  # a directory's group name (a DN is longer than a user name)

_KINDS = {
    "string_type": "text (put it into quotes if it looks like a number)",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list, like [a, b]",
    "dict_type": "keys with values",
    "model_type": "keys with values",
}


def build(documents: Sequence[Document]) -> tuple[Policy, list[PolicyWarning]]:
    """Return the policy that the documents make together, and warnings. Raises `Misconfigured` (`policy.*`)."""
    problems = Problems()
    files = [file for document in documents if (file := _file(document, problems)) is not None]
    problems.raise_if_any()
    roles = _roles(files, problems)
    defaults = _defaults(files, roles, problems)
    rules = _rules(files, _Known(roles, defaults, problems))
    problems.raise_if_any()
    policy = Policy(roles, tuple(rules), defaults)
    return policy, lint(policy)


# ---------------------------------------------------------------- shape


def read_shape(model: type[M], document: Document, problems: Problems, *, data: object = None, below: Path = ()) -> M | None:
    """Return the document (or the `data` at the path `below`) in the model's shape, or None with every difference noted."""
    try:
        return model.model_validate(document.data if data is None else data)
    except ValidationError as error:
        # a misspelled key is often also a missing one; the misspelling is what to mend
        for found in sorted(error.errors(include_url=False), key=lambda one: one["type"] == "missing"):
            path = (*below, *found["loc"])
            near = _model_at(model, tuple(found["loc"])[:-1])
            code, text = _sentence(path, near, found["type"], found.get("input"), found["msg"], found.get("ctx", {}))
            problems.add(code, document.place(path), text)
    return None


def _file(document: Document, problems: Problems) -> File | None:
    """Return a file in its shape. Rules are read one by one: thousands at once would hold up every other thread."""
    data = document.data
    listed = data.get("rules") if isinstance(data, dict) else None
    if not isinstance(data, dict) or not isinstance(listed, list):
        file = read_shape(FileModel, document, problems)
        return None if file is None else (document, file, file.rules)
    file = read_shape(FileModel, document, problems, data=data | {"rules": []})
    rules = []
    for number, entry in enumerate(listed):
        path: Path = ("rules", number)
        if not isinstance(entry, dict):
            problems.add("wrong_type", document.place(path), f"{_where(path)} must be keys with values, not {_said(entry)}")
        elif (rule := read_shape(RuleModel, document, problems, data=entry, below=path)) is not None:
            rules.append(rule)
    return None if file is None else (document, file, rules)


def _sentence(path: Path, model: type[BaseModel] | None, kind: str, got: object, message: str, context: dict[str, Any]) -> tuple[str, str]:
    """Return (code, what is wrong in a sentence) for one of pydantic's findings; `model` is the one around it."""
    last = path[-1] if path else ""
    if kind == "extra_forbidden":
        known = list(model.model_fields) if model else []
        return "unknown_key", f"unknown key '{shown(last)}' in {_where(path[:-1])}{did_you_mean(str(last), known)}"
    if kind == "missing":
        return "missing_key", f"{_where(path[:-1])} needs the key {last!r}"
    if kind == "literal_error":
        wanted = context.get("expected", "")
        near = did_you_mean(got, str(wanted).replace("'", "").replace(" or ", ", ").split(", ")) if isinstance(got, str) else ""
        return "bad_value", f"{_where(path)} must be {wanted}, not {_said(got)}" + (near if "mean" in near else "")
    if kind in _KINDS:
        return "wrong_type", f"{_where(path)} must be {_KINDS[kind]}, not {_said(got)}"
    return "bad_value", f"{_where(path)}: {message[0].lower()}{message[1:]}"


def _said(got: object) -> str:
    if got is None:
        return "nothing"
    if isinstance(got, dict | list):
        return "a list" if isinstance(got, list) else "keys with values"
    if isinstance(got, bool):
        return str(got).lower()
    return f"'{shown(got)}'" if isinstance(got, str) else f"the number {shown(got)}"


def _where(path: Path) -> str:
    """Return how people call the thing at a path: `rules[2].terms.max`, "the file"."""
    text = ""
    for step in path:
        text += f"[{step + 1}]" if isinstance(step, int) else f".{shown(step)}" if text else shown(step)
    return text or "the file"


def _model_at(root: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """Return the model whose keys are known at a path; positions and role names are steps that stay inside one field."""
    model: type[BaseModel] | None = root
    for step in path:
        field = model.model_fields.get(step) if model is not None and isinstance(step, str) else None
        if field is not None:
            model = _model_in(field.annotation) or model
    return model


def _model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


# ---------------------------------------------------------------- meaning


def _refuser(problems: Problems, document: Document, path: Path, what: str) -> Callable[[str, str], None]:
    """Return `refuse(key, sentence)` that notes a problem about a key below `path`."""

    def refuse(key: str, sentence: str) -> None:
        steps: list[str | int] = [int(step) if step.isdigit() else step for step in key.split(".")] if key else []
        named = ".".join(step for step in key.split(".") if not step.isdigit())
        problems.add("bad_value", document.place((*path, *steps)), f"{what}{': ' + named if named else ''}: {sentence}")

    return refuse


def _defaults(files: Iterable[File], roles: dict[str, Role], problems: Problems) -> Terms:
    first: Place | None = None
    terms = Terms()
    for document, file, _ in files:
        if file.defaults is None:
            continue
        place = document.place(("defaults",))
        if first is not None:
            problems.add("twice", place, f"defaults are already set at {first}; one file only can set them")
            continue
        first = place
        refuse = _refuser(problems, document, ("defaults",), "defaults")
        terms = read_terms(file.defaults, Terms(), refuse)
        for number, name in enumerate(file.defaults.watchers.by if file.defaults.watchers else ()):
            if name not in roles:
                refuse(f"watchers.by.{number}", f"there is no role '{shown(name)}'{did_you_mean(name, roles)}")
    return terms


def _roles(files: Iterable[File], problems: Problems) -> dict[str, Role]:
    roles: dict[str, Role] = {}
    for document, file, _ in files:
        for name, model in file.roles.items():
            place = document.place(("roles", name))
            if name in roles:
                problems.add("twice", place, f"role '{shown(name)}' is already defined at {roles[name].place}")
            elif not NAME.fullmatch(name):
                problems.add("bad_name", place, f"'{shown(name)}' is not a role name: use a-z, 0-9, '.', '_', '-'")
            else:
                roles[name] = _role(name, model or RoleModel.model_construct(), document, problems)
    return roles


def _role(name: str, model: RoleModel, document: Document, problems: Problems) -> Role:
    users, groups = set(), set()
    for number, member in enumerate(model.members):
        place = document.place(("roles", name, "members", number))
        kind, colon, group = member.partition(":")
        if colon and kind == "group" and 0 < len(group) <= _GROUP and group.isprintable() and group == group.strip():
            groups.add(group)
        elif NAME.fullmatch(member):
            users.add(member)
        else:
            text = f"role {name!r}: '{shown(member)}' is neither a user name nor group:NAME"
            problems.add("bad_name", place, text)
    return Role(name, frozenset(users), frozenset(groups), model.description, document.place(("roles", name)))


@dataclass(slots=True)
class _Known:
    """What every rule is read against. `terms`: equal terms become one value, so thousands are merged at a glance."""

    roles: dict[str, Role]
    defaults: Terms
    problems: Problems
    terms: dict[Terms, Terms] = field(default_factory=dict)


def _rules(files: Iterable[File], known: _Known) -> list[Rule]:
    seen: dict[str, Place] = {}
    rules: list[Rule] = []
    for document, _, models in files:
        for number, model in enumerate(models):
            path: Path = ("rules", number)
            place = document.place((*path, "name"))
            if len(rules) >= MAX_RULES:
                known.problems.add("too_large", place, f"more than {MAX_RULES:,} rules; use labels and globs")
                return rules
            if not NAME.fullmatch(model.name):
                text = f"'{shown(model.name)}' is not a rule name: use a-z, 0-9, '.', '_', '-'"
                known.problems.add("bad_name", place, text)
            elif model.name in seen:
                known.problems.add("twice", place, f"rule {model.name!r} is already defined at {seen[model.name]}")
            else:
                seen[model.name] = place
                rules.append(_rule(model, document, path, known))
    return rules


def _rule(model: RuleModel, document: Document, path: Path, known: _Known) -> Rule:
    refuse = _refuser(known.problems, document, path, f"rule {model.name!r}")
    for key in ("roles", "users", "actions", "endpoints", "logins"):
        if key in model.model_fields_set and getattr(model, key) == []:
            refuse(key, "an empty list fits nobody and nothing; name something, or leave the rule out")
    if not model.roles and not model.users and not model.model_fields_set & {"roles", "users"}:
        refuse("", 'say whom it concerns: roles or users (roles: ["*"] for everybody who is logged in)')
    _names(model, document, path, known)
    actions = frozenset(one for name in model.actions for one in expand(name))
    if model.endpoints is None and any(ACTIONS[name].on_endpoint for name in actions):
        refuse("", 'say on which endpoints (endpoints: ["*"] for all of them)')
    if model.effect == "deny" and model.terms is not None:
        refuse("terms", "a rule that denies starts no session, so it has no terms")
    if model.effect == "deny" and model.approval is not None:
        refuse("approval", "a rule that denies cannot be approved; give the approval to a rule that allows")
    actions = _without_open_tunnels(model, actions, refuse)
    if model.when is not None and model.when.files is not None:
        if not actions <= {"sftp", "scp"}:
            refuse("when.files", "conditions on files fit the actions sftp and scp only; make a rule of its own for these")
        if model.effect == "deny" and model.when.files.size is not None:
            refuse("when.files.size", "how large a file becomes is known too late to deny it; give the size to the rule that allows")
    selectors = _read(read_selector, model.endpoints, "endpoints", refuse)
    logins = _read(read_login, model.logins, "logins", refuse)
    terms = read_terms(model.terms, known.defaults, lambda key, said: refuse(f"terms.{key}", said))
    return Rule(
        name=model.name,
        allows=model.effect == "allow",
        roles=frozenset({EVERYBODY}) if EVERYBODY in model.roles else frozenset(model.roles),
        users=frozenset(model.users),
        actions=actions,
        selectors=selectors,
        everywhere=model.endpoints is None or any(selector.everything for selector in selectors),
        logins=() if any(login.text == "*" for login in logins) else logins,
        checks=read_checks(model.when, lambda key, said: refuse(f"when.{key}", said)),
        terms=known.terms.setdefault(terms, terms),
        approval=read_approval(model.approval, model.name, lambda key, said: refuse(f"approval.{key}", said)),
        description=model.description,
        place=document.place(path),
    )


def _without_open_tunnels(model: RuleModel, actions: frozenset[str], refuse: Callable[[str, str], None]) -> frozenset[str]:
    """Return the actions without `forward`, where an allow says nothing of where to: `*` never opens all of a network."""
    to = model.when.to if model.when is not None else None
    if to is not None and actions != {_FORWARD}:
        refuse("when.to", "where tunnels may go fits the action forward only; make a rule of its own for it")
    if model.effect == "allow" and to is None and _FORWARD in actions:
        if _FORWARD in model.actions:
            refuse("when.to", 'say where tunnels may go, like ["db01:5432"]')
        return actions - {_FORWARD}
    return actions


def _read(
    read: Callable[[str, Callable[[str], None]], T | None], texts: list[str] | None, key: str, refuse: Callable[[str, str], None]
) -> tuple[T, ...]:
    """Return the entries of a list as `read` reads them, without those it refused."""
    found = [read(text, partial(refuse, f"{key}.{number}")) for number, text in enumerate(texts or ())]
    return tuple(entry for entry in found if entry is not None)


def _names(model: RuleModel, document: Document, path: Path, known: _Known) -> None:
    """Note every role, user and action of a rule that does not exist, with what may have been meant."""
    what, roles, problems = f"rule {model.name!r}", known.roles, known.problems
    for steps, name in _role_names(model):
        if name not in roles:
            place = document.place((*path, *steps))
            problems.add("unknown_role", place, f"{what}: there is no role '{shown(name)}'{did_you_mean(name, roles)}")
    for number, name in enumerate(model.users):
        if not NAME.fullmatch(name):
            place = document.place((*path, "users", number))
            problems.add("bad_name", place, f"{what}: '{shown(name)}' is not a user name")
    for number, name in enumerate(model.actions):
        if not expand(name):
            place = document.place((*path, "actions", number))
            near = did_you_mean(name, [*ACTIONS, *FAMILIES])
            problems.add("unknown_action", place, f"{what}: there is no action '{shown(name)}'{near}")


def _role_names(model: RuleModel) -> Iterator[tuple[Path, str]]:
    """Yield every role a rule names, with where it does."""
    yield from ((("roles", number), name) for number, name in enumerate(model.roles) if name != EVERYBODY)
    if model.when is not None:
        yield from ((("when", "owner_roles", number), name) for number, name in enumerate(model.when.owner_roles or ()))
    if model.terms is not None and model.terms.watchers is not None:
        yield from ((("terms", "watchers", "by", number), name) for number, name in enumerate(model.terms.watchers.by))
    if model.approval is not None:
        yield from ((("approval", "by", number), name) for number, name in enumerate(model.approval.by))
        for at, level in enumerate(model.approval.levels or ()):
            yield from ((("approval", "levels", at, "by", number), name) for number, name in enumerate(level.by))
