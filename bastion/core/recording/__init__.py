"""Recordings as values: the asciicast format and the side files. Never opens a file.

A recording is a folder `YYYY/MM/DD/ID/` (UTC day of the session's start):

`session.cast`
    asciicast v3, one JSON line per event, written while the session runs. What asciicast does not know is kept
    where its readers look past it:

    - the header's key `bastion`: `{"format": 1, "session", "user", "endpoint", "login"}`; `format` is the version of
      everything described here;
    - the comment `# bastion tail HEX`: the last output ended within a UTF-8 character; HEX are its bytes so far (at
      most three). They were shown, so they are on file; the next `o` event begins with them and makes the comment void;
    - the comment `# bastion nul COUNT`: so many NULs (64 to 4,096) were output here, which JSON would spell in six bytes
      each and terminals ignore;
    - the comment `# bastion by NAME`: who typed the `i` events from here on.

    Intervals carry six decimals and their running sum is exact: microseconds since the start, without drift.

`meta.json`
    written when the recording ends: `{"format": 1, "state": "closed" | "interrupted" | "failed", "bytes", "status"}`.
    A folder without it is live, or was when the bastion died (`interrupted` is then written by the next start).

Beside them lie side files, each described in the room that writes it: `keyframes` (screens with their place in the
cast, see `keyframes`), `track.jsonl` (who came, went and held control, see `track`) and `seal.jsonl` (hashes of every
stretch, chained and signed, see `seal`). The first two can be made again from the cast, but for the names of who held
control; the seals cannot, and prove that nothing was changed.
"""
