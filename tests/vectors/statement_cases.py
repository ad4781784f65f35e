"""Vectors of statements: one of each kind, and each shape that is refused.

A refused statement is signed as well as any: nothing but its shape is wrong with it.
"""

from collections.abc import Iterator

from ledger.cose import encode_cbor, encode_sign1, signature_input
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
    KeyOp,
    Last,
    Link,
    Policy,
    Seen,
    parse_statement,
    sign_statement,
)
from ledger.tlog.merkle import EMPTY_ROOT, Hash, leaf_hash
from tests.ledger.memory_log import DAIRY, FARM, ORIGIN, TIME_S, enrolment, signer_named

Vector = tuple[str, dict[str, object]]
SIGNER = signer_named("gateway")
CLAIMS = Claims(DAIRY, ORIGIN, TIME_S)
DIGEST = Hash(bytes(range(32)))
ROOT = leaf_hash(b"some event")
SUB = "tagtrail/capture/v1"
CAPTURE = [2, 1, ROOT]
KEY = [0, DIGEST, DAIRY, "gateway", DIGEST, 0, None, 2, 60, ["9506000"], None, bytes(64)]

ACCEPTED: dict[str, tuple[str, Link, Body]] = {
    "capture": (
        "Two events; the source has seen the checkpoint of size 5.",
        Link(0, 7, DIGEST, Seen(5, ROOT)),
        Capture(2, 2, ROOT),
    ),
    "capture_heartbeat": (
        "No events: the root is that of the empty tree.",
        Link(3, 0),
        Capture(2, 0, EMPTY_ROOT),
    ),
    "key_enrol": ("A party enrols a gateway.", Link(), enrolment(SIGNER, DAIRY, "gateway")),
    "key_rotate": (
        "A gateway's key is replaced.",
        Link(),
        Key(
            *(KeyOp.ROTATE, DIGEST, DAIRY, "gateway", SIGNER.x, 0, Last(9, ROOT), 2),
            *(300, ("9506000", "95060001"), None, bytes(64)),
        ),
    ),
    "key_compromised": (
        "All that a key signed from entry 17 on is suspect.",
        Link(),
        Key(KeyOp.COMPROMISED, DIGEST, DAIRY, "gateway", suspect_since=17),
    ),
    "anchor": (
        "A neighbour's checkpoint, with a proof of two hashes.",
        Link(),
        Anchor("neighbour.example/log+00000000+AAAA", b"a note", (ROOT, DIGEST)),
    ),
    "erasure": (
        "Three events of two entries.",
        Link(),
        Erasure(((4, 0), (4, 65535), (5, 0)), 17, DIGEST),
    ),
    "policy": ("A capture plan comes into force.", Link(), Policy(0, DIGEST)),
    "gap": ("A reader dropped reads.", Link(), Gap("reader ü", 1, 10, 20, None, "queue full")),
    "equivocation": (
        "The other statement is bytes here.",
        Link(),
        Equivocation(5, b"\xd2\x84"),
    ),
}


def build(
    payload: object = None,
    *,
    header: object = None,
    body: object = None,
    sub: str = SUB,
    protected: bytes | None = None,
) -> bytes:
    """Return a signed statement of any shape."""
    if protected is None:
        names = {1: DAIRY, 2: sub, 3: ORIGIN, 6: TIME_S}
        protected = encode_cbor({1: -8, 4: SIGNER.kid, 15: names} if header is None else header)
    if payload is None:
        payload = [0, 0, NO_HASH, None, CAPTURE if body is None else body]
    data = payload if isinstance(payload, bytes) else encode_cbor(payload)
    return encode_sign1(protected, data, SIGNER.sign(signature_input(protected, data)))


def names(**changes: object) -> dict[int, object]:
    """Return a header whose claims differ as `changes` say; `None` leaves one out."""
    numbers = {"iss": 1, "sub": 2, "aud": 3, "iat": 6}
    claims: dict[str, object] = {"iss": DAIRY, "sub": SUB, "aud": ORIGIN, "iat": TIME_S}
    kept = {numbers[k]: v for k, v in (claims | changes).items() if v is not None}
    return {1: -8, 4: SIGNER.kid, 15: kept}


def key(**changes: object) -> bytes:
    fields = "op kid iss role x epoch last grade_max heartbeat_s prefixes suspect_since pop"
    values = dict(zip(fields.split(), KEY, strict=True)) | changes
    return build(sub="tagtrail/key/v1", body=list(values.values()))


def refused() -> Iterator[tuple[str, str, bytes]]:
    """Yield (name, says, statement)."""
    yield from _refused_headers()
    yield from _refused_payloads()
    yield from _refused_captures_or_keys()
    yield from _refused_bodies()
    yield from _refused_sizes()


def _refused_headers() -> Iterator[tuple[str, str, bytes]]:
    good = names()
    protected = encode_cbor(good)
    yield "header_alg_es256", "EdDSA alone.", build(header=good | {1: -7})
    yield "header_without_alg", "All three fields.", build(header={4: SIGNER.kid, 15: good[15]})
    yield "header_without_kid", "All three fields.", build(header={1: -8, 15: good[15]})
    yield "header_with_critical", "No field beyond these.", build(header=good | {2: [4]})
    yield "header_without_iat", "All four claims.", build(header=names(iat=None))
    more = {1: -8, 4: SIGNER.kid, 15: {**names()[15], 7: b"cti"}}  # type: ignore[dict-item]
    yield "header_with_another_claim", "No claim beyond these.", build(header=more)
    out_of_order = b"\xa3" + protected[3:38] + protected[1:3] + protected[38:]
    yield "header_out_of_order", "alg, kid, claims.", build(protected=out_of_order)
    yield "header_of_no_map", "A map.", build(header=[1, -8])
    yield "header_empty", "A header is never left out.", build(protected=b"")
    yield "kid_of_31_bytes", "A thumbprint is 32 bytes.", build(header=good | {4: bytes(31)})
    yield "iss_empty", "1 to 512 bytes.", build(header=names(iss=""))
    yield "iss_of_513_bytes", "1 to 512 bytes.", build(header=names(iss="i" * 513))
    yield "iss_of_bytes", "Text.", build(header=names(iss=b"urn:x"))
    yield "iss_with_a_newline", "No control characters.", build(header=names(iss="a\nb"))
    yield "aud_with_a_c1_control", "No U+007F to U+009F.", build(header=names(aud="a\x9fb"))
    yield "aud_of_513_bytes", "1 to 512 bytes.", build(header=names(aud="ü" * 257))
    yield "sub_of_another_version", "A known kind.", build(header=names(sub=SUB[:-1] + "2"))
    yield "sub_of_a_number", "Text.", build(header=names(sub=1))
    yield "iat_negative", "Seconds since 1970.", build(header=names(iat=-1))
    yield "iat_null", "A number.", build(protected=protected[:-5] + b"\xf6")
    yield (
        "iat_in_nine_bytes",
        "The long form of a number.",
        build(protected=protected[:-5] + b"\x1b" + bytes(4) + protected[-4:]),
    )


def _refused_payloads() -> Iterator[tuple[str, str, bytes]]:
    yield "payload_of_four", "Five elements.", build([0, 0, NO_HASH, None])
    yield "payload_of_six", "Five elements.", build([0, 0, NO_HASH, None, CAPTURE, None])
    yield "payload_of_no_array", "An array.", build({1: 2})
    yield "payload_empty", "An array.", build(b"")
    yield "epoch_negative", "From 0.", build([-1, 0, NO_HASH, None, CAPTURE])
    yield "seq_of_text", "A number.", build([0, "0", NO_HASH, None, CAPTURE])
    long_form = encode_cbor([0, 0, NO_HASH, None, CAPTURE])
    long_form = long_form[:1] + b"\x18\x00" + long_form[2:]
    yield "epoch_in_two_bytes", "The long form of a number.", build(long_form)
    yield "prev_of_31_bytes", "32 bytes.", build([0, 0, bytes(31), None, CAPTURE])
    yield "prev_null", "32 zero bytes stand for nothing.", build([0, 0, None, None, CAPTURE])
    yield "seen_of_one", "A size and a root.", build([0, 0, NO_HASH, [5], CAPTURE])
    yield "seen_root_of_text", "32 bytes.", build([0, 0, NO_HASH, [5, "r" * 32], CAPTURE])
    yield "body_of_a_map", "An array.", build(body={1: 2})
    yield "body_of_another_kind", "Its own shape.", build(sub="tagtrail/gap/v1")


def _refused_captures_or_keys() -> Iterator[tuple[str, str, bytes]]:
    yield "capture_grade_4", "0 to 3.", build(body=[4, 1, ROOT])
    yield "capture_of_65537_events", "At most 65,536.", build(body=[2, 65537, ROOT])
    yield (
        "capture_of_nothing_with_a_root",
        "A heartbeat has the empty root.",
        build(body=[2, 0, ROOT]),
    )
    yield (
        "capture_of_events_with_the_empty_root",
        "No event has it.",
        build(body=[2, 1, EMPTY_ROOT]),
    )
    yield "capture_with_a_fourth_element", "Three.", build(body=[2, 1, ROOT, None])
    yield "key_op_6", "0 to 5.", key(op=6)
    yield "key_kid_null", "32 bytes.", key(kid=None)
    yield "key_iss_empty", "1 to 512 bytes.", key(iss="")
    yield "key_role_of_1025_bytes", "At most 1,024.", key(role="r" * 1025)
    yield "key_x_of_33_bytes", "32 bytes or null.", key(x=bytes(33))
    yield "key_last_of_three", "seq and id, or null.", key(last=[1, DIGEST, 0])
    yield "key_last_without_a_seq", "seq and id, or null.", key(last=[None, DIGEST])
    yield "key_grade_max_4", "0 to 3.", key(grade_max=4)
    yield "key_heartbeat_negative", "From 0.", key(heartbeat_s=-1)
    yield "key_prefixes_null", "An array, empty perhaps.", key(prefixes=None)
    yield "key_prefix_with_a_tab", "No control characters.", key(prefixes=["95\t"])
    yield "key_suspect_since_of_text", "A number or null.", key(suspect_since="0")
    yield "key_pop_of_63_bytes", "64 bytes or null.", key(pop=bytes(63))


def _refused_bodies() -> Iterator[tuple[str, str, bytes]]:
    def erasure(positions: object) -> bytes:
        return build(sub="tagtrail/erasure/v1", body=[positions, 17, DIGEST])

    yield "erasure_of_nothing", "1 to 1,024 positions.", erasure([])
    many = [[n, 0] for n in range(1025)]
    yield "erasure_of_1025_positions", "1 to 1,024 positions.", erasure(many)
    yield "erasure_position_repeated", "Ascending.", erasure([[4, 0], [4, 0]])
    yield "erasure_positions_descend", "Ascending.", erasure([[4, 1], [4, 0]])
    yield "erasure_position_of_one", "An index and a position.", erasure([[4]])
    yield "erasure_positions_of_a_number", "An array.", erasure(4)
    yield "policy_kind_2", "0 or 1.", build(sub="tagtrail/policy/v1", body=[2, DIGEST])
    yield "policy_hash_of_20_bytes", "32.", build(sub="tagtrail/policy/v1", body=[0, bytes(20)])
    gap = ["reader", 5, 1, 2, None, "why"]
    yield "gap_what_5", "0 to 4.", build(sub="tagtrail/gap/v1", body=gap)
    gap = ["r" * 1025, 0, 1, 2, None, "why"]
    yield "gap_source_of_1025_bytes", "At most 1,024.", build(sub="tagtrail/gap/v1", body=gap)
    yield (
        "anchor_note_of_text",
        "Bytes.",
        build(sub="tagtrail/anchor/v1", body=["vkey", "note", []]),
    )
    yield (
        "anchor_proof_of_31_bytes",
        "32.",
        build(sub="tagtrail/anchor/v1", body=["vkey", b"note", [bytes(31)]]),
    )
    yield (
        "equivocation_with_null",
        "Bytes.",
        build(sub="tagtrail/equivocation/v1", body=[0, None]),
    )


def _refused_sizes() -> Iterator[tuple[str, str, bytes]]:
    def anchor(size: int) -> bytes:
        """Return an anchor statement of `size` bytes."""
        base = len(build(sub="tagtrail/anchor/v1", body=["", bytes(60_000), []]))
        note = bytes(60_000 + size - base)
        return build(sub="tagtrail/anchor/v1", body=["", note, []])

    parse_statement(anchor(64_000))
    yield "statement_of_64001_bytes", "At most 64,000.", anchor(64_001)
    base = len(build(sub="tagtrail/equivocation/v1", body=[0, bytes(60_000)]))
    body = [0, bytes(60_000 + 65_400 - base)]
    parse_statement(build(sub="tagtrail/equivocation/v1", body=body))
    body = [0, bytes(60_000 + 65_401 - base)]
    yield (
        "equivocation_of_65401_bytes",
        "At most 65,400.",
        build(sub="tagtrail/equivocation/v1", body=body),
    )


def vectors() -> Iterator[Vector]:
    """Yield (name, content) of each vector of this module."""
    for name, (says, link, body) in ACCEPTED.items():
        raw = sign_statement(SIGNER, CLAIMS, link, body)
        statement = parse_statement(raw)
        yield (
            f"statement/{name}",
            {
                "says": says,
                "accepted": True,
                "statement": raw.hex(),
                "kid": statement.kid.hex(),
                "x": SIGNER.x.hex(),
                "iss": statement.iss,
                "sub": statement.sub,
                "aud": statement.aud,
                "iat": statement.iat,
                "epoch": statement.epoch,
                "seq": statement.seq,
                "prev": statement.prev.hex(),
                "id": statement.id.hex(),
            },
        )
    for name, says, raw in refused():
        yield (
            f"statement/{name}",
            {"says": says, "accepted": False, "statement": raw.hex()},
        )
    consent = enrolment(SIGNER, FARM, "gateway")
    assert consent.pop is not None
    yield (
        "statement/proof_of_possession",
        {
            "says": 'Signed over "tagtrail/pop/v1", newline, aud, newline, iss.',
            "accepted": True,
            "x": SIGNER.x.hex(),
            "aud": ORIGIN,
            "iss": FARM,
            "message": f"tagtrail/pop/v1\n{ORIGIN}\n{FARM}".encode().hex(),
            "pop": consent.pop.hex(),
        },
    )
