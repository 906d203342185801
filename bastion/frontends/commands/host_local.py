"""The host's offline commands: init, serve, migrate, policy check|explain|test, verify FILE, completion.

Never needs a running server.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bastion.core.errors import Invalid, Misconfigured
from bastion.frontends.commands.host import Local, Program, refuse_root, run_async, this_caller
from bastion.frontends.commands.verbs import Shown, help_flag

if TYPE_CHECKING:
    from collections.abc import Callable

    from bastion.settings import Settings

_POLICY: Final = ("check", "explain", "test")
_DENIED: Final = 77
_EVERYWHERE: Final = "Every command takes --help. In front of it: --home DIR (or BASTION_HOME)."


class _Offline(click.Command):
    """A command of the host alone; invoking gives a `Local`."""

    def __init__(self, name: str, work: Callable[..., int], examples: tuple[str, ...], **more: Any) -> None:
        super().__init__(name, add_help_option=False, **more)
        self.work = work
        self.examples = examples
        self.params.append(help_flag())

    def invoke(self, ctx: click.Context) -> Local:
        """Return the understood call."""
        return Local(self.work, dict(ctx.params))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


_HOME: Final = click.Option(["--home", "inner_home"], type=click.Path(path_type=Path), metavar="DIR", help="The home folder.")


def _option(*names: str, **more: Any) -> click.Option:
    return click.Option(list(names), **more)


def _settings(home: Path | None, inner_home: Path | None, **options: object) -> Any:
    from bastion.settings import load_settings  # noqa: PLC0415 - pydantic takes 0.1 s, which help should not

    return load_settings(inner_home or home, {name.replace("__", "."): value for name, value in options.items()})


def _init(program: Program, home: Path | None, inner_home: Path | None, admin: str | None, keys: tuple[str, ...], demo: bool) -> int:  # noqa: FBT001
    """Make a home: settings, database, keys, policies, first admin. Overwrites nothing; run it again at will."""
    from bastion.services.setup import Report  # noqa: PLC0415

    settings = _settings(home, inner_home)
    if bool(admin) != bool(keys):
        raise Invalid("usage.admin", "--admin NAME and --key FILE belong together.")
    lines = [line for one in keys for line in _key_lines(program, one)]
    report = Report()

    async def work() -> int:
        who = (admin, lines) if admin else None
        await program.load().initialise(settings, report, admin=who, demo=this_caller() if demo else None)
        return 0

    run_async(work())
    for line in report.lines or ["Nothing was missing."]:
        program.say(line)
    if report.login:
        identity = f"-i {report.identity} " if report.identity else ""
        program.say(f"log in: ssh {identity}-p {settings.ssh.port} {report.login}@{settings.ssh.host}")
    return 0


def _key_lines(program: Program, name: str) -> list[str]:
    text = program.stdin.read(65536).decode(errors="replace") if name == "-" else read_text(name)
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def read_text(name: str, limit: int = 65536) -> str:
    """Read a small file the operator named, at most `limit` bytes. Raises `Invalid` when it cannot be read."""
    try:
        with Path(name).open("rb") as file:
            return file.read(limit).decode(errors="replace")
    except OSError as error:
        raise Invalid("file.unreadable", f"{name}: {error.strerror}.") from None


def _serve(program: Program, home: Path | None, inner_home: Path | None, **options: object) -> int:
    """Listen for people; prints one line 'ready ssh=HOST:PORT web=URL' when it does."""
    settings = _settings(home, inner_home, **options)
    refuse_root(settings, program.warn, os.geteuid())

    def ready(line: str) -> None:
        program.say(line)
        program.warn(_how_to_log_in(settings, line))

    async def work() -> int:
        return await program.load().serve(settings, ready)

    return run_async(work())


def _how_to_log_in(settings: Settings, ready: str) -> str:
    """Return, for people, the line to type now and the fingerprint that ssh will ask about."""
    from bastion.services.people import read_public_key  # noqa: PLC0415
    from bastion.services.setup import DEMO_KEY, HOST_KEY, demo_name  # noqa: PLC0415

    host, _, port = ready.split()[1].removeprefix("ssh=").rpartition(":")
    key = settings.path(DEMO_KEY)
    who = demo_name(this_caller().name) if settings.path("demo").is_dir() else "YOUR-NAME"
    identity = f"-i {shlex.quote(str(key))} " if key.exists() else ""
    lines = [f"log in:   ssh {identity}-p {port} {who}@{host.strip('[]')}"]
    public = settings.path(f"{HOST_KEY}.pub")
    if public.exists():
        lines.append(f"host key: {read_public_key(public.read_text()).fingerprint} (ssh shows it the first time)")
    return "\n".join(lines)


def _migrate(program: Program, home: Path | None, inner_home: Path | None) -> int:
    """Bring the database to this version; serve does the same at its start."""
    settings = _settings(home, inner_home)

    async def work() -> int:
        program.say(await program.load().migrate(settings))
        return 0

    return run_async(work())


def _policy_check(program: Program, home: Path | None, inner_home: Path | None, folder: Path | None) -> int:
    """Check policy files: DIR, or those of the home folder."""
    where = folder or _settings(home, inner_home).policies
    try:
        warnings = program.load().check_policies(where)
    except Misconfigured as error:
        raise Misconfigured(error.code, error.detail or error.public) from error
    for warning in warnings:
        program.warn(f"warning: {warning}")
    program.say(f"The policy files in {where} are good.")
    return 0


def _policy_test(program: Program, home: Path | None, inner_home: Path | None, folder: Path | None) -> int:
    """Run the cases kept beside the policy files; exit code 78 where one fails."""
    where = folder or _settings(home, inner_home).policies
    failed = program.load().test_policies(where)
    if failed:
        raise Misconfigured("policy.test", "\n".join(failed))
    program.say(f"Every case in {where} holds.")
    return 0


def _policy_explain(
    program: Program,
    home: Path | None,
    inner_home: Path | None,
    name: str,
    where: str | None,
    action: str,
    at_text: str | None,
    source: str,
    as_json: bool,  # noqa: FBT001
) -> int:
    """Show a decision with every rule that was considered, as files and database have it; exit code 77 where it is no."""
    from bastion.frontends.commands.output import as_json as to_json  # noqa: PLC0415
    from bastion.frontends.commands.policies import decision_row, explained, known_action, read_time  # noqa: PLC0415

    known_action(action)
    settings = _settings(home, inner_home)

    async def work() -> int:
        wanted = read_time(at_text) if at_text else None
        decision, at = await program.load().explain(settings, name, where, action, wanted, source)
        if as_json:
            program.say(to_json(decision_row(decision, name, where or "", action, at)))
        else:
            program.say(explained(decision, name, where or "", action))
        return 0 if decision.allowed else _DENIED

    return run_async(work())


def _verify(program: Program, home: Path | None, inner_home: Path | None, path: Path, key: Path | None) -> int:  # noqa: ARG001
    """Check a recording's file or an evidence pack, without a server; with --key against its seals: exit code 65 names the first bad line."""
    program.say(program.load().verify_file(path, key))
    return 0


def _version(program: Program, home: Path | None, inner_home: Path | None) -> int:  # noqa: ARG001
    """Show this program's version."""
    program.say(f"bastion {own_version()}")
    return 0


def _completion(program: Program, home: Path | None, inner_home: Path | None, shell: str) -> int:  # noqa: ARG001
    """Print what makes bash, zsh or fish complete this program's commands."""
    from click.shell_completion import get_completion_class  # noqa: PLC0415

    made = get_completion_class(shell)
    if made is None:
        raise Invalid("usage.shell", "bash, zsh or fish.")
    program.say(made(everything(), {}, "bastion", "_BASTION_COMPLETE").source())
    return 0


def own_version() -> str:
    """Return the installed version, or the checkout's mark."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("bastion")
    except PackageNotFoundError:
        return "0+checkout"


def _commands() -> dict[str, click.Command]:
    port = click.IntRange(0, 65535)
    folder = click.Argument(["folder"], required=False, type=click.Path(path_type=Path), metavar="[DIR]")
    explain = [
        _option("--user", "name", required=True, metavar="NAME", help="For whom."),
        _option("--endpoint", "where", metavar="NAME", help="On what."),
        _option("--action", required=True, metavar="ACTION", help="To do what: connect, exec, join, ..."),
        _option("--at", "at_text", metavar="TIME", help="At another time than now (RFC 3339)."),
        _option("--from", "source", default="", metavar="ADDRESS", help="Coming from there."),
        _option("--json", "as_json", is_flag=True, help="Print JSON for programs."),
    ]
    policy = click.Group("policy", add_help_option=False, params=[help_flag()], help="Who may do what: the policy files.")
    policy.add_command(
        _Offline(
            "check",
            _policy_check,
            ("bastion policy check", "bastion policy check policies/"),
            params=[folder, _HOME],
            help=_policy_check.__doc__,
        )
    )
    policy.add_command(_Offline("test", _policy_test, ("bastion policy test",), params=[folder, _HOME], help=_policy_test.__doc__))
    example = "bastion policy explain --user bob --endpoint web01 --action connect"
    policy.add_command(_Offline("explain", _policy_explain, (example,), params=[*explain, _HOME], help=_policy_explain.__doc__))
    init = [
        _option("--admin", metavar="NAME", help="The first admin's name."),
        _option("--key", "keys", multiple=True, metavar="FILE|-", help="The first admin's public key; - reads standard input."),
        _option("--demo", is_flag=True, help="You as a user with your own keys, and an endpoint that needs no other machine."),
    ]
    serve = [
        _option("--ssh-host", "ssh__host", metavar="ADDRESS", help="Where SSH listens."),
        _option("--ssh-port", "ssh__port", type=port, metavar="N", help="Its port; 0 picks a free one."),
        _option("--web-host", "web__host", metavar="ADDRESS", help="Where the web listens."),
        _option("--web-port", "web__port", type=port, metavar="N", help="Its port; 0 picks a free one."),
    ]
    shells = click.Argument(["shell"], type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
    key = _option(
        "--key", "key", type=click.Path(path_type=Path, exists=True), metavar="PUB", help="The public key that its seals were made with."
    )
    path = click.Argument(["path"], type=click.Path(path_type=Path), metavar="FILE")
    offline = [
        _Offline(
            "init",
            _init,
            ("bastion init --demo", "bastion init --admin alice --key ~/.ssh/id_ed25519.pub"),
            params=[*init, _HOME],
            help=_init.__doc__,
        ),
        _Offline("serve", _serve, ("bastion serve", "bastion serve --ssh-port 0"), params=[*serve, _HOME], help=_serve.__doc__),
        _Offline("migrate", _migrate, ("bastion migrate",), params=[_HOME], help=_migrate.__doc__),
        _Offline(
            "verify",
            _verify,
            (
                "bastion verify session.cast",
                "bastion verify session.cast --key audit.key.pub",
                "bastion verify pack.zip --key audit.key.pub",
            ),
            params=[path, key, _HOME],
            help=_verify.__doc__,
        ),
        _Offline("version", _version, ("bastion version",), params=[_HOME], help=_version.__doc__),
        _Offline("completion", _completion, ('eval "$(bastion completion bash)"',), params=[shells, _HOME], help=_completion.__doc__),
    ]
    return {**{str(one.name): one for one in offline}, "policy": policy}


def is_local(words: list[str]) -> bool:
    """Return whether these words name a command that needs no server."""
    match words:
        case ["init" | "serve" | "migrate" | "version" | "completion", *_]:
            return True
        case ["policy", verb, *_]:
            return verb in _POLICY
        case ["verify", what, *_]:
            return what.startswith("-") or Path(what).exists()
        case _:
            return False


def parse_local(words: list[str]) -> Local:
    """Understand an offline command. Raises `Shown` or `click.UsageError`."""
    command: click.Command = click.Group("bastion", commands=_commands(), add_help_option=False)
    with command.make_context("bastion", words) as context:
        call = command.invoke(context)
    if not isinstance(call, Local):
        raise TypeError("a command gave no call")
    return call


def overview() -> str:
    """Return the help of the whole program: offline commands, and those of the running server."""
    local = click.Group("bastion", commands=_commands(), add_help_option=False)
    context = click.Context(everything(), info_name="bastion", terminal_width=80)
    formatter = context.make_formatter()
    formatter.write_usage("bastion", "[--home DIR] COMMAND [ARGS]...")
    formatter.write_paragraph()
    formatter.write_text("The bastion on its own host. Commands on live things reach the running server.")
    for title, commands in (("Without a server", local.commands), ("At the running server", _server_commands())):
        with formatter.section(title):
            formatter.write_dl([(name, one.get_short_help_str(60)) for name, one in sorted(commands.items())])
    formatter.write_paragraph()
    formatter.write_text(_EVERYWHERE)
    return formatter.getvalue().rstrip("\n")


def _server_commands() -> dict[str, click.Command]:
    from bastion.frontends.commands.tree import root  # noqa: PLC0415

    return dict(root.commands)


def everything() -> click.Group:
    """Return all commands in one group, for completion."""
    local = _commands()
    group = click.Group("bastion", commands={**_server_commands(), **local}, add_help_option=False)
    remote_policy = _server_commands().get("policy")
    policy = local["policy"]
    if isinstance(remote_policy, click.Group) and isinstance(policy, click.Group):
        policy.commands = {**remote_policy.commands, **policy.commands}
    return group


__all__ = ["Shown", "everything", "is_local", "overview", "own_version", "parse_local", "read_text"]
