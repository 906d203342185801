"""Recordings as values: the asciicast format and the side files. Never opens a file.

A recording is a folder `YYYY/MM/DD/ID/` (UTC day of the session's start):

`session.cast`, later `session.cast.zst`
    asciicast v3, one JSON line per event, written while the session runs. What asciicast does not know is kept
    where its readers look past it:

    - the header's key `bastion`: `{"format": 2, "session", "user", "endpoint", "login"}`; `format` is the version of
      everything described here;
    - the comment `# bastion tail HEX`: the last output ended within a UTF-8 character; HEX are its bytes so far (at
      most three). They were shown, so they are on file; the next `o` event begins with them and makes the comment void;
    - the comment `# bastion nul COUNT`: so many NULs (64 to 4,096) were output here, which JSON would spell in six bytes
      each and terminals ignore;
    - the comment `# bastion by NAME`: who typed the `i` events from here on.

    A while after the end it is packed: independent zstd frames of 256 KiB plain bytes each, with a table of them in zstd's
    seekable format (see `frames`), so that a player unpacks only what it shows. `zstd -d` gives back the very bytes that
    were recorded, and seals and keyframes speak of those: packing changes nothing that was proven.

    Where `recording.encrypt_to` names auditors' age keys it becomes `session.cast.age` right after its end: the same frames,
    each encrypted as an age file of its own, and the same table. The server cannot read it any more. `keyframes` go (who can
    read the cast makes them anew in memory), `track.jsonl` becomes an age file `track.jsonl.age`, `recipients.txt` names the
    keys, and `stored.json` is a signature over the encrypted file and the last seal, for those who check without reading.
    Until its end a recording is plain: a live one is played, sealed and mended from the disk.

    Intervals carry six decimals and their running sum is exact: microseconds since the start, without drift.

`meta.json`
    written when the recording ends: `{"format": 2, "state": "closed" | "interrupted" | "failed", "bytes", "status",
    "stored": "plain" | "zstd" | "age", "packed"}`: `bytes` of the plain cast, `packed` of its packed file (null while
    plain). A folder without it is live, or was when the bastion died (the next start then writes `interrupted`).

Beside them lie side files, each described in the room that writes it: `keyframes` (screens with their place in the
cast, see `keyframes`), `track.jsonl` (who came, went and held control, see `track`) and `seal.jsonl` (hashes of every
stretch, chained and signed, see `seal`). The first two can be made again from the cast, but for the names of who held
control; the seals cannot, and prove that nothing was changed.

Formats: 1 knew plain casts only; 2 (now) packs them. Every version stays readable (`meta` has a step from each to the next).
"""
