"""The click classes of the tree: a `Verb` declares the action it needs, a `Noun` groups verbs.

Parsing touches nothing: no stream, no file, no environment, no policy. `parse` gives a `Call`, and
only the gate runs one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

import click

from bastion.core.text import safe_text

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from bastion.frontends.commands.door import Door

SELF: Final = "self"
"""The action of commands that concern only the person who runs them; every proven identity may."""

_ECHOED: Final = 80  # longest piece of a wrong word that is shown back

Callback = Callable[..., Awaitable[int | None]]


class Shown(Exception):
    """A text was asked for instead of a command."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


@dataclass(frozen=True, slots=True)
class Call:
    """A command line that was understood, not yet allowed, not yet run."""

    verb: Verb
    params: dict[str, Any]
    path: str

    async def run(self, door: Door) -> int:
        """Run the verb's callback; None counts as 0."""
        return await self.verb.work(door, **self.params) or 0


def _show_help(context: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it so
    if value and not context.resilient_parsing:
        raise Shown(context.get_help())


def help_flag() -> click.Option:
    """Return a `--help` that raises `Shown` instead of printing to the server's own stdout."""
    return click.Option(["--help"], is_flag=True, is_eager=True, expose_value=False, callback=_show_help, help="Show this text.")


class Verb(click.Command):
    """One command. `action` is what policy decides on; `asks` says who asks it.

    `asks="gate"`: the gate, before the callback runs. `asks="service"`: the service called, because the
    decision needs the endpoint or the session (connect, join, kill); nothing happens before it.
    """

    def __init__(self, name: str, *, action: str, asks: str, work: Callback, examples: Sequence[str] = (), **more: Any) -> None:
        super().__init__(name, add_help_option=False, **more)
        self.action = action
        self.asks = asks
        self.work = work
        self.examples = tuple(examples)
        self.params.append(help_flag())

    def invoke(self, ctx: click.Context) -> Call:
        """Return the understood call; nothing runs while click holds the stack."""
        return Call(self, dict(ctx.params), ctx.command_path.rstrip())

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the usage; a noun's own verb has no word of its own."""
        formatter.write_usage(ctx.command_path.rstrip(), " ".join(self.collect_usage_pieces(ctx)))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        if self.examples:
            with formatter.section("Examples"):
                for example in self.examples:
                    formatter.write(f"{'':>{formatter.current_indent}}ssh bastion {example}\n")


class Noun(click.Group):
    """A group of verbs. A verb with the noun's own name runs where none is given: `recordings` lists, `recordings delete ID` deletes."""

    def __init__(self, name: str, **more: Any) -> None:
        super().__init__(name, add_help_option=False, **more)
        self.params.append(help_flag())

    @property
    def own(self) -> Verb | None:
        """Return the verb that runs where none is given."""
        found = self.commands.get(self.name or "")
        return found if isinstance(found, Verb) else None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs' names; the noun's own has none."""
        return [name for name in super().list_commands(ctx) if self.own is None or name != self.name]

    def get_help(self, ctx: click.Context) -> str:
        """Return the help: of the noun's own verb, then the other verbs."""
        if self.own is None:
            return super().get_help(ctx)
        formatter = ctx.make_formatter()
        inner = click.Context(self.own, info_name="", parent=ctx)
        self.own.format_usage(inner, formatter)
        self.own.format_help_text(inner, formatter)
        self.own.format_options(inner, formatter)
        self.format_commands(ctx, formatter)
        self.own.format_epilog(inner, formatter)
        return formatter.getvalue().rstrip("\n")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the verbs, and what the noun's own verb takes."""
        found = super().shell_complete(ctx, incomplete)
        if self.own is not None:
            found += [one for one in self.own.shell_complete(ctx, incomplete) if one.value not in {each.value for each in found}]
        return found

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Show the verbs where none is given."""
        if self.own is not None and args != ["--help"] and (args[0].startswith("-") if args else not ctx.resilient_parsing):
            return super().parse_args(ctx, [str(self.name), *args])
        if not args and not ctx.resilient_parsing:
            raise Shown(ctx.get_help())
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or say which one was perhaps meant."""
        name = args[0]
        if self.own is not None and name == self.name:
            return "", self.own, args[1:]
        if self.get_command(ctx, name) is None and not ctx.resilient_parsing and not name.startswith("-"):
            near = get_close_matches(name[:_ECHOED], self.commands, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"There is no command '{safe_text(name, _ECHOED)}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def verb(
        self,
        name: str,
        *,
        action: str,
        asks: str = "gate",
        examples: Sequence[str] = (),
        hidden: bool = False,
        more_options: bool = False,
    ) -> Callable[[Callback], Verb]:
        """Declare a verb of this noun; options and arguments are click's own decorators below it.

        `more_options`: what looks like an option and is none of the verb's is an argument (`-x` of a tag).
        """
        if not action or asks not in {"gate", "service"}:
            raise TypeError(f"command {name!r} declares no action or nobody who asks for it")

        def declare(work: Callback) -> Verb:
            params = list(reversed(getattr(work, "__click_params__", [])))
            made = Verb(name, action=action, asks=asks, work=work, examples=examples, params=params, help=work.__doc__, hidden=hidden)
            made.context_settings = {"ignore_unknown_options": more_options}
            made.short_help = (work.__doc__ or "").strip().splitlines()[0].partition(". ")[0].partition("; ")[0].rstrip(".") + "."
            self.add_command(made)
            return made

        return declare


class Named(click.ParamType[str]):
    """A name or id of something the bastion knows (`endpoint`, `user`, `session`); completes from what is known."""

    def __init__(self, kind: str) -> None:
        self.name = kind

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:  # noqa: ARG002
        """Return the known names that start so. `ctx.obj` holds them by kind in the admin shell."""
        from click.shell_completion import CompletionItem  # noqa: PLC0415 - only completion needs it

        known = ctx.find_root().obj
        names = known.get(self.name, ()) if isinstance(known, dict) else ()
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def parse(root: Noun, words: list[str], *, width: int = 80, program: str = "bastion") -> Call:
    """Understand a command line. Raises `Shown` for help and `click.UsageError` for nonsense."""
    with root.make_context(program, list(words), terminal_width=max(40, min(width, 100))) as context:
        call = root.invoke(context)
    if not isinstance(call, Call):  # a group without a verb always raises before
        raise TypeError("a command gave no call")
    return call


def json_option(work: Callback) -> Callback:
    """Add `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")(work)


def yes_option(work: Callback) -> Callback:
    """Add `--yes`."""
    return click.option("--yes", is_flag=True, help="Do not ask; for scripts.")(work)


SESSION: Final = Named("session")
RECORDING: Final = Named("recording")
TAG: Final = Named("tag")
ENDPOINT: Final = Named("endpoint")
USER: Final = Named("user")
