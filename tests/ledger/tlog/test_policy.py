"""Trust policies: what parses, which witnesses suffice, which checkpoints pass."""

import pytest

from ledger.errors import ParseError, VerificationError
from ledger.tlog import cosignature
from ledger.tlog.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    format_checkpoint,
    parse_signed_checkpoint,
)
from ledger.tlog.cosignature import Cosigner, has_ml_dsa_44
from ledger.tlog.merkle import EMPTY_ROOT, Hash, TreeSize, leaf_hash
from ledger.tlog.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    BadSignatureError,
    Ed25519Signer,
    NoteSigner,
    UnverifiedNoteError,
    sign_note,
)
from ledger.tlog.policy import (
    POLICY_BYTES_MAX,
    POLICY_ITEMS_MAX,
    PolicyNotMetError,
    evaluate_policy,
    format_policy,
    is_quorum,
    parse_policy,
)
from tests.ledger.tlog.vectors import Ed25519Key, MlDsaKey, load

GOOD = load("policy")["good"]
BAD = load("policy")["bad"]
ORIGIN = "supplier.example/dairy-17"
LOG = Ed25519Signer(ORIGIN, Ed25519Key.of(ORIGIN))


def witness(name: str) -> Cosigner:
    key = Ed25519Key.of(name)
    return Cosigner(name=name, kind=COSIGNATURE_ED25519, private=key, time_s=1)


def checkpoint(
    signers: list[NoteSigner], *, size: int = 3, root: Hash = EMPTY_ROOT
) -> SignedCheckpoint:
    body = Checkpoint(origin=ORIGIN, size=TreeSize(size), root=root)
    return parse_signed_checkpoint(sign_note(format_checkpoint(body), signers))


def decode(case: dict[str, str]) -> str:
    return bytes.fromhex(case["policy_hex"]).decode(errors="surrogateescape")


@pytest.mark.parametrize("name", GOOD)
def test_a_good_policy_is_met_by_the_witnesses_it_asks_for(name: str) -> None:
    policy = parse_policy(decode(GOOD[name]))
    for witnesses in GOOD[name]["met"]:
        assert is_quorum(policy, witnesses)
    for witnesses in GOOD[name]["missed"]:
        assert not is_quorum(policy, witnesses)


@pytest.mark.parametrize("name", GOOD)
def test_the_plain_spelling_parses_to_the_same_policy(name: str) -> None:
    policy = parse_policy(decode(GOOD[name]))
    plain = format_policy(policy)
    assert parse_policy(plain) == policy
    assert format_policy(parse_policy(plain)) == plain


@pytest.mark.parametrize("name", BAD)
def test_a_bad_policy_is_refused_naming_the_line(name: str) -> None:
    with pytest.raises(ParseError, match="policy"):
        parse_policy(BAD[name])


def test_more_than_128_of_a_kind_are_refused() -> None:
    def key(number: int, kind: int) -> str:
        name = f"n{number}.example"
        if kind == COSIGNATURE_ED25519:
            return str(witness(name).key)
        return str(Ed25519Signer(name, Ed25519Key.of(name)).key)

    count = range(POLICY_ITEMS_MAX + 1)
    logs = [f"log {key(n, 1)}\n" for n in count]
    witnesses = [f"witness w{n} {key(n, 4)}\n" for n in count]
    groups = [f"group g{n} all w{n}\n" for n in count]
    most = witnesses[:-1]
    assert len(parse_policy("".join([*most, *groups[:-1], "quorum none\n"])).groups) == 128
    chain = [f"group h{n} all {'h' + str(n - 1) if n else 'w0'}\n" for n in count]
    for lines in (logs, witnesses, [*most, *chain]):
        with pytest.raises(ParseError, match="more than 128"):
            parse_policy("".join([*lines, "quorum none\n"]))


def test_a_policy_of_a_megabyte_is_refused_unread() -> None:
    with pytest.raises(ParseError, match="longer than"):
        parse_policy("#" * POLICY_BYTES_MAX + "\n")


TWO_OF_THREE = (
    f"log {LOG.key}\n"
    + "".join(f"witness {n} {witness(n).key}\n" for n in ("a", "b", "c"))
    + "group all-three 2 a b c\nquorum all-three\n"
)


def test_a_checkpoint_with_its_log_and_quorum_passes_and_says_who() -> None:
    policy = parse_policy(TWO_OF_THREE)
    endorsement = evaluate_policy(
        policy, checkpoint([LOG, witness("c"), witness("stranger"), witness("a")])
    )
    assert endorsement.witnesses == {"a", "c"}
    assert endorsement.logs == (LOG.key,)
    assert endorsement.checkpoint.size == 3


def test_a_checkpoint_short_of_the_quorum_is_told_apart_from_a_forged_one() -> None:
    policy = parse_policy(TWO_OF_THREE)
    with pytest.raises(PolicyNotMetError, match="witnessed by b"):
        evaluate_policy(policy, checkpoint([LOG, witness("b")]))
    with pytest.raises(PolicyNotMetError, match="witnessed by nobody"):
        evaluate_policy(policy, checkpoint([LOG]))


def test_a_checkpoint_that_no_listed_log_signed_is_refused() -> None:
    policy = parse_policy(TWO_OF_THREE)
    with pytest.raises(UnverifiedNoteError, match="no listed log"):
        evaluate_policy(policy, checkpoint([witness("a"), witness("b")]))


def test_a_listed_log_may_not_sign_for_another_origin() -> None:
    other = Ed25519Signer("other.example", Ed25519Key.of("other.example"))
    policy = parse_policy(f"log {other.key}\nquorum none\n")
    with pytest.raises(UnverifiedNoteError):
        evaluate_policy(policy, checkpoint([other]))


class Broken(Cosigner):
    """A witness of a known name and key id that signs something else."""

    __slots__ = ()

    def sign(self, text: str) -> bytes:
        """Return a signature over a longer text."""
        return self.private.sign(text.encode()) + bytes(8)


def test_a_broken_signature_of_a_listed_witness_spoils_the_checkpoint() -> None:
    good = witness("c")
    broken = Broken(name="c", kind=good.kind, private=good.private, time_s=1)
    with pytest.raises(BadSignatureError):
        evaluate_policy(
            parse_policy(TWO_OF_THREE), checkpoint([LOG, witness("a"), witness("b"), broken])
        )


def test_an_empty_log_with_a_root_of_its_own_is_refused() -> None:
    policy = parse_policy(f"log {LOG.key}\nquorum none\n")
    evaluate_policy(policy, checkpoint([LOG], size=0))
    with pytest.raises(VerificationError, match="signed root"):
        evaluate_policy(policy, checkpoint([LOG], size=0, root=leaf_hash(b"")))


@pytest.mark.skipif(not has_ml_dsa_44(), reason="the installed cryptography has no ML-DSA-44")
def test_a_log_may_sign_with_ml_dsa_and_even_be_its_own_witness() -> None:
    key = MlDsaKey(b"test key that guards nothing 123")
    signer = Cosigner(name=ORIGIN, kind=COSIGNATURE_ML_DSA_44, private=key, time_s=1)
    text = f"log {LOG.key}\nlog {signer.key}\nwitness self {signer.key}\nquorum self\n"
    endorsement = evaluate_policy(parse_policy(text), checkpoint([LOG, signer]))
    assert endorsement.logs == (LOG.key, signer.key)
    assert endorsement.witnesses == {"self"}


@pytest.mark.skipif(not has_ml_dsa_44(), reason="the installed cryptography has no ML-DSA-44")
def test_where_ml_dsa_cannot_be_judged_the_other_keys_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = MlDsaKey(b"test key that guards nothing 123")
    signer = Cosigner(name=ORIGIN, kind=COSIGNATURE_ML_DSA_44, private=key, time_s=1)
    note = checkpoint([LOG, signer])
    monkeypatch.setattr(cosignature, "_mldsa", None)
    both = parse_policy(f"log {LOG.key}\nlog {signer.key}\nquorum none\n")
    assert evaluate_policy(both, note).logs == (LOG.key,)
    with pytest.raises(PolicyNotMetError, match="cannot judge"):
        evaluate_policy(parse_policy(f"log {signer.key}\nquorum none\n"), note)
