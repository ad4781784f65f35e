"""Statements: the vectors of their format, and what every spelling must hold to."""

from dataclasses import replace
from hashlib import sha256
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.cose import SignatureError, decode_sign1, encode_cbor, encode_sign1
from ledger.errors import ParseError
from ledger.statement import (
    NO_HASH,
    Anchor,
    Body,
    Capture,
    Claims,
    Equivocation,
    Erasure,
    Gap,
    Key,
    Last,
    Link,
    Policy,
    Seen,
    Statement,
    parse_statement,
    proof_of_possession,
    sign_statement,
    verify_possession,
    verify_signature,
)
from ledger.tlog.merkle import EMPTY_ROOT, Hash
from tests.ledger.memory_log import DAIRY, ORIGIN, TIME_S, signer_named
from tests.ledger.mutants import fuzz, load_vectors

VECTORS = load_vectors("statement")
STATEMENTS = {name: vector for name, vector in VECTORS.items() if "statement" in vector}
ACCEPTED = [name for name, vector in STATEMENTS.items() if vector["accepted"]]
REFUSED = [name for name, vector in STATEMENTS.items() if not vector["accepted"]]
SIGNER = signer_named("gateway")
CLAIMS = Claims(DAIRY, ORIGIN, TIME_S)

hashes = st.binary(min_size=32, max_size=32).map(Hash)
uints = st.integers(0, 2**63 - 1)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=60)
names = texts.filter(lambda text: text != "")
grades = st.integers(0, 3)
bodies: st.SearchStrategy[Body] = st.one_of(
    st.builds(Capture, grades, st.integers(1, 65_536), hashes),
    st.just(Capture(1, 0, EMPTY_ROOT)),
    st.builds(
        Key,
        op=st.integers(0, 5),
        kid=hashes,
        iss=names,
        role=texts,
        x=st.none() | hashes,
        epoch=uints,
        last=st.none() | st.builds(Last, uints, hashes),
        grade_max=grades,
        heartbeat_s=uints,
        prefixes=st.lists(texts, max_size=4).map(tuple),
        suspect_since=st.none() | uints,
        pop=st.none() | st.binary(min_size=64, max_size=64),
    ),
    st.builds(Anchor, texts, st.binary(), st.lists(hashes, max_size=3).map(tuple)),
    st.builds(
        Erasure,
        st.sets(st.tuples(uints, uints), min_size=1).map(lambda found: tuple(sorted(found))),
        uints,
        hashes,
    ),
    st.builds(Policy, st.integers(0, 1), hashes),
    st.builds(Gap, texts, st.integers(0, 4), uints, uints, st.none() | uints, texts),
    st.builds(Equivocation, uints, st.binary()),
)
claims = st.builds(Claims, names, names, uints)
links = st.builds(Link, uints, uints, hashes, st.none() | st.builds(Seen, uints, hashes))


def respell(raw: bytes) -> bytes:
    """Return the bytes that the parsed statement says again."""
    statement = parse_statement(raw)
    return spell(statement)


def spell(one: Statement) -> bytes:
    header = {1: -8, 4: one.kid, 15: {1: one.iss, 2: one.sub, 3: one.aud, 6: one.iat}}
    items = [getattr(one.body, name) for name in one.body.__slots__]
    payload = encode_cbor([one.epoch, one.seq, one.prev, one.seen, items])
    return encode_sign1(encode_cbor(header), payload, one.signature)


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_vector(name: str) -> None:
    vector = STATEMENTS[name]
    raw = bytes.fromhex(vector["statement"])
    statement = parse_statement(raw)
    verify_signature(statement, bytes.fromhex(vector["x"]))
    for field in ("kid", "prev", "id"):
        assert getattr(statement, field).hex() == vector[field]
    for field in ("iss", "sub", "aud", "iat", "epoch", "seq"):
        assert getattr(statement, field) == vector[field]
    assert respell(raw) == raw


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_vector(name: str) -> None:
    with pytest.raises(ParseError):
        parse_statement(bytes.fromhex(STATEMENTS[name]["statement"]))


def test_the_proof_of_possession_vector() -> None:
    vector = VECTORS["proof_of_possession"]
    x, pop = bytes.fromhex(vector["x"]), bytes.fromhex(vector["pop"])
    verify_possession(x, pop, aud=vector["aud"], iss=vector["iss"])
    assert proof_of_possession(SIGNER, aud=vector["aud"], iss=vector["iss"]) == pop
    with pytest.raises(SignatureError):
        verify_possession(x, pop, aud=vector["aud"], iss=DAIRY)


def test_an_accepted_vector_is_what_another_cbor_reader_reads() -> None:
    raw = bytes.fromhex(STATEMENTS["capture"]["statement"])
    message = cbor2.loads(raw)
    assert message.tag == 18
    protected, unprotected, payload, signature = message.value
    assert (unprotected, len(signature)) == ({}, 64)
    header = cbor2.loads(protected)
    assert list(header) == [1, 4, 15]
    assert list(header[15]) == [1, 2, 3, 6]
    structure = cbor2.dumps(["Signature1", protected, b"", payload])
    assert sha256(structure).hexdigest() == STATEMENTS["capture"]["id"]
    epoch, seq, prev, seen, body = cbor2.loads(payload)
    assert (epoch, seq, prev.hex(), seen[0], body[:2]) == (
        *(0, 7, STATEMENTS["capture"]["prev"], 5),
        [2, 2],
    )


@given(claims, links, bodies)
def test_what_is_signed_is_parsed(claims: Claims, link: Link, body: Body) -> None:
    raw = sign_statement(SIGNER, claims, link, body)
    statement = parse_statement(raw)
    assert statement.body == body
    assert (statement.iss, statement.aud, statement.iat) == (claims.iss, claims.aud, claims.iat)
    assert link == Link(statement.epoch, statement.seq, statement.prev, statement.seen)
    assert spell(statement) == raw
    verify_signature(statement, SIGNER.x)


def test_the_id_does_not_hang_on_the_signature() -> None:
    raw = sign_statement(SIGNER, CLAIMS, Link(), Policy(0, NO_HASH))
    other = parse_statement(raw[:-64] + bytes(64))
    assert other.id == parse_statement(raw).id
    assert other != parse_statement(raw)


def test_a_signature_is_verified_under_the_key_that_is_given() -> None:
    statement = parse_statement(sign_statement(SIGNER, CLAIMS, Link(), Policy(0, NO_HASH)))
    verify_signature(statement, SIGNER.x)
    with pytest.raises(SignatureError):
        verify_signature(statement, signer_named("stranger").x)


@pytest.mark.parametrize(
    "wrong",
    [
        (replace(CLAIMS, iss=""), Link(), Policy(0, NO_HASH)),
        (replace(CLAIMS, aud="a\x00b"), Link(), Policy(0, NO_HASH)),
        (replace(CLAIMS, iat=-1), Link(), Policy(0, NO_HASH)),
        (replace(CLAIMS, iss="\udc80"), Link(), Policy(0, NO_HASH)),
        (CLAIMS, Link(epoch=2**63), Policy(0, NO_HASH)),
        (CLAIMS, Link(prev=Hash(b"short")), Policy(0, NO_HASH)),
        (CLAIMS, Link(), Policy(2, NO_HASH)),
        (CLAIMS, Link(), Capture(0, 1, EMPTY_ROOT)),
        (CLAIMS, Link(), Anchor("", bytes(64_000), ())),
    ],
    ids=["iss", "aud", "iat", "utf8", "epoch", "prev", "kind", "root", "size"],
)
def test_what_would_be_refused_is_never_signed(wrong: tuple[Claims, Link, Body]) -> None:
    class Recorder:
        kid, x, signed = SIGNER.kid, SIGNER.x, False

        def sign(self, message: bytes) -> bytes:
            self.signed = True
            return SIGNER.sign(message)

    recorder = Recorder()
    with pytest.raises(ParseError):
        sign_statement(recorder, *wrong)
    assert not recorder.signed


@pytest.mark.parametrize("iat", [0, 23, 24, 255, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1])
def test_every_iat_has_its_one_spelling(iat: int) -> None:
    raw = sign_statement(SIGNER, replace(CLAIMS, iat=iat), Link(), Policy(0, NO_HASH))
    assert parse_statement(raw).iat == iat
    assert respell(raw) == raw


def test_mutants_of_every_kind_are_parsed_or_refused() -> None:
    samples = [bytes.fromhex(STATEMENTS[name]["statement"]) for name in ACCEPTED]
    tally = fuzz(samples, respell, count=20_000)
    assert tally.accepted
    assert tally.refused


def test_mutants_of_payload_and_header_are_parsed_or_refused() -> None:
    parts = [decode_sign1(bytes.fromhex(STATEMENTS[name]["statement"])) for name in ACCEPTED]
    start, middle = parts[0], parts[-1]

    def with_payload(payload: bytes) -> bytes:
        raw = encode_sign1(start.protected, payload, bytes(64))
        return decode_sign1(respell(raw)).payload

    def with_header(protected: bytes) -> bytes:
        raw = encode_sign1(protected, middle.payload, bytes(64))
        return decode_sign1(respell(raw)).protected

    payloads: Any = fuzz([start.payload], with_payload, count=5_000)
    headers: Any = fuzz([middle.protected], with_header, count=5_000)
    assert payloads.accepted
    assert payloads.refused
    assert headers.accepted
    assert headers.refused
