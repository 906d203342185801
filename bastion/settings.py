"""The process's configuration: `bastion.toml`, BASTION_* variables and options, read once, frozen.

Never holds a secret, and never a rule about people (that is policy).
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bastion.core.errors import Misconfigured
from bastion.core.recording import retention
from bastion.core.session.chord import parse_chord
from bastion.core.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE: Final = "bastion.toml"
_PREFIX: Final = "BASTION_"
_NOT_SETTINGS: Final = frozenset({"BASTION_HOME", "BASTION_FUZZ", "BASTION_COMPLETE", "_BASTION_COMPLETE"})
_CHECKOUT: Final = Path(__file__).resolve().parent.parent

Port = Annotated[int, Field(ge=0, le=65535)]
Count = Annotated[int, Field(ge=1, le=10_000_000)]
Seconds = Annotated[float, Field(gt=0, le=10 * 365 * 86400)]


class _Section(BaseModel):
    """A table of the file: frozen, and unknown keys are mistakes."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Ssh(_Section):
    """Where SSH listens. Loopback until an operator says otherwise."""

    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: Port = Field(default=2222, description="Port; 0 picks a free one.")
    name: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9_.-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\]:[0-9]{1,5})?$",
        description="What people call it, HOST or HOST:PORT, for what ssh-config and known-hosts print; where it listens, if empty.",
    )
    version: str = Field(default="Bastion", description="What the server calls itself; no version number, which only helps scanners.")
    proxy_protocol_from: tuple[str, ...] = Field(
        default=(), description="Networks (CIDR) of balancers whose PROXY header is believed; none by default."
    )

    @field_validator("proxy_protocol_from")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _networks(value)


class Web(_Section):
    """Where the web listens. Never needed for SSH work."""

    enabled: bool = Field(default=True, description="Whether it listens at all.")
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: Port = Field(default=8022, description="Port; 0 picks a free one.")


class Paths(_Section):
    """Where things are kept. Relative paths start at the home folder."""

    recordings: Path = Field(default=Path("recordings"), description="The casts.")
    policies: Path = Field(default=Path("policies"), description="The policy's YAML files.")
    database: Path = Field(default=Path("bastion.db"), description="The SQLite database.")


class Limits(_Section):
    """What peers may cost. Names and meanings are those of the SSH floor's own limits; unset ones keep its defaults."""

    unauthenticated: Count = Field(default=100, description="Connections not logged in, all sources: sshd's MaxStartups ends at 100.")
    unauthenticated_per_source: Count = Field(
        default=10, description="The same from one address, so that one host cannot use up the hundred."
    )
    early_drop_from: Count = Field(
        default=50, description="From here on new ones are refused at random: a flood loses most tries, an honest retry gets in."
    )
    connection_rate: Seconds = Field(default=20.0, description="New connections a second and source; more is a DHEat exposure.")
    connection_burst: Count = Field(default=40, description="At once, before the rate counts; Ansible opens its forks together.")
    exempt_networks: tuple[str, ...] = Field(
        default=(), description="Networks (CIDR) that per-source limits do not count: a balancer, a load test."
    )
    login_grace: Seconds = Field(default=60.0, description="Seconds from accept to logged in; 60 is plenty with keys.")
    login_grace_pending: Seconds = Field(default=120.0, description="Seconds while a browser step is pending; single sign-on is slow.")
    login_pending: Count = Field(default=20, description="Connections that may have the longer grace at once.")
    auth_tries: Count = Field(default=6, description="Failed tries a connection, as sshd's MaxAuthTries.")
    penalty_auth_failed: Seconds = Field(default=5.0, description="Seconds added for a failed login, as sshd's PerSourcePenalties.")
    penalty_grace: Seconds = Field(default=10.0, description="Seconds added for a login never finished.")
    penalty_no_auth: Seconds = Field(default=1.0, description="Seconds added for a connection without a try.")
    penalty_min: Seconds = Field(default=15.0, description="Nothing is refused until so much came together: a typo is no attack.")
    penalty_max: Seconds = Field(default=600.0, description="No source is shut out longer: addresses are shared and re-used.")
    channels: Count = Field(default=10, description="Open channels a connection, as sshd's MaxSessions.")
    input_buffer: Count = Field(default=4 * 1024 * 1024, description="Bytes held unparsed on one connection after login.")
    output_buffer: Count = Field(default=8 * 1024 * 1024, description="Bytes unsent on one connection before it is dropped.")
    command_bytes: Count = Field(default=64 * 1024, description="Longest exec line.")
    unused_connection: Seconds = Field(
        default=60.0, description="A logged-in connection without a channel is closed after so many seconds."
    )

    @field_validator("exempt_networks")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return _networks(value)


class SessionLimits(_Section):
    """What sessions may cost. Policy may be stricter, never laxer."""

    per_user: Count = Field(default=20, description="Live sessions a person: beyond that somebody forgot some.")
    per_node: Count = Field(default=500, description="Live sessions of this process; about 120 KB each when idle.")
    participants: Annotated[int, Field(ge=1, le=100)] = Field(default=10, description="People in one session; each costs up to 1 MiB.")
    handback: Seconds = Field(
        default=600.0, description="Seconds that the keyboard rests with somebody else before it goes back to the session's owner."
    )
    holder_size: bool = Field(
        default=True, description="Whether the endpoint takes the window's size of who gets the keyboard; else it keeps the owner's."
    )
    chord: str = Field(default="C-]", description="The key that speaks to the bastion in a session; C-] is free in shells and editors.")
    links: bool = Field(
        default=False,
        description="Whether who looks on, or plays a recording, can click the http(s) links that programs mark (OSC 8). Their text may lie.",
    )
    connect_timeout: Seconds = Field(default=10.0, description="Seconds until an endpoint must be reached; people do not wait longer.")
    login_timeout: Seconds = Field(default=20.0, description="Seconds in all until an endpoint must have let us in.")
    endpoint_keepalive: Seconds = Field(
        default=8.0, description="Seconds of silence before an endpoint is asked whether it lives; after three such times it is lost."
    )
    drain: Seconds = Field(default=10.0, description="Seconds that live sessions get when the server is asked to stop.")

    @field_validator("chord")
    @classmethod
    def _chord(cls, value: str) -> str:
        parse_chord(value)  # its ValueError says what is wrong
        return value


class Forwards(_Section):
    """TCP tunnels. Which there may be is policy; here is only what no rule opens by itself."""

    own_host: bool = Field(
        default=False, description="Whether rules may reach this very host, loopback too: for trying out, not for keeping."
    )


class Recording(_Section):
    """How casts are written."""

    sync_seconds: Annotated[float, Field(gt=0, le=60)] = Field(default=1.0, description="A crash of the machine loses no more than this.")
    largest: Count | Annotated[int, Field(le=2**40)] = Field(
        default=2 * 1024**3, description="Bytes of one cast; a runaway output must not fill the disk."
    )
    compression: Annotated[int, Field(ge=0, le=19)] = Field(
        default=3, description="zstd level that finished casts are packed with; 3 makes them some 12 times smaller, 0 leaves them plain."
    )
    compress_after: Annotated[float, Field(ge=0, le=30 * 86400)] = Field(
        default=60.0, description="Seconds from a session's end until its cast is packed: what is looked at right away stays as it is."
    )
    encrypt_to: tuple[str, ...] = Field(
        default=(),
        description="Public keys (age1... or ssh-ed25519 ...) of auditors: finished casts are encrypted to them, and only they can read them.",
    )
    mask_credentials: bool = Field(
        default=True, description="Blots out the credential that opened the endpoint wherever its session shows it."
    )
    mask: tuple[str, ...] = Field(
        default=(),
        description="Patterns (RE2) of more secrets, such as 'AKIA[0-9A-Z]{16}': blotted out in recordings, not in what people see.",
    )
    search: bool = Field(
        default=True,
        description="Whether what stands on screens is indexed for `search` (never where casts are encrypted); it costs under 5 % of a session's work.",
    )
    free_share: Annotated[float, Field(ge=0, le=0.9)] = Field(
        default=0.05, description="New sessions are refused below this share of free disk."
    )
    free_bytes: Annotated[int, Field(ge=0, le=2**50)] = Field(
        default=1024**3, description="... or below so many free bytes, whichever is more."
    )


class Retention(_Section):
    """How long recordings are kept. The audit log keeps for ever that they were there."""

    rules: tuple[str, ...] = Field(
        default=(),
        description="'env=test 30d', 'endpoint=lab* 7d', 'endpoint=* 365d': the first that fits an endpoint decides; none is for ever.",
    )

    @field_validator("rules")
    @classmethod
    def _rules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        retention.parse(value)
        return value

    two_people: bool = Field(default=False, description="Whether a second person must say the same before a recording is deleted by hand.")


class Audit(_Section):
    """Where the audit log's signed checkpoints are told beside the home: what stands there shows a log that was cut or replaced."""

    checkpoints: str = Field(
        default="", description="One more file for checkpoints, each minute and 1,000 facts; best on another machine's disk."
    )
    syslog: str = Field(default="", description="A syslog for them: 'udp://HOST:514', 'tcp://HOST:514' or '/dev/log'.")


class Settings(_Section):
    """Everything the process is told. `home` is absolute."""

    home: Path
    node: str = Field(default="local", pattern=r"^[a-z0-9][a-z0-9-]{0,62}$", description="This process's name in lists and audit.")
    allow_root: bool = Field(default=False, description="Whether serve may listen beyond loopback as root.")
    log_level: str = Field(default="info", pattern=r"^(debug|info|warning|error)$", description="How much is logged on standard error.")
    ssh: Ssh = Field(default_factory=Ssh)
    web: Web = Field(default_factory=Web)
    paths: Paths = Field(default_factory=Paths)
    limits: Limits = Field(default_factory=Limits)
    sessions: SessionLimits = Field(default_factory=SessionLimits)
    forwards: Forwards = Field(default_factory=Forwards)
    recording: Recording = Field(default_factory=Recording)
    retention: Retention = Field(default_factory=Retention)
    audit: Audit = Field(default_factory=Audit)

    def path(self, name: str) -> Path:
        """Return where `name` of the home folder is (`operator.key`, `host_ed25519`...)."""
        return self.home / name

    @property
    def recordings(self) -> Path:
        """Return the folder of casts. In a checkout's own home that is the checkout's `recordings/`."""
        if self.home == _CHECKOUT / ".bastion" and "recordings" not in self.paths.model_fields_set:
            return _CHECKOUT / "recordings"
        return self.home / self.paths.recordings

    @property
    def policies(self) -> Path:
        """Return the folder of policy files."""
        return self.home / self.paths.policies

    @property
    def database(self) -> Path:
        """Return the database's file."""
        return self.home / self.paths.database


def default_home(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the home folder when no option names one: BASTION_HOME, a checkout's `.bastion`, `~/.bastion`."""
    if named := environ.get("BASTION_HOME"):
        return Path(named).expanduser().absolute()
    if (_CHECKOUT / "pyproject.toml").is_file():
        return _CHECKOUT / ".bastion"
    return Path(environ.get("HOME") or ".").absolute() / ".bastion"


def shipped_policies() -> Path | None:
    """Return the folder of the policies that come with the bastion, if it is at hand."""
    folder = _CHECKOUT / "policies"
    return folder if folder.is_dir() else None


def load_settings(
    home: Path | None = None, options: Mapping[str, object] | None = None, environ: Mapping[str, str] = os.environ
) -> Settings:
    """Read file, environment and options (dotted names: `ssh.port`), the later over the earlier.

    Raises `Misconfigured` with every mistake, one line each, naming file, variable or option.
    """
    place = home.expanduser().absolute() if home else default_home(environ)
    wrong: list[str] = []
    tree: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for name, value, where in [*_from_file(place / FILE, wrong), *_from_environment(environ), *_from_options(options or {})]:
        _put(tree, name, value)
        origin[name] = where
    try:
        settings = Settings(**{**tree, "home": place})
    except ValidationError as error:
        wrong += [_said(one["type"], ".".join(map(str, one["loc"])), one["msg"], origin) for one in error.errors(include_url=False)]
    else:
        if not wrong:
            return settings
    raise Misconfigured("settings.invalid", "\n".join(dict.fromkeys(wrong)))


def every_setting(section: type[BaseModel] = Settings, prefix: str = "") -> Iterator[tuple[str, object, str]]:
    """Yield (dotted name, default, reason) of every setting that a file may have."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from every_setting(kind, f"{prefix}{name}.")
        elif name != "home":
            yield prefix + name, field.default, field.description or ""


def as_toml() -> str:
    """Return a settings file in which every setting stands as a comment with its default and reason."""
    lines = ["# The bastion's settings. Every line is a default; take away its '#' to change it."]
    section = ""
    for name, default, reason in every_setting():
        head, _, key = name.rpartition(".")
        if head != section:
            lines += ["", f"[{head}]"]
            section = head
        lines += [f"# {reason}", f"# {key} = {_toml(default)}"]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[]"
    return str(value) if isinstance(value, int | float) else f"'{value}'"


def _from_file(path: Path, wrong: list[str]) -> list[tuple[str, object, str]]:
    try:
        with path.open("rb") as file:
            read = tomllib.load(file)
    except FileNotFoundError:
        return []
    except OSError as error:
        wrong.append(f"{path}: {error.strerror}")
        return []
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        wrong.append(f"{path}: {safe_text(str(error), 200)}")
        return []
    return [(name, value, str(path)) for name, value in _flat(read)]


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        elif value != {}:
            yield prefix + key, value


def _from_environment(environ: Mapping[str, str]) -> list[tuple[str, object, str]]:
    known = {_PREFIX + name.replace(".", "_").upper(): name for name, _, _ in every_setting()}
    found: list[tuple[str, object, str]] = []
    for variable in sorted(environ):
        if variable.startswith(_PREFIX) and variable not in _NOT_SETTINGS:
            name = known.get(variable, variable)
            text = environ[variable]
            lists = name.endswith(("networks", "proxy_protocol_from", "retention.rules", "encrypt_to"))
            if name == "recording.mask":  # a pattern may well hold a comma
                lists, text = True, text.replace(",", "\0").replace("\n", ",")
            value = [part.strip().replace("\0", ",") for part in text.split(",") if part.strip()] if lists else text
            found.append((name, value, f"${variable}"))
    return found


def _from_options(options: Mapping[str, object]) -> list[tuple[str, object, str]]:
    return [(name, value, f"--{name.replace('.', '-').replace('_', '-')}") for name, value in options.items() if value is not None]


def _put(tree: dict[str, Any], name: str, value: object) -> None:
    *heads, last = name.split(".")
    for head in heads:
        below = tree.get(head)
        if not isinstance(below, dict):
            below = tree[head] = {}
        tree = below
    tree[last] = value


def _said(kind: str, name: str, message: str, origin: Mapping[str, str]) -> str:
    """Return one mistake as one line."""
    where = origin.get(name) or next(
        (place for key, place in origin.items() if key.startswith(f"{name}.") or name.startswith(f"{key}.")), "settings"
    )
    if kind != "extra_forbidden":
        return f"{where}: {safe_text(name, 80)}: {message}"
    known = [one for one, _, _ in every_setting()]
    variables = {_PREFIX + one.replace(".", "_").upper(): one for one in known}
    near = get_close_matches(name, variables if name.startswith(_PREFIX) else known, n=1)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"{where}: there is no setting '{safe_text(name, 80)}'.{hint}"


def _networks(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        ipaddress.ip_network(text)  # its ValueError says what is wrong
    return value
