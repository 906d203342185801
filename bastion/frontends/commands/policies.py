"""`policy check|explain|show|reload`: the rules in force, seen and renewed.

Never evaluates a rule itself.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from bastion.core.access.actions import ACTIONS
from bastion.core.access.source import did_you_mean
from bastion.core.errors import Invalid, Misconfigured
from bastion.core.identity import Identity
from bastion.core.text import safe_text
from bastion.frontends.commands.output import Row, cell, rfc3339, sentence
from bastion.frontends.commands.output import as_json as to_json
from bastion.frontends.commands.verbs import ENDPOINT, USER, Noun, json_option

if TYPE_CHECKING:
    from bastion.core.access.decision import Decision
    from bastion.frontends.commands.door import Door

ACTION = "admin.policy"
_DENIED = 77


def read_time(text: str) -> float:
    """Read an RFC 3339 time; without a zone it is UTC. Returns seconds since the epoch. Raises `Invalid`."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid("time.invalid", f"'{safe_text(text, 40)}' is not a time: 2026-03-31T08:00Z is one.") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def known_action(text: str) -> str:
    """Return the action, or raise `Invalid` naming the nearest one."""
    if text not in ACTIONS:
        raise Invalid("action.unknown", f"There is no action '{safe_text(text, 64)}'{did_you_mean(text, ACTIONS)}")
    return text


def decision_row(decision: Decision, user: str, endpoint: str, action: str, at: float) -> Row:
    """Return a decision with everything that was considered."""
    return {
        "name": action,
        "user": user,
        "endpoint": endpoint or None,
        "at": rfc3339(at),
        "verdict": decision.verdict.value,
        "rule": decision.rule,
        "reason": decision.reason,
        "considered": [
            {
                "rule": one.rule,
                "effect": one.effect,
                "applies": one.applies,
                "source": one.source,
                "conditions": [{"name": c.name, "wanted": c.wanted, "got": c.got, "holds": c.holds} for c in one.conditions],
            }
            for one in decision.considered
        ],
    }


def explained(decision: Decision, user: str, endpoint: str, action: str) -> str:
    """Return a decision for people: every rule that was looked at, with what each condition wanted and got."""
    where = f" on {endpoint}" if endpoint else ""
    lines = [f"{decision.verdict.value}: {user}, {action}{where}", f"because {decision.reason}", ""]
    for one in decision.considered:
        lines.append(f"{'applies' if one.applies else 'no match'}  {one.effect:<6} {one.rule}  {one.source}".rstrip())
        lines += [f"    {'ok' if c.holds else 'no'}  {c.name}: wants {cell(c.wanted)}, is {cell(c.got)}" for c in one.conditions]
    if not decision.considered:
        lines.append("No rule was looked at: what no rule allows is denied.")
    return sentence("\n".join(lines))


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""
    policy = Noun("policy", help="Who may do what: the rules in force.")
    root.add_command(policy)

    @policy.verb("check", action=ACTION, examples=["policy check"])
    async def check(door: Door) -> None:
        """Read the policy files again without using them, and say what is wrong with them."""
        try:
            warnings = await door.desk.policies.check()
        except Misconfigured as error:
            raise Misconfigured(error.code, error.detail or error.public) from error
        for warning in warnings:
            door.warn(f"warning: {warning}")
        door.say("The policy files are good.")

    @policy.verb(
        "explain",
        action=ACTION,
        examples=[
            "policy explain --user bob --endpoint web01 --action connect",
            "policy explain --user bob --action join --at 2026-03-31T08:00Z",
        ],
    )
    @click.option("--user", "name", type=USER, required=True, metavar="NAME", help="For whom.")
    @click.option("--endpoint", "where", type=ENDPOINT, metavar="NAME", help="On what.")
    @click.option("--action", required=True, metavar="ACTION", help="To do what: connect, exec, join, ...")
    @click.option("--at", "at_text", metavar="TIME", help="At another time than now (RFC 3339).")
    @click.option("--from", "source", default="", metavar="ADDRESS", help="Coming from there.")
    @json_option
    async def explain(door: Door, name: str, where: str | None, action: str, at_text: str | None, source: str, as_json: bool) -> int:  # noqa: FBT001
        """Show the decision with every rule that was considered; exit code 77 where it is no."""
        known_action(action)
        user = await door.desk.people.get(name)
        endpoint = await door.desk.inventory.get(where) if where else None
        at = read_time(at_text) if at_text else door.desk.clock.now()
        asked = Identity(user.id, user.name, user.roles, source, (), full_name=user.full_name)
        decision = door.desk.policies.decide(asked, action, endpoint, at=at)
        if as_json:
            door.say(to_json(decision_row(decision, user.name, where or "", action, at)))
        else:
            door.say(explained(decision, user.name, where or "", action))
        return 0 if decision.allowed else _DENIED

    @policy.verb("show", action=ACTION, examples=["policy show", "policy show --json"])
    @json_option
    async def show(door: Door, as_json: bool) -> None:  # noqa: FBT001
        """List the rules in force, in the order in which they are looked at."""
        rows = [dict(row) for row in door.desk.policies.describe()]
        heads = list(rows[0]) if rows else ["name"]
        await door.listing(heads, rows, as_json_list=as_json, empty="There is no rule: everything is denied.")

    @policy.verb("reload", action=ACTION, examples=["policy reload"])
    async def reload(door: Door) -> None:
        """Use the policy files as they are now; a bad file changes nothing, and is named."""
        report = await door.desk.policies.reload()
        if report.refused is not None:
            raise Misconfigured(report.refused.code, report.refused.detail or report.refused.public)
        for warning in report.warnings:
            door.warn(f"warning: {warning}")
        door.warn("The policy is in force as the files have it." if report.changed else "The files mean what was in force already.")
