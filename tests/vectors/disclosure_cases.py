"""Vectors of events, disclosures and submissions: what is shown, withheld and refused."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from hashlib import sha256

from ledger.cose import encode_cbor
from ledger.disclosure import (
    Submission,
    SubmittedEvent,
    WholeEvent,
    commitment,
    encode_event,
    encode_submission,
    encode_submission_json,
    events_root,
    leaf_hashes,
    salt,
    withhold,
)
from ledger.statement import Capture, Claims, Link, sign_statement
from tests.ledger.memory_log import DAIRY, ORIGIN, TIME_S, signer_named

Vector = tuple[str, dict[str, object]]
EVENT_KEY = sha256(b"event key").digest()
PARTS: tuple[bytes | None, ...] = (
    b'{"eventID":"urn:uuid:3f0e1c58-6a0e-4f7c-9d5b-0a1b2c3d4e5f"}',
    b'{"type":"ObjectEvent"}',
    b'{"epcList":["urn:epc:id:sscc:9506000.0134352000"],"action":"OBSERVE"}',
    b'{"eventTime":"2026-01-01T00:00:00Z","eventTimeZoneOffset":"+00:00"}',
    b'{"readPoint":{"id":"urn:epc:id:sgln:9506000.00001.dock1"}}',
    b'{"bizStep":"shipping","bizTransactionList":[{"type":"po","bizTransaction":"urn:x:77"}]}',
    None,
    '{"example:note":"kühl"}'.encode(),
)
WHOLE = WholeEvent(EVENT_KEY, PARTS)
SALTS = [salt(EVENT_KEY, n) for n in range(8)]
LEAVES = leaf_hashes(WHOLE)


def event_vectors() -> Iterator[Vector]:
    """Yield events that are accepted, with every value on the way to the commitment."""
    bare = WholeEvent(EVENT_KEY, (None, *PARTS[1:4], None, None, None, None))
    hashed = WholeEvent(EVENT_KEY, (b'{"eventID":"ni:///sha-256;00ff?ver=CBV2.0"}', *PARTS[1:]))
    cases: dict[str, tuple[str, SubmittedEvent]] = {
        "whole": ("The whole event; part 6 is absent.", WHOLE),
        "whole_with_few_parts": ("Five parts are absent.", bare),
        "whole_with_a_hash_identity": ("Nothing is withheld, so the id may hash it.", hashed),
        "why_withheld": ("Orders and partners stay at home.", withhold(WHOLE, [5])),
        "absence_shown": ("Part 6 is shown to be absent, by its salt.", withhold(WHOLE, [0])),
        "absence_withheld": ("Nobody can tell absent from withheld.", withhold(WHOLE, [6])),
        "all_withheld": ("Eight leaf hashes.", withhold(WHOLE, range(8))),
        "all_shown_with_salts": ("Nothing withheld, yet no key.", withhold(WHOLE, [])),
        "hash_identity_withheld": ("The id hides with the rest.", withhold(hashed, [0, 5])),
    }
    for name, (says, event) in cases.items():
        yield (
            f"disclosure/event_{name}",
            {
                "says": says,
                "accepted": True,
                "event": encode_event(event).hex(),
                "leaves": [leaf.hex() for leaf in leaf_hashes(event)],
                "commitment": commitment(event).hex(),
            },
        )
    yield (
        "disclosure/salts",
        {
            "says": "The salts of the eight parts under one event key.",
            "accepted": True,
            "event_key": EVENT_KEY.hex(),
            "salts": [one.hex() for one in SALTS],
            "parts": [None if part is None else part.decode() for part in PARTS],
        },
    )


def with_part(n: int, part: object) -> bytes:
    """Return the CBOR of the whole event with another part `n`."""
    return encode_cbor([EVENT_KEY, [part if i == n else old for i, old in enumerate(PARTS)]])


def with_shown(n: int, item: object) -> bytes:
    """Return the CBOR of a disclosure of leaf hashes but for item `n`."""
    return encode_cbor([None, [item if i == n else leaf for i, leaf in enumerate(LEAVES)]])


def refused_parts() -> Iterator[tuple[str, str, bytes]]:
    """Yield events of which one part is no part, on submission and on disclosure."""
    parts = {
        "record_time": (7, b'{"recordTime":"2026-01-01T00:00:00Z"}', "The log's own word."),
        "in_the_wrong_place": (4, b'{"bizStep":"shipping"}', "bizStep is part 5's."),
        "empty_object": (6, b"{}", "An absent part has no bytes at all."),
        "empty": (6, b"", "An absent part is null."),
        "no_object": (6, b"[]", "A JSON object."),
        "no_json": (6, b'{"sensorElementList":', "JSON."),
        "repeated_key": (5, b'{"bizStep":"a","bizStep":"b"}', "Which one would be true?"),
        "repeated_key_inside": (7, b'{"x:a":{"b":1,"b":2}}', "At any depth."),
        "byte_order_mark": (1, b'\xef\xbb\xbf{"type":"ObjectEvent"}', "No BOM."),
        "not_a_number": (7, b'{"x:a":NaN}', "JSON has no NaN."),
        "infinite_number": (7, b'{"x:a":1e999}', "Beyond a double."),
        "lone_surrogate": (7, b'{"x:a":"\\ud800"}', "Half of a pair is no character."),
        "not_utf8": (7, b'{"x:a":"\xff"}', "UTF-8."),
        "nesting_65_deep": (7, b'{"x:a":' + b"[" * 64 + b"]" * 64 + b"}", "64 levels."),
    }
    for name, (n, part, says) in parts.items():
        yield f"part_{name}", says, with_part(n, part)
        yield f"shown_part_{name}", says, with_shown(n, [SALTS[n], part])


def refused_events() -> Iterator[tuple[str, str, bytes]]:
    """Yield (name, says, event) of shapes that are refused."""
    good = encode_event(WHOLE)
    parts = list(PARTS)
    yield "key_of_31_bytes", "32.", encode_cbor([EVENT_KEY[:31], parts])
    yield "key_of_text", "Bytes, or null.", encode_cbor(["key", parts])
    yield "seven_parts", "Eight.", encode_cbor([EVENT_KEY, parts[:7]])
    yield "nine_parts", "Eight.", encode_cbor([EVENT_KEY, [*parts, None]])
    yield "three_elements", "Two.", encode_cbor([EVENT_KEY, parts, None])
    yield "part_of_text", "Bytes.", with_part(6, "{}")
    yield "whole_with_a_leaf_hash", "A whole event shows.", with_part(5, LEAVES[5])
    yield "byte_after_the_end", "Nothing follows.", good + b"\x00"
    yield "cut_short", "The last part is cut off.", good[:-1]
    yield "nothing", "An event, not none.", b""
    yield "parts_count_in_two_bytes", "The long form.", good[:35] + b"\x98\x08" + good[36:]
    yield "salt_of_15_bytes", "16.", with_shown(2, [SALTS[2][:15], PARTS[2]])
    yield "salt_without_a_part", "Salt and part.", with_shown(2, [SALTS[2]])
    yield "salt_and_two_parts", "Salt and part.", with_shown(2, [SALTS[2], PARTS[2], None])
    yield "leaf_hash_of_31_bytes", "32.", with_shown(2, LEAVES[2][:31])
    yield "withheld_by_null", "Its leaf hash stands for it.", with_shown(2, None)
    for name, identity in {
        "plain": b'{"eventID":"ni:///sha-256;00ff?ver=CBV2.0"}',
        "escaped": b'{"eventID":"ni:\\/\\/\\/sha-256;00ff"}',
        "upper_case": b'{"eventID":"NI:///SHA-256;00ff"}',
    }.items():
        says = "It hashes the withheld parts too, so guesses could be confirmed."
        yield (
            f"hash_identity_beside_a_withheld_part_{name}",
            says,
            with_shown(0, [SALTS[0], identity]),
        )


def submission_vectors() -> Iterator[Vector]:
    """Yield submissions in both spellings, and those that are refused."""
    events = (WHOLE, withhold(WHOLE, [5]))
    commitments = [commitment(event) for event in events]
    body = Capture(2, 2, events_root(commitments))
    claims = Claims(DAIRY, ORIGIN, TIME_S)
    statement = sign_statement(signer_named("gateway"), claims, Link(), body)
    submission = Submission(statement, events)
    yield (
        "disclosure/submission",
        {
            "says": "A capture statement with a whole event and one that withholds why.",
            "accepted": True,
            "submission": encode_submission(submission).hex(),
            "json": encode_submission_json(submission).decode(),
            "commitments": [one.hex() for one in commitments],
            "root": events_root(commitments).hex(),
        },
    )
    good = encode_submission(submission)
    head = encode_cbor(statement)
    refused = {
        "without_events": (b"\x81" + head, "A statement of no events has an empty array."),
        "byte_after_the_end": (good + b"\x00", "Nothing follows."),
        "events_count_too_high": (b"\x82" + head + b"\x83" + good[2 + len(head) :], "Two."),
        "events_of_65537": (
            b"\x82" + head + b"\x9a\x00\x01\x00\x01" + bytes(70_000),
            "At most 65,536.",
        ),
        "statement_of_text": (b"\x82\x60\x80", "Bytes."),
        "no_array": (b"\xa0", "An array of two."),
        "nothing": (b"", "An array of two."),
    }
    for name, (data, says) in refused.items():
        yield (
            f"disclosure/submission_{name}",
            {"says": says, "accepted": False, "submission": data.hex()},
        )
    yield from json_vectors(json.loads(encode_submission_json(submission)))


def json_vectors(good: list[object]) -> Iterator[Vector]:
    """Yield JSON submissions that are refused."""
    statement = str(good[0])
    padded = statement + "=" * (-len(statement) % 4)
    standard = urlsafe_b64encode(b"\xff\xff\xff").decode().replace("_", "/")
    refused = {
        "padded": ([padded + ("=" if padded == statement else ""), []], "No padding."),
        "standard_alphabet": ([standard, []], "The alphabet of URLs."),
        "spare_bits": (["AB", []], "The bits after the last byte are 0."),
        "one_letter": (["A", []], "One letter is no byte."),
        "not_ascii": (["ü", []], "The alphabet of URLs."),
        "white_space_inside": (["AA AA", []], "One spelling."),
        "statement_null": ([None, []], "Text."),
        "third_element": ([statement, [], None], "Two."),
        "event_of_numbers": ([statement, [[1, []]]], "Text or null."),
        "seven_parts": ([statement, [[None, [None] * 7]]], "Eight."),
        "object": ({"statement": statement, "events": []}, "An array."),
    }
    for name, (value, says) in refused.items():
        yield (
            f"disclosure/json_{name}",
            {"says": says, "accepted": False, "json": json.dumps(value)},
        )
    yield (
        "disclosure/json_no_json",
        {"says": "JSON.", "accepted": False, "json": '["AAAA",[]'},
    )


def vectors() -> Iterator[Vector]:
    """Yield (name, content) of each vector of this module."""
    yield from event_vectors()
    for name, says, data in (*refused_events(), *refused_parts()):
        yield (
            f"disclosure/event_{name}",
            {"says": says, "accepted": False, "event": data.hex()},
        )
    yield from submission_vectors()
