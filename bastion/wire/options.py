"""Options: the exact algorithms and switches of both doors, built once and not per connection.

It never loads anything from this account's ~/.ssh, its agent or ssh_config.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import asyncssh
from asyncssh import SSHClientConnectionOptions, SSHKey, SSHServerConnectionOptions

from bastion.wire.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

KEX: Final = ("mlkem768x25519-sha256", "curve25519-sha256", "curve25519-sha256@libssh.org")
"""Post-quantum first; curve25519 is for OpenSSH before 9.9, PuTTY before 0.83, dropbear and paramiko."""
KEX_STRICT: Final = KEX[:1]
"""Post-quantum only: ssh-audit has nothing left to say, and many clients are shut out."""
GCM: Final = ("aes256-gcm@openssh.com", "aes128-gcm@openssh.com")
CIPHERS: Final = ("chacha20-poly1305@openssh.com", *GCM, "aes256-ctr", "aes192-ctr", "aes128-ctr")
"""What we accept. A client that knows GCM is offered GCM alone: it costs half of chacha20 here."""
CIPHERS_OUT: Final = (*GCM, "chacha20-poly1305@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr")
"""Towards endpoints our own order wins."""
MACS: Final = ("hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "umac-128-etm@openssh.com")
SIGNATURES: Final = (
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
HOST_KEYS_OUT: Final = (
    "ssh-ed25519-cert-v01@openssh.com",
    "ecdsa-sha2-nistp256-cert-v01@openssh.com",
    "rsa-sha2-512-cert-v01@openssh.com",
    "rsa-sha2-256-cert-v01@openssh.com",
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
"""Host key algorithms we take from endpoints: no SHA-1, no DSA."""

LEGACY: Final = {
    "kex_algs": [
        *KEX, "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521", "diffie-hellman-group-exchange-sha256",
        "diffie-hellman-group16-sha512", "diffie-hellman-group14-sha256", "diffie-hellman-group14-sha1", "diffie-hellman-group1-sha1",
    ],
    "encryption_algs": [*CIPHERS_OUT, "aes256-cbc", "aes192-cbc", "aes128-cbc", "3des-cbc"],
    "mac_algs": [*MACS, "hmac-sha2-256", "hmac-sha2-512", "hmac-sha1", "hmac-sha1-96", "hmac-md5"],
    "signature_algs": [*SIGNATURES, "ssh-rsa"],
    "server_host_key_algs": [*HOST_KEYS_OUT, "ssh-rsa"],
}  # fmt: skip
"""What switches, drives and controllers of the last twenty years speak, ours first. DSA stays out: its keys can be computed."""

MAX_PACKET: Final = 32 * 1024
"""The most a peer may put into one packet: what OpenSSH uses and RFC 4253 asks everybody to support."""


def server_options(
    host_keys: Sequence[SSHKey | asyncssh.SSHKeyPair],
    *,
    limits: Limits = DEFAULT_LIMITS,
    strict_kex: bool = False,
    rekey_bytes: int = 1 << 30,
    rekey_seconds: float = 3600.0,
) -> SSHServerConnectionOptions:
    """Options for `listen`. `host_keys` are Ed25519 keys, or key pairs with a host certificate.

    Raises ValueError for another kind of key: with RSA asyncssh would also offer SHA-1 signatures.
    """
    for key in host_keys:
        if not key.algorithm.startswith(b"ssh-ed25519"):
            raise ValueError(f"host keys must be Ed25519, not {key.algorithm.decode()}")
    return SSHServerConnectionOptions(
        config=None,
        server_host_keys=list(host_keys),
        server_version="Bastion",  # no version number: it would only help whoever looks for a hole
        kex_algs=list(KEX_STRICT if strict_kex else KEX),
        encryption_algs=list(CIPHERS),
        mac_algs=list(MACS),
        signature_algs=list(SIGNATURES),
        compression_algs=["none"],
        gss_host=None,
        gss_auth=False,
        gss_kex=False,
        host_based_auth=False,
        x509_trusted_certs=None,
        login_timeout=limits.login_grace,
        keepalive_interval=30,
        keepalive_count_max=3,
        tcp_keepalive=True,
        utf8_decode_errors="replace",
        agent_forwarding=False,
        x11_forwarding=False,
        allow_scp=False,
        line_editor=False,
        line_echo=False,
        encoding=None,
        rekey_bytes=rekey_bytes,
        rekey_seconds=rekey_seconds,
        window=limits.receive_window,
        max_pktsize=MAX_PACKET,
    )


def client_options(
    username: str,
    *,
    known_hosts: Any,
    client_keys: Sequence[Any] = (),
    password: str | None = None,
    limits: Limits = DEFAULT_LIMITS,
    host_key_alias: str | None = None,
    login_timeout: float = 20.0,
    rekey_bytes: int = 1 << 30,
    rekey_seconds: float = 3600.0,
    legacy: bool = False,
    keepalive: float = 8.0,
) -> SSHClientConnectionOptions:
    """Options for `connect`, to be built once for an endpoint and login.

    `known_hosts` as asyncssh takes it, for example `([host_key], [ca_key], [revoked_key])`; None, which
    would mean "trust anybody", is a ValueError. An endpoint that is silent for three times `keepalive` seconds is lost. `legacy` accepts the algorithms of old endpoints
    (LEGACY); whoever sets it must audit it.
    """
    if known_hosts is None:
        raise ValueError("known_hosts is required: an endpoint is pinned, never just trusted")
    algorithms: dict[str, Any] = (
        {name: list(wanted) for name, wanted in LEGACY.items()}
        if legacy
        else {
            "kex_algs": list(KEX),
            "encryption_algs": list(CIPHERS_OUT),
            "mac_algs": list(MACS),
            "signature_algs": list(SIGNATURES),
            "server_host_key_algs": list(HOST_KEYS_OUT),
        }
    )
    return SSHClientConnectionOptions(
        config=None,
        client_version="Bastion",
        username=username,
        password=password,
        client_keys=list(client_keys) or None,
        agent_path=None,
        known_hosts=known_hosts,
        host_key_alias=host_key_alias,
        x509_trusted_certs=None,
        disable_trivial_auth=True,
        compression_algs=["none"],
        gss_host=None,
        gss_auth=False,
        gss_kex=False,
        host_based_auth=False,
        utf8_decode_errors="replace",
        login_timeout=login_timeout,
        keepalive_interval=keepalive,
        keepalive_count_max=2,
        agent_forwarding=False,
        x11_forwarding=False,
        encoding=None,
        rekey_bytes=rekey_bytes,
        rekey_seconds=rekey_seconds,
        window=limits.receive_window,
        max_pktsize=MAX_PACKET,
        **algorithms,
    )
