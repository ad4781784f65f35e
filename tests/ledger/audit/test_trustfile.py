"""The trust file has one meaning, and what has none is refused by name."""

import pytest

from ledger.audit.trustfile import parse_trust
from ledger.errors import ParseError
from ledger.tlog.note import Ed25519Signer as NoteSigner
from tests.ledger.memory_log import signer_named
from tests.ledger.mutants import fuzz

VKEY = str(NoteSigner("log.example/x", signer_named("log")).key)
GOOD = f'''
origin = "log.example/x"
entry0 = "{"0a" * 32}"
policy = """
log {VKEY}
quorum none
"""
'''


def test_a_trust_file_names_log_entry_and_policy() -> None:
    trust = parse_trust(GOOD.encode())
    assert trust.origin == "log.example/x"
    assert trust.entry0 == b"\x0a" * 32
    assert str(trust.policy.logs[0].key) == VKEY
    assert not trust.wants_witnesses


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("origin =", "Origin =", "unknown key 'Origin'"),
        ('origin = "log.example/x"', "", "no text 'origin'"),
        ('"log.example/x"', "7", "no text 'origin'"),
        ('"log.example/x"', '"log.example/y"', "no log key named"),
        ("0a0a", "0A0a", "lower-case"),
        ("0a0a", "0g0a", "not hex"),
        ("0a0a", "", "64"),
        ("quorum none", "quorum two", "quorum"),
        ("quorum none\n", "", "no quorum line"),
        ("origin =", "origin = = ", "not TOML"),
        ("origin =", "\nx = " + "1" * 5000 + "\norigin =", "not TOML"),
    ],
)
def test_another_spelling_is_refused_by_name(old: str, new: str, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        parse_trust(GOOD.replace(old, new, 1).encode())


@pytest.mark.parametrize("data", [b"\xff", b"", b"[" * 5000, bytes(2_000_000)])
def test_what_is_no_trust_file_is_refused(data: bytes) -> None:
    with pytest.raises(ParseError, match="trust file"):
        parse_trust(data)


def test_mutants_are_taken_or_refused_and_raise_nothing_else() -> None:
    def take(data: bytes) -> bytes:
        trust = parse_trust(data)
        assert any(log.key.name == trust.origin for log in trust.policy.logs)
        return data  # TOML has many spellings of one meaning.

    tally = fuzz([GOOD.encode()], take, count=5_000)
    assert tally.accepted
    assert tally.refused
