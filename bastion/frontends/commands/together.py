"""`invite`, `kick`, `request-control`, `give`, `take`, `message`: people in one session, from beside it.

Never decides who may; the services ask policy and the session.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bastion.core.access.durations import parse_duration, show_duration
from bastion.core.errors import Denied, Invalid
from bastion.frontends.commands.verbs import SESSION, USER, Noun

if TYPE_CHECKING:
    from bastion.frontends.commands.door import Door


def seconds_of(text: str) -> float:
    """Return a length of time as people type it. Raises `Invalid`."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise Invalid("duration.invalid", f"{error}.") from None


def fill(root: Noun) -> None:
    """Put the verbs into the tree."""

    @root.verb(
        "invite",
        action="join",
        asks="service",
        examples=[
            "invite 4f2a bob --as controller --for 30m",
            "invite 4f2a bob --withdraw",
            "invite 4f2a --guest 'Ada Lovelace' --company Acme --purpose 'calibrate the press' --for 30m",
        ],
    )
    @click.argument("session", type=SESSION, metavar="ID")
    @click.argument("user", type=USER, required=False, default="", metavar="[USER]")
    @click.option(
        "--as", "role", type=click.Choice(["viewer", "controller"]), default="viewer", show_default=True, help="What to be there."
    )
    @click.option("--for", "span", default="30m", show_default=True, metavar="TIME", help="How long the invitation holds.")
    @click.option("--withdraw", is_flag=True, help="Take the invitation back; who came by it goes.")
    @click.option("--guest", default="", metavar="NAME", help="Somebody without an account: makes a code that works once.")
    @click.option("--company", default="", metavar="TEXT", help="Whom the guest works for.")
    @click.option("--purpose", default="", metavar="TEXT", help="What the guest comes for.")
    async def invite(
        door: Door,
        session: str,
        user: str,
        role: str,
        span: str,
        withdraw: bool,  # noqa: FBT001
        guest: str,
        company: str,
        purpose: str,
    ) -> None:
        """Ask somebody into a running session, or take that back; owner and moderators may."""
        if bool(user) == bool(guest):
            raise Invalid("invite.whom", "Say whom: invite ID USER, or invite ID --guest NAME --company C --purpose P.")
        desk = door.desk
        if withdraw:
            gone = await (desk.guests if guest else desk.invitations).withdraw(door.identity, session, guest or user)
            door.warn(f"{gone} is no longer invited.")
            return
        seconds = seconds_of(span)
        if guest:
            code = await desk.guests.issue(door.identity, session, guest, company, purpose, role, seconds)
            door.say(f"guest-{code}")
            door.warn(
                f"That is the name to log in with, once, in the next {show_duration(seconds)}, with any key: ssh guest-...@this-bastion"
            )
            return
        await desk.invitations.invite(door.identity, session, user, role, seconds)
        door.warn(f"{user} is invited as {role} for {show_duration(seconds)}.")

    @root.verb("kick", action="join", asks="service", examples=["kick 4f2a bob", "kick 4f2a bob --reason 'thank you, we are done'"])
    @click.argument("session", type=SESSION, metavar="ID")
    @click.argument("user", type=USER, metavar="USER")
    @click.option("--reason", default="", metavar="TEXT", help="Shown to them, and audited.")
    async def kick(door: Door, session: str, user: str, reason: str) -> None:
        """Send somebody out of a session for good; owner and moderators may."""
        await door.desk.invitations.kick(door.identity, session, user, reason)
        door.warn(f"{user} was sent out.")

    @root.verb("request-control", action="control", asks="service", examples=["request-control 4f2a"])
    @click.argument("session", type=SESSION, metavar="ID")
    async def request_control(door: Door, session: str) -> None:
        """Ask for the keyboard of a session that you are in."""
        door.warn(await door.desk.control.request_control(door.identity, session))

    @root.verb("give", action="control", asks="service", examples=["give 4f2a bob"])
    @click.argument("session", type=SESSION, metavar="ID")
    @click.argument("user", type=USER, metavar="USER")
    async def give(door: Door, session: str, user: str) -> None:
        """Give the keyboard to somebody who is in the session."""
        door.warn(await door.desk.control.give(door.identity, session, user))

    @root.verb("take", action="control", asks="service", examples=["take 4f2a", "take 4f2a --reason 'let me show you'"])
    @click.argument("session", type=SESSION, metavar="ID")
    @click.option("--reason", default="", metavar="TEXT", help="Shown to whom it is taken from.")
    async def take(door: Door, session: str, reason: str) -> None:
        """Take the keyboard: back as the owner, or over as a moderator."""
        door.warn(await door.desk.control.take(door.identity, session, reason))

    @root.verb("message", action="join", asks="service", examples=["message 4f2a 'look at line 12'", "message --all 'restart at 18:00'"])
    @click.option("--all", "everywhere", is_flag=True, help="To every session (admins of nodes).")
    @click.argument("words", nargs=-1, required=True, metavar="[ID] TEXT")
    async def message(door: Door, everywhere: bool, words: tuple[str, ...]) -> None:  # noqa: FBT001
        """Say something to everybody in a session, out of band; it is audited and marked in the recording."""
        if everywhere:
            decision = door.desk.policies.decide(door.identity, "admin.node")
            if not decision.allowed:
                raise Denied("access.denied", f"message --all: {decision.reason}", decision.rule)
            count = await door.desk.control.broadcast(door.identity, " ".join(words))
            door.warn(f"Told {count} sessions.")
            return
        session, *text = words
        await door.desk.control.message(door.identity, session, " ".join(text))
        door.warn("Told everybody in it.")
