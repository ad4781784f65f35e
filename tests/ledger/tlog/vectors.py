"""The vectors and private keys that the tests of the log share."""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

FOLDER = Path(__file__).parents[2] / "vectors" / "tlog"


def load(name: str) -> Any:
    """Return the content of one vector file, by its path without suffix."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def names(group: str) -> list[str]:
    """Return the files of one group, by their paths without suffix."""
    return sorted(f"{group}/{path.stem}" for path in (FOLDER / group).glob("*.json"))


@dataclass(frozen=True)
class Ed25519Key:
    """A private key that guards nothing: it is made of its seed, or of its name."""

    seed: bytes

    @classmethod
    def of(cls, name: str) -> "Ed25519Key":
        return cls(sha256(b"tagtrail test key " + name.encode()).digest())

    @property
    def x(self) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.seed).public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)


@dataclass(frozen=True)
class MlDsaKey:
    """The same with ML-DSA-44."""

    seed: bytes

    @property
    def x(self) -> bytes:
        return MLDSA44PrivateKey.from_seed_bytes(self.seed).public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        return MLDSA44PrivateKey.from_seed_bytes(self.seed).sign(message)
