"""Makes and reads Ed25519 and other private keys for `init` and the inventory. Never stores one."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.dsa import DSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from bastion.core.errors import Invalid
from bastion.services.ports import Secret


class Keys:
    """The ports `services.setup.KeyMaker` and `services.inventory.PrivateKeys`."""

    def make(self, comment: str) -> tuple[Secret, str]:
        """Return a new Ed25519 pair: (private key in OpenSSH's format, public line)."""
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
        public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        return Secret(private), f"{public} {comment}".strip()

    def public_of(self, private: Secret) -> str:
        """Return the public line of a private key; `Invalid` when it cannot be read or has a passphrase."""
        data = private.reveal()
        load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
        try:
            key = load(data, password=None)
            if isinstance(key, DSAPrivateKey):
                raise Invalid("key.dsa", "That is a DSA key; nobody accepts those any more. Make another: ssh-keygen -t ed25519")
            return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
        except TypeError as error:
            raise Invalid("key.passphrase", "That key has a passphrase. Take it away from a copy: ssh-keygen -p -f COPY") from error
        except (ValueError, UnsupportedAlgorithm, AttributeError) as error:
            raise Invalid("key.unreadable", "That is no private key in OpenSSH's or PEM format.") from error
