"""Commitments, disclosures and submissions: their vectors, and what withholding hides."""

from collections.abc import Callable
from hashlib import sha256

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.disclosure import (
    CommitmentError,
    Submission,
    SubmittedEvent,
    WholeEvent,
    WithheldEvent,
    commit_parts,
    commitment,
    decode_event,
    decode_submission,
    decode_submission_json,
    encode_event,
    encode_submission,
    encode_submission_json,
    events_root,
    leaf_hashes,
    part_leaf,
    salt,
    shown_parts,
    verify_events,
    withheld,
    withhold,
)
from ledger.epcis.parts import PART_FIELDS
from ledger.errors import ParseError
from ledger.tlog.merkle import EMPTY_ROOT, Hash, leaf_hash, tree_root
from tests.ledger.mutants import fuzz, load_vectors

VECTORS = load_vectors("disclosure")
KEYS = st.binary(min_size=32, max_size=32)


def _writer(field: str) -> Callable[[int], bytes]:
    return lambda number: f'{{"{field}":{number}}}'.encode()


PARTS = st.tuples(
    *(st.none() | st.integers().map(_writer((*fields, "x:other")[0])) for fields in PART_FIELDS)
)
EVENTS = st.builds(WholeEvent, KEYS, PARTS)
HIDDEN = st.sets(st.integers(0, 7))


def names(prefix: str, *, accepted: bool) -> list[str]:
    return [
        name
        for name, vector in VECTORS.items()
        if name.startswith(prefix) and vector["accepted"] == accepted
    ]


@pytest.mark.parametrize("name", names("event_", accepted=True))
def test_an_accepted_event(name: str) -> None:
    vector = VECTORS[name]
    data = bytes.fromhex(vector["event"])
    event = decode_event(data)
    assert encode_event(event) == data
    assert [leaf.hex() for leaf in leaf_hashes(event)] == vector["leaves"]
    assert commitment(event).hex() == vector["commitment"]


@pytest.mark.parametrize("name", names("event_", accepted=False))
def test_a_refused_event(name: str) -> None:
    with pytest.raises(ParseError):
        decode_event(bytes.fromhex(VECTORS[name]["event"]))


@pytest.mark.parametrize("name", names("submission_", accepted=False))
def test_a_refused_submission(name: str) -> None:
    with pytest.raises(ParseError):
        decode_submission(bytes.fromhex(VECTORS[name]["submission"]))


@pytest.mark.parametrize("name", names("json_", accepted=False))
def test_a_refused_json_submission(name: str) -> None:
    with pytest.raises(ParseError):
        decode_submission_json(VECTORS[name]["json"].encode())


def test_a_submission_is_the_same_in_both_spellings() -> None:
    vector = VECTORS["submission"]
    data, text = bytes.fromhex(vector["submission"]), vector["json"].encode()
    submission = decode_submission(data)
    assert decode_submission_json(text) == submission
    assert encode_submission(submission) == data
    assert encode_submission_json(submission) == text
    commitments = [commitment(event) for event in submission.events]
    assert [one.hex() for one in commitments] == vector["commitments"]
    assert events_root(commitments).hex() == vector["root"]


def test_a_commitment_is_what_the_formula_says() -> None:
    vector = VECTORS["salts"]
    key = bytes.fromhex(vector["event_key"])
    leaves = []
    for n, text in enumerate(vector["parts"]):
        part_salt = sha256(b"tagtrail/salt/v1\n" + bytes([n]) + key).digest()[:16]
        assert salt(key, n) == part_salt
        assert part_salt.hex() == vector["salts"][n]
        body = b"" if text is None else text.encode()
        leaves.append(leaf_hash(b"tagtrail/part/v1\n" + bytes([n]) + part_salt + body))
    parts = [None if text is None else text.encode() for text in vector["parts"]]
    assert commit_parts(key, parts) == tree_root(leaves)
    assert tree_root(leaves).hex() == VECTORS["event_whole"]["commitment"]


@given(EVENTS, HIDDEN)
def test_withholding_changes_no_commitment(event: WholeEvent, hidden: set[int]) -> None:
    assert (shown_parts(event), withheld(event)) == (event.parts, frozenset())
    part_withheld = withhold(event, hidden)
    assert commitment(part_withheld) == commitment(event)
    assert withheld(part_withheld) == hidden
    for n, part in enumerate(shown_parts(part_withheld)):
        assert part == (None if n in hidden else event.parts[n])


@given(EVENTS, HIDDEN, HIDDEN)
def test_withholding_twice_withholds_both(
    event: WholeEvent, first: set[int], then: set[int]
) -> None:
    assert withhold(withhold(event, first), then) == withhold(event, first | then)


@given(EVENTS, HIDDEN)
def test_what_is_encoded_is_decoded(event: WholeEvent, hidden: set[int]) -> None:
    for one in (event, withhold(event, hidden)):
        assert decode_event(encode_event(one)) == one
    submission = Submission(b"statement", (event, withhold(event, hidden)))
    assert decode_submission(encode_submission(submission)) == submission
    assert decode_submission_json(encode_submission_json(submission)) == submission


@given(EVENTS)
def test_cbor2_writes_what_we_write(event: WholeEvent) -> None:
    assert encode_event(event) == cbor2.dumps([event.event_key, list(event.parts)])


@given(EVENTS, EVENTS)
def test_two_events_have_two_commitments(one: WholeEvent, other: WholeEvent) -> None:
    assert (commitment(one) == commitment(other)) == (one == other)


def test_a_part_cannot_move_to_another_number() -> None:
    same = b'{"x:a":1}'
    assert part_leaf(7, bytes(16), same) != part_leaf(6, bytes(16), same)


def test_absent_and_withheld_look_alike_without_the_salt() -> None:
    absent = decode_event(bytes.fromhex(VECTORS["event_absence_withheld"]["event"]))
    there = decode_event(bytes.fromhex(VECTORS["event_why_withheld"]["event"]))
    assert isinstance(absent, WithheldEvent)
    assert isinstance(there, WithheldEvent)
    assert not isinstance(absent.shown[6], tuple)
    assert not isinstance(there.shown[5], tuple)
    shown = decode_event(bytes.fromhex(VECTORS["event_absence_shown"]["event"]))
    assert isinstance(shown, WithheldEvent)
    assert shown.shown[6][1] is None


def test_a_hash_over_the_event_is_not_shown_beside_a_withheld_part() -> None:
    event = decode_event(bytes.fromhex(VECTORS["event_whole_with_a_hash_identity"]["event"]))
    assert withheld(event) == frozenset()
    with pytest.raises(ParseError, match="hashes it all"):
        withhold(event, [5])
    assert withheld(withhold(event, [0, 5])) == {0, 5}


def events_of_vectors() -> tuple[SubmittedEvent, ...]:
    submission = decode_submission(bytes.fromhex(VECTORS["submission"]["submission"]))
    return submission.events


def test_events_are_held_against_count_and_root() -> None:
    events = events_of_vectors()
    root = Hash(bytes.fromhex(VECTORS["submission"]["root"]))
    commitments = verify_events(events, count=2, root=root)
    assert [one.hex() for one in commitments] == VECTORS["submission"]["commitments"]
    with pytest.raises(CommitmentError, match="1 events came"):
        verify_events(events[:1], count=2, root=root)
    with pytest.raises(CommitmentError, match="the statement signs"):
        verify_events(events, count=2, root=EMPTY_ROOT)
    assert verify_events((), count=0, root=EMPTY_ROOT) == []


def test_mutants_of_events_are_parsed_or_refused() -> None:
    samples = [bytes.fromhex(VECTORS[name]["event"]) for name in names("event_", accepted=True)]
    tally = fuzz(samples, lambda data: encode_event(decode_event(data)), count=20_000)
    assert tally.accepted
    assert tally.refused


def test_mutants_of_submissions_are_parsed_or_refused() -> None:
    sample = bytes.fromhex(VECTORS["submission"]["submission"])
    tally = fuzz(
        [sample], lambda data: encode_submission(decode_submission(data)), count=10_000
    )
    assert tally.accepted
    assert tally.refused


def test_mutants_of_json_submissions_raise_nothing_but_parse_errors() -> None:
    sample = VECTORS["submission"]["json"].encode()

    def respell(data: bytes) -> bytes:
        again = encode_submission_json(decode_submission_json(data))
        assert decode_submission_json(again) == decode_submission_json(data)
        return data

    tally = fuzz([sample], respell, count=10_000)
    assert tally.accepted
    assert tally.refused


def test_deep_json_is_refused_at_once() -> None:
    with pytest.raises(ParseError):
        decode_submission_json(b"[" * 100_000)
