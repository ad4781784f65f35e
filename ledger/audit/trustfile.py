'''What an auditor trusts, as a file: `trust.toml`.

    origin = "tagtrail.example/demo"
    entry0 = "5c1d…"                     # leaf hash of entry 0, 64 hex digits
    policy = """
    log tagtrail.example/demo+33d7b496+AeHTu4Q3…
    quorum none
    """

`policy` is a C2SP tlog-policy: the keys of the log and the witnesses who must have cosigned.
An auditor keeps this file apart from the ledger, got from the operator once and compared
with what others got; the copy in the ledger's own folder says who it claims to be.

Refused: another key, a missing key, a policy that lists no log of this origin.

Pure: no I/O, no clock, no randomness.
'''

import tomllib
from dataclasses import dataclass

from ledger.errors import ParseError
from ledger.tlog.merkle import HASH_SIZE, Hash
from ledger.tlog.policy import NO_QUORUM, Policy, parse_policy

TRUST_NAME = "trust.toml"
TRUST_BYTES_MAX = 1_000_000
_KEYS = ("origin", "entry0", "policy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The log, its first entry, its keys and its witnesses."""

    origin: str
    entry0: Hash
    policy: Policy

    @property
    def wants_witnesses(self) -> bool:
        """Whether the policy asks for cosignatures."""
        return self.policy.quorum != NO_QUORUM


def parse_trust(data: bytes) -> Trust:
    """Return the trust that the TOML `data` spells, or raise `ParseError`."""
    if len(data) > TRUST_BYTES_MAX:
        raise ParseError("trust file", f"is longer than {TRUST_BYTES_MAX} bytes")
    try:
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ParseError("trust file", f"is not TOML: {error}") from error
    unknown = sorted(set(table) - set(_KEYS))
    if unknown:
        raise ParseError("trust file", f"has the unknown key {unknown[0]!r}")
    origin, entry0, policy = (_text(table, key) for key in _KEYS)
    trust = Trust(origin=origin, entry0=_hash(entry0), policy=parse_policy(policy.lstrip("\n")))
    if not any(log.key.name == origin for log in trust.policy.logs):
        raise ParseError("trust file policy", f"lists no log key named {origin!r}")
    return trust


def _text(table: dict[str, object], key: str) -> str:
    value = table.get(key)
    if not isinstance(value, str):
        raise ParseError("trust file", f"has no text {key!r}")
    return value


def _hash(text: str) -> Hash:
    try:
        digest = bytes.fromhex(text)
    except ValueError as error:
        raise ParseError("trust file entry0", f"{text[:80]!r} is not hex") from error
    if len(digest) != HASH_SIZE or digest.hex() != text:
        raise ParseError("trust file entry0", f"{text[:80]!r} is not 64 lower-case hex digits")
    return Hash(digest)
