"""Takes a bundle out of the evidence database: entries, events, one proof, no key.

What is chosen are events by their places. To them come the entries that hold them, and for
every statement the newest key entry about its key, and so on back to entry 0; the paths of
the events in the trees that their statements sign; and the proof of all entries under one
signed checkpoint. Nothing is written, and nothing leaves but what is named here.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from ledger.bundle import Bundle, BundledEntry, BundledEvent
from ledger.disclosure import WithheldEvent, decode_event, withhold
from ledger.entry import Entry, entry_leaf, parse_entry
from ledger.errors import ParseError, RefusedError
from ledger.statement import Statement, parse_statement
from ledger.store.dialect import StorageError
from ledger.store.evidence import EvidenceReader
from ledger.tlog.checkpoint import parse_signed_checkpoint
from ledger.tlog.merkle import Hash, LeafIndex, TreeSize, leaf_hash, prove_inclusion
from ledger.tlog.multiproof import prove_leaves_from

Place = tuple[int, int]
"""The entry and the position of an event."""

_IDENTITY = 0


@dataclass(frozen=True, slots=True)
class Signed:
    """The checkpoint under which a bundle is made."""

    size: TreeSize
    root: Hash
    note: bytes


def load_signed(reader: EvidenceReader) -> Signed:
    """Return the newest signed checkpoint, or raise `RefusedError` where there is none."""
    newest = reader.load_newest_checkpoint()
    if newest is None:
        raise RefusedError("checkpoint", "the log has not signed any yet")
    size, note = newest
    return Signed(size, parse_signed_checkpoint(note).checkpoint.root, note)


def take_bundle(
    reader: EvidenceReader,
    signed: Signed,
    places: Iterable[Place],
    hidden: Iterable[int],
    statements: Iterable[int] = (),
) -> Bundle:
    """Return the bundle of the events at `places` with the parts `hidden` withheld.

    `statements` are entries that are shown beside, for what they state themselves.
    What a source withheld from the ledger stays withheld; an event that was erased is left
    out.
    """
    chosen, kept_back = sorted(set(places)), frozenset(hidden)
    events = [
        event
        for index, group in groupby(chosen, key=lambda place: place[0])
        for event in _take_events(reader, index, [position for _, position in group], kept_back)
    ]
    entries: dict[int, bytes] = {}
    for index in {index for index, _ in chosen} | {0, *statements}:
        _take_entries(reader, index, entries)
    indexes = sorted(entries)
    if indexes[-1] >= signed.size:
        raise RefusedError("checkpoint", f"none that is signed covers entry {indexes[-1]}")
    node_at = reader.tree(signed.size).node
    return Bundle(
        note=signed.note,
        entries=tuple(BundledEntry(index, entries[index]) for index in indexes),
        nodes=prove_leaves_from(node_at, [LeafIndex(n) for n in indexes], signed.size),
        events=tuple(events),
    )


def _take_entries(reader: EvidenceReader, index: int, entries: dict[int, bytes]) -> None:
    """Add the entry at `index` to `entries`, and the key entries that it rests on."""
    while index not in entries:
        entries[index] = reader.load_entry(index)
        entry, statement = _read(entries[index])
        if index == 0:
            return
        newest = reader.load_key_entry_before(statement.kid, index)
        if newest is None or entry_leaf(reader.load_entry(newest)) != entry.key_leaf_hash:
            raise StorageError(f"the key entry that entry {index} names is not found")
        index = newest


def _read(data: bytes) -> tuple[Entry, Statement]:
    entry = parse_entry(data)
    return entry, parse_statement(entry.statement)


def _take_events(
    reader: EvidenceReader, index: int, positions: Sequence[int], hidden: frozenset[int]
) -> Iterator[BundledEvent]:
    stored = reader.load_events(index)
    leaves = [leaf_hash(one.commitment) for one in stored]
    for position in positions:
        if position >= len(stored):
            raise StorageError(f"event {position} of entry {index} is not stored")
        data = stored[position].data
        if data is not None:
            path = prove_inclusion(leaves, LeafIndex(position))
            yield BundledEvent(index, position, path, _show(data, hidden))


def _show(data: bytes, hidden: frozenset[int]) -> WithheldEvent:
    """Return the event with the parts `hidden` withheld, and with them a hash over all."""
    event = decode_event(data)
    try:
        return withhold(event, hidden)
    except ParseError:
        # Its eventID is a hash over the whole event: it could confirm a guess.
        return withhold(event, hidden | {_IDENTITY})
