"""A decision in lines for people. Never decides, never hides a rule that was looked at."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from bastion.core.access.decision import Considered, Decision, Verdict
from bastion.core.access.hours import show_instant
from bastion.core.access.source import shown
from bastion.core.access.terms import show_terms

_WORDS = {Verdict.ALLOW: "allowed", Verdict.DENY: "denied", Verdict.NEEDS_APPROVAL: "needs approval"}


def explain(decision: Decision) -> list[str]:
    """Return the answer, its reason, its terms, and each rule with what it wanted and what it got."""
    lines = [f"{_WORDS[decision.verdict]}: {decision.reason}"]
    if decision.verdict is not Verdict.DENY:
        lines.append("terms: " + "; ".join(show_terms(decision.terms)))
        if len(decision.granted_by) > 1:
            lines.append("granted by: " + ", ".join(decision.granted_by) + " (the strictest of their terms count)")
    if decision.valid_until is not None:
        lines.append(f"until {show_instant(decision.valid_until, ZoneInfo('UTC'))}, by time alone")
    lines.append("rules considered:" if decision.considered else "rules considered: none is about this action")
    for rule in decision.considered:
        lines.extend(_rule(rule))
    if decision.considered and decision.omitted:
        lines.append(f"  and {decision.omitted} more that do not apply")
    return lines


def _rule(rule: Considered) -> list[str]:
    head = f"  {rule.rule} ({rule.effect}, {rule.source}): "
    if rule.applies:
        return [head + "applies"]
    failed = [condition for condition in rule.conditions if not condition.holds]
    return [
        head + "does not apply",
        *(f"    {failure.name}: wanted {failure.wanted}, got {shown(failure.got)}" for failure in failed),
    ]
