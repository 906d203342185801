"""Keys of the bastion itself: sealing secrets and signing evidence. Never stores what it seals."""

from bastion.backends.vault.seal import AesVault
from bastion.backends.vault.signer import Ed25519Signer, Ed25519Verifier

__all__ = ["AesVault", "Ed25519Signer", "Ed25519Verifier"]
