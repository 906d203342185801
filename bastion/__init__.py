"""The bastion: people reach machines only through it, in sessions that others can join.

core        decides. Pure: no clock, socket, file, log or randomness.
services    conduct the core with asyncio; know the world only through `services.ports`.
wire        SSH's private parts: the limits and the fast path over asyncssh, for both doors.
frontends   let people in: `ssh` (server, channels), `commands` (one click tree).
backends    reach the world: `dialer`, `store`, `recordings`, `policies`, `vault`, `metrics`.
settings    the process's configuration, read once.
app         knows them all; the only place that joins them.
"""
