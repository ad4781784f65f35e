"""Recalls at a start what the rules need of all entries before, without reading them all.

Read are the entries about keys, those that log keys signed (anchors, equivocations), and
the newest of each chain: the cost grows with keys, not with statements.
"""

from collections.abc import Iterator

from ledger.entry import parse_entry
from ledger.statement import Key, Statement, parse_statement
from ledger.store.evidence import EvidenceReader
from ledger.tlog.merkle import Hash, leaf_hash
from ledger.trust.state import LOG, TrustState, kids_about, restore


def load_statement(reader: EvidenceReader, index: int) -> Statement:
    """Return the statement in the stored entry at `index`."""
    return parse_statement(parse_entry(reader.load_entry(index)).statement)


def load_state(reader: EvidenceReader, origin: str) -> TrustState:
    """Return the fold of all stored entries of the log called `origin`."""
    newest = [
        (end.index, load_statement(reader, end.index)) for end in reader.load_chain_ends()
    ]
    return restore(origin, _shaping_entries(reader), newest)


def _shaping_entries(reader: EvidenceReader) -> Iterator[tuple[int, Statement, Hash]]:
    """Yield the entries that shape trust, in the order of the log."""
    indexes = set(reader.load_key_entry_indexes())
    for kid in {kid for index in indexes for kid in _log_kids(load_statement(reader, index))}:
        indexes.update(reader.load_chain_indexes(kid))
    for index in sorted(indexes):
        data = reader.load_entry(index)
        yield index, parse_statement(parse_entry(data).statement), leaf_hash(data)


def _log_kids(statement: Statement) -> tuple[Hash, ...]:
    """Return the keys of role `log` that `statement` is about."""
    about_log = isinstance(statement.body, Key) and statement.body.role == LOG
    return kids_about(statement) if about_log else ()
