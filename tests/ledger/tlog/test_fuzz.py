"""Parsers under mutated samples: they accept one spelling or raise ParseError, nothing else.

A failure prints the seed; `TAGTRAIL_FUZZ_SEED` repeats it, `TAGTRAIL_FUZZ_CASES`
sets how many mutations each parser gets.
"""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random

import pytest

from ledger.errors import ParseError, VerificationError
from ledger.tlog.checkpoint import (
    format_checkpoint,
    format_signed_checkpoint,
    parse_checkpoint,
    parse_signed_checkpoint,
)
from ledger.tlog.cosignature import add_cosignatures, verifier_for
from ledger.tlog.merkle import leaf_hash
from ledger.tlog.note import (
    format_note,
    format_vkey,
    parse_note,
    parse_vkey,
    verify_note,
)
from ledger.tlog.policy import evaluate_policy, format_policy, parse_policy
from ledger.tlog.proof import format_tlog_proof, parse_tlog_proof, verify_tlog_proof
from ledger.tlog.tiles import decode_bundle, encode_bundle, parse_tile_path
from ledger.tlog.witness import decide, format_add_checkpoint, parse_add_checkpoint
from tests.ledger.tlog.vectors import load

SEED = int(os.environ.get("TAGTRAIL_FUZZ_SEED", "20240229"))
CASES = int(os.environ.get("TAGTRAIL_FUZZ_CASES", "10000"))
ACCEPTED, REFUSED = "accepted", "refused"

PROOF = load("proof")
POLICY = parse_policy(PROOF["policy"])
SIGNED = load("cosignature/ed25519")["note"]
WITNESS = verifier_for(parse_vkey(load("cosignature/ed25519")["vkey"]))
LOG = verifier_for(parse_vkey(load("log")["vkey"]))
SPECIAL = [
    *(b"\n", b"\n\n", b" ", b"\0", b"\r", b"\t", b"=", b"+", b"/", b"0", b"9" * 30, b"-"),
    *("— ".encode(), "é".encode(), b"\xed\xa0\x80", b"\xff", b"A", b"x", b"#", b".p/"),
]


def mutate(random: Random, data: bytes) -> bytes:
    """Return `data` with one to four small changes."""
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        at, end = sorted(random.randrange(len(changed) + 1) for _ in range(2))
        match random.randrange(6):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << random.randrange(8)
            case 1:
                changed[at:at] = random.choice(SPECIAL)
            case 2:
                del changed[at : at + random.randrange(1, 4)]
            case 3:
                changed[at : at + 1] = random.choice(SPECIAL)
            case 4:
                changed[at:at] = changed[at:end]
            case _:
                del changed[at:end]
    return bytes(changed)


def try_vkey(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    key = parse_vkey(text)
    assert format_vkey(key) == text
    with pytest.raises(VerificationError):
        verifier_for(key).verify("text\n", bytes(64))


def try_note(data: bytes) -> None:
    note = parse_note(data)
    assert format_note(note) == data
    swallow(lambda: verify_note(note, [LOG, WITNESS]))


def try_checkpoint(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    assert format_checkpoint(parse_checkpoint(text)) == text


def try_signed_checkpoint(data: bytes) -> None:
    signed = parse_signed_checkpoint(data)
    assert format_signed_checkpoint(signed) == data
    swallow(lambda: evaluate_policy(POLICY, signed))


def try_cosignatures(data: bytes) -> None:
    body, _, lines = SIGNED.encode().rpartition("— witness".encode())
    note = parse_note(body)
    try:
        both = parse_note(add_cosignatures(body, data, [WITNESS]))
    except VerificationError as error:
        raise ParseError("cosignatures", "refused") from error
    assert both.text == note.text
    assert both.signatures[: len(note.signatures)] == note.signatures
    assert lines


def try_tile_path(data: bytes) -> None:
    text = data.decode(errors="surrogateescape")
    assert str(parse_tile_path(text)) == text


def try_bundle(data: bytes) -> None:
    assert encode_bundle(decode_bundle(data, 3)) == data


def try_policy(data: bytes) -> None:
    policy = parse_policy(data.decode(errors="surrogateescape"))
    assert parse_policy(format_policy(policy)) == policy


def try_proof(data: bytes) -> None:
    proof = parse_tlog_proof(data)
    assert format_tlog_proof(proof) == data
    swallow(lambda: verify_tlog_proof(proof, leaf=leaf_hash(b""), policy=POLICY))


def try_request(data: bytes) -> None:
    decide(data, logs={LOG.name: [LOG]}, latest={})
    assert format_add_checkpoint(parse_add_checkpoint(data)) == data


def swallow(verify: Callable[[], object]) -> None:
    """Run a verification, of which only its own error may come."""
    with suppress(VerificationError):
        verify()


POLICY_SAMPLE = bytes.fromhex(load("policy")["good"]["comments-and-space"]["policy_hex"])
SAMPLES: dict[str, tuple[Callable[[bytes], None], str]] = {
    "vkey": (try_vkey, load("vkey")["good"][0]),
    "note": (try_note, SIGNED),
    "checkpoint": (try_checkpoint, load("checkpoint")["good"][0]),
    "signed-checkpoint": (try_signed_checkpoint, SIGNED),
    "cosignatures": (try_cosignatures, "— " + SIGNED.rpartition("— ")[2]),
    "tile-path": (try_tile_path, "tile/0/x001/x234/067.p/8"),
    "bundle": (try_bundle, "\0\5milk!\0\0\0\3cow"),
    "policy": (try_policy, POLICY_SAMPLE.decode()),
    "proof": (try_proof, PROOF["good"]["extra"]),
    "add-checkpoint": (try_request, load("witness")["cases"]["growth"]["request"]),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_mutated_sample_parses_in_its_one_spelling_or_raises_parse_error(name: str) -> None:
    attempt, sample = SAMPLES[name]
    outcomes: Counter[str] = Counter()
    attempt(sample.encode())
    for number in range(CASES):
        seed = f"{SEED}/{name}/{number}"
        data = mutate(Random(seed), sample.encode())
        try:
            attempt(data)
            outcomes[ACCEPTED] += 1
        except ParseError:
            outcomes[REFUSED] += 1
        except Exception:
            print(f"seed {seed}: {data!r}")
            raise
    print(f"{name}: {dict(outcomes)}, seed {SEED}")
    assert outcomes[ACCEPTED]
    assert outcomes[REFUSED]
