"""A log that takes anything: what an operator can make who keeps no rule."""

from collections.abc import Sequence
from pathlib import Path

from ledger.disclosure import SubmittedEvent, commitment, encode_event
from ledger.entry import Entry, encode_entry, entry_leaf, parse_entry
from ledger.errors import ParseError
from ledger.projection import event_row_id
from ledger.statement import NO_HASH, parse_statement
from ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from ledger.tlog.merkle import Hash, TreeSize, tree_root
from ledger.tlog.note import Ed25519Signer as NoteSigner
from ledger.tlog.tiles import TileEdge
from ledger.trust.authority import key_leaf_for
from ledger.trust.state import TrustState, fold_entry, kids_about
from tests.attacks.forger import forge
from tests.ledger.memory_log import ORIGIN, signer_named

Said = tuple[bytes, Sequence[SubmittedEvent]]


def append_unjudged(folder: Path, *said: bytes | Said, times_us: Sequence[int] = ()) -> int:
    """Add statements to the end whatever they say, and sign; return the index of the first.

    Links, tiles, lookup tables, checkpoint and signed.db are all as an honest log would
    make them. `times_us` are record times; without, each is a second after the one before.
    """
    with forge(folder) as evidence:
        rows = evidence.execute("SELECT data FROM entry ORDER BY idx").fetchall()
        entries = [data for (data,) in rows]
        state, leaves, edge = TrustState(ORIGIN), [], TileEdge()
        for index, data in enumerate(entries):
            leaves.append(entry_leaf(data))
            edge.append(leaves[-1])
            fold_entry(state, index, parse_statement(parse_entry(data).statement), leaves[-1])
        first = len(entries)
        last = parse_entry(entries[-1])
        for n, item in enumerate(said):
            raw, events = item if isinstance(item, tuple) else (item, ())
            time_us = times_us[n] if times_us else last.record_time_us + 1_000_000
            index = first + n
            last = Entry(time_us, leaves[-1], _key_leaf(state, raw), raw)
            leaves.append(entry_leaf(encode_entry(last)))
            evidence.execute("INSERT INTO entry VALUES (?, ?)", (index, encode_entry(last)))
            for tile, data in edge.append(leaves[-1]):
                evidence.execute(
                    "INSERT INTO tile VALUES (?, ?, ?)", (tile.level, tile.index, data)
                )
            for position, event in enumerate(events):
                row = (event_row_id(index, position), commitment(event), encode_event(event))
                evidence.execute("INSERT INTO event VALUES (?, ?, ?)", row)
            _look_up(evidence.execute, index, raw)
            _fold(state, index, raw, leaves[-1])
        note = sign(leaves)
        evidence.execute("INSERT INTO checkpoint VALUES (?, ?)", (len(leaves), note))
    with forge(folder, "signed.db") as signed:
        signed.execute("UPDATE signed SET size = ?, root = ?", (len(leaves), tree_root(leaves)))
    return first


def sign(leaves: Sequence[Hash], *more: NoteSigner) -> bytes:
    """Return a signed note over `leaves`."""
    size, root = TreeSize(len(leaves)), tree_root(leaves)
    checkpoint = Checkpoint(origin=ORIGIN, size=size, root=root)
    return sign_checkpoint(checkpoint, [NoteSigner(ORIGIN, signer_named("log")), *more])


def load_leaves(folder: Path) -> list[Hash]:
    """Return the leaf hashes of a ledger."""
    with forge(folder) as evidence:
        rows = evidence.execute("SELECT data FROM entry ORDER BY idx").fetchall()
    return [entry_leaf(data) for (data,) in rows]


def _key_leaf(state: TrustState, raw: bytes) -> Hash:
    try:
        return key_leaf_for(state, parse_statement(raw))
    except ParseError:
        return NO_HASH


def _look_up(execute: object, index: int, raw: bytes) -> None:
    try:
        statement = parse_statement(raw)
    except ParseError:
        return
    place = (statement.kid, statement.epoch, statement.seq, index)
    execute("INSERT OR IGNORE INTO chain VALUES (?, ?, ?, ?)", place)  # type: ignore[operator]
    for kid in kids_about(statement):
        execute("INSERT INTO key_entry VALUES (?, ?)", (kid, index))  # type: ignore[operator]


def _fold(state: TrustState, index: int, raw: bytes, leaf: Hash) -> None:
    try:
        fold_entry(state, index, parse_statement(raw), leaf)
    except (ParseError, KeyError):
        return
