"""What `meta.json` says of a finished recording, in every version there ever was. Never reads a file.

One function a step brings the fields of a version to the next; a version that is not known yet is said to be so.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

import orjson

from bastion.core.errors import Corrupt
from bastion.core.recording.asciicast import FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Fields = dict[str, object]


@dataclass(frozen=True, slots=True)
class Meta:
    """How a recording ended. `bytes` of the plain cast; `status` of the remote command, where one is known.

    `stored` says how the cast is kept: "plain", packed as "zstd", or packed and encrypted as "age". `packed`: its bytes on disk, when packed.
    """

    state: str
    bytes: int
    status: int | None
    stored: str = "plain"
    packed: int | None = None


def spelled(known: Meta) -> bytes:
    """Return the file's content."""
    return orjson.dumps({"format": FORMAT, **asdict(known)}) + b"\n"


def _from_1(fields: Fields) -> Fields:
    """Format 1 knew plain casts only."""
    return {**fields, "stored": "plain", "packed": None}


_STEPS: Final[Mapping[int, Callable[[Fields], Fields]]] = {1: _from_1}


def parse(content: bytes) -> Meta:
    """Return what the file says, whichever version wrote it. `Corrupt` when it is none, or from a newer bastion."""
    try:
        fields = orjson.loads(content)
        version = fields["format"]
        if isinstance(version, int) and version > FORMAT:
            raise Corrupt("recording.format", f"This recording has format {version}; this bastion knows formats up to {FORMAT}.")
        while version < FORMAT:
            fields = _STEPS[version](fields)
            version += 1
        state, size, status = fields["state"], fields["bytes"], fields["status"]
        stored, packed = fields["stored"], fields["packed"]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise Corrupt("recording.meta", "The recording's meta.json cannot be read.", repr(error)) from error
    if type(size) is not int or not isinstance(state, str) or not isinstance(stored, str):
        raise Corrupt("recording.meta", "The recording's meta.json cannot be read.")
    return Meta(state, size, status if type(status) is int else None, stored, packed if type(packed) is int else None)
