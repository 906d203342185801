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

    def opened(self, private: Secret, passphrase: Secret) -> Secret:
        """Return the key without its passphrase; `Invalid` when that does not open it."""
        data, word = private.reveal(), passphrase.reveal()
        load = load_ssh_private_key if b"OPENSSH PRIVATE KEY" in data else load_pem_private_key
        try:
            key = load(data, password=word)
        except TypeError as error:
            raise Invalid("key.no_passphrase", "That key has no passphrase; leave out --passphrase.") from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise Invalid("key.passphrase_wrong", "That passphrase does not open the key, or it is no private key.") from error
        return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))

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
            raise Invalid(
                "key.passphrase", "That key has a passphrase. Add --passphrase: it is asked for, or is the first line of standard input."
            ) from error
        except (ValueError, UnsupportedAlgorithm, AttributeError) as error:
            raise Invalid("key.unreadable", "That is no private key in OpenSSH's or PEM format.") from error
