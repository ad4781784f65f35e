"""Entries: the vectors of their format, their chain, and their one spelling."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.entry import Entry, encode_entry, entry_leaf, next_entry, parse_entry
from ledger.errors import ParseError
from ledger.statement import NO_HASH
from ledger.tlog.merkle import Hash, tree_root
from tests.ledger.mutants import fuzz, load_vectors

VECTORS = load_vectors("entry")
LOG = VECTORS.pop("a_log_of_five")
ACCEPTED = [name for name, vector in VECTORS.items() if vector["accepted"]]
REFUSED = [name for name, vector in VECTORS.items() if not vector["accepted"]]
HASHES = st.binary(min_size=32, max_size=32).map(Hash)


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_vector(name: str) -> None:
    vector = VECTORS[name]
    data = bytes.fromhex(vector["entry"])
    entry = parse_entry(data)
    assert entry.record_time_us == vector["record_time_us"]
    assert entry.prev_leaf_hash.hex() == vector["prev_leaf_hash"]
    assert entry.key_leaf_hash.hex() == vector["key_leaf_hash"]
    assert len(entry.statement) == vector["statement_size"]
    assert entry_leaf(data).hex() == vector["leaf"]
    assert encode_entry(entry) == data


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_vector(name: str) -> None:
    with pytest.raises(ParseError):
        parse_entry(bytes.fromhex(VECTORS[name]["entry"]))


def test_a_log_is_chained_leaf_by_leaf() -> None:
    prev, time_us = NO_HASH, 0
    leaves = []
    for data in map(bytes.fromhex, LOG["entries"]):
        entry = parse_entry(data)
        assert entry.prev_leaf_hash == prev
        assert entry.record_time_us >= time_us
        prev, time_us = entry_leaf(data), entry.record_time_us
        leaves.append(prev)
    assert [leaf.hex() for leaf in leaves] == LOG["leaves"]
    assert tree_root(leaves).hex() == LOG["root"]


@given(st.integers(0, 2**63 - 1), HASHES, HASHES, st.binary(max_size=600))
def test_every_entry_has_the_spelling_that_cbor2_gives_it(
    time_us: int, prev: Hash, key: Hash, statement: bytes
) -> None:
    entry = Entry(time_us, prev, key, statement)
    data = encode_entry(entry)
    assert data == cbor2.dumps([1, time_us, prev, key, statement])
    assert parse_entry(data) == entry


@pytest.mark.parametrize(("now_us", "recorded"), [(7, 9), (9, 9), (11, 11)])
def test_the_record_time_never_falls(now_us: int, recorded: int) -> None:
    entry = next_entry(
        now_us=now_us,
        last_time_us=9,
        prev_leaf_hash=NO_HASH,
        key_leaf_hash=NO_HASH,
        statement=b"",
    )
    assert entry == Entry(recorded, NO_HASH, NO_HASH, b"")


def test_mutants_are_parsed_or_refused() -> None:
    samples = [bytes.fromhex(VECTORS[name]["entry"]) for name in ACCEPTED]
    small = [data for data in samples if len(data) < 1_000]
    tally = fuzz(small, lambda data: encode_entry(parse_entry(data)), count=20_000)
    assert tally.accepted
    assert tally.refused
