"""Reads the entries in order and follows the log's own hash chain (checks 1 and 2).

Entry k + 1 holds the leaf hash of entry k. Where the two disagree one of them was changed,
and the audit says which: entry k + 2 knows entry k + 1 as it was, and a signed root knows
the newest. What follows is then judged with the hash that the neighbours vouch for, so that
one change in the log is one finding here and not one for every root above it.

A row missing from the middle is known by its hash as well: from the entry after it.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ledger.audit.finding import Finding
from ledger.audit.stored import check_row, row_index
from ledger.entry import Entry, encode_entry, entry_leaf, parse_entry
from ledger.errors import ParseError
from ledger.statement import Statement, parse_statement
from ledger.tlog.merkle import Hash

MISSING_IN_A_ROW_MAX = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One place of the log as it was read; each None is something that is not there."""

    index: int
    entry: Entry | None = None
    statement: Statement | None = None
    leaf: Hash | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """One place of the log with the leaf hash that its neighbours vouch for.

    `leaf` is None if the entry is missing and nobody knows its hash; `changed` says that
    the stored bytes are not those that were chained.
    """

    index: int
    entry: Entry | None
    statement: Statement | None
    leaf: Hash | None
    changed: bool


Vouches = Callable[[Sequence[Hash]], bool]
"""Tells whether a signed root knows these hashes as the next leaves of the tree."""


def read_entries(rows: Iterable[Sequence[object]], first: int = 0) -> Iterator[Read | Finding]:
    """Yield a `Read` for every index from `first` on, without a hole, and what is wrong.

    `rows` are those of the table `entry` in the order of idx. A hole wider than
    `MISSING_IN_A_ROW_MAX` ends the log: what lies beyond is reported and left out.
    """
    index = first
    for row in rows:
        wrong = check_row("entry", row)
        if wrong is not None:
            yield wrong
        at, data = row
        if not isinstance(at, int) or at < index or at - index > MISSING_IN_A_ROW_MAX:
            yield _out_of_place(row, index)
            continue
        if at > index:
            yield _missing(index, at)
            yield from (Read(index=hole) for hole in range(index, at))
        index = at + 1
        if isinstance(data, bytes):
            yield from _read_entry(at, data)
        else:
            yield Read(index=at)


def follow_chain(
    reads: Iterable[Read | Finding], *, vouches: Vouches
) -> Iterator[Linked | Finding]:
    """Yield every place of the log with the hash that is vouched for, and broken links.

    Each `Linked` must be put into the tree before the next is asked for: `vouches` is asked
    about the leaves that come next.
    """
    window: list[Read] = []
    known: Hash | None = None
    for read in reads:
        if isinstance(read, Finding):
            yield read
            continue
        window.append(read)
        if len(window) > 2:  # noqa: PLR2004  # One entry, and the two after it.
            known = yield from _judge(window, known, vouches)
            del window[0]
    while window:
        known = yield from _judge(window, known, vouches)
        del window[0]


def _judge(
    window: Sequence[Read], known: Hash | None, vouches: Vouches
) -> Generator[Linked | Finding, None, Hash | None]:
    """Yield the first of `window`, linked; return what the next one's hash must be, if known.

    `known` is the hash that this one must have, if the step before found out.
    """
    read, follower = window[0], window[1] if len(window) > 1 else None
    leaf = known or read.leaf
    named = follower.entry.prev_leaf_hash if follower and follower.entry else None
    known_next = None
    if named is not None and leaf is None:
        leaf = Hash(named)
    elif named is not None and leaf is not None and named != leaf:
        assert follower is not None
        assert follower.entry is not None
        relinked = entry_leaf(encode_entry(replace(follower.entry, prev_leaf_hash=leaf)))
        match _who_changed(window, leaf, relinked, vouches):
            case "follower":
                known_next = relinked
                yield _broken_link(follower, expected=leaf, computed=Hash(named))
            case "this":
                yield _changed_entry(read.index, expected=Hash(named), computed=leaf)
                leaf = Hash(named)
            case _:
                yield _one_of_two(read.index, expected=Hash(named), computed=leaf)
    yield Linked(
        index=read.index,
        entry=read.entry,
        statement=read.statement,
        leaf=leaf,
        changed=read.leaf is None or read.leaf != leaf,
    )
    return known_next


def _who_changed(window: Sequence[Read], leaf: Hash, relinked: Hash, vouches: Vouches) -> str:
    read, follower = window[0], window[1]
    assert follower.entry is not None
    assert follower.leaf is not None
    if read.entry is None or read.statement is None:
        return "this"
    third = window[2].entry if len(window) > 2 else None  # noqa: PLR2004
    if third is not None:
        return "follower" if third.prev_leaf_hash == relinked else "this"
    if vouches((leaf, relinked)):
        return "follower"
    return (
        "this" if vouches((Hash(follower.entry.prev_leaf_hash), follower.leaf)) else "unknown"
    )


def _read_entry(index: int, data: bytes) -> Iterator[Read | Finding]:
    leaf = entry_leaf(data)
    try:
        entry = parse_entry(data)
    except ParseError as error:
        yield _misspelt(index, "entry.data", error)
        yield Read(index=index, leaf=leaf)
        return
    try:
        statement = parse_statement(entry.statement)
    except ParseError as error:
        yield _misspelt(index, "entry.data: statement", error)
        yield Read(index=index, entry=entry, leaf=leaf)
        return
    yield Read(index=index, entry=entry, statement=statement, leaf=leaf)


def _misspelt(index: int, field: str, error: ParseError) -> Finding:
    return Finding(
        check=1,
        index=index,
        field=field,
        expected="the one spelling of its format",
        computed=str(error),
        what=f"Entry {index} does not parse, so its bytes are not what the log took in.",
    )


def _out_of_place(row: Sequence[object], index: int) -> Finding:
    return Finding(
        check=1,
        index=row_index("entry", row),
        field="entry.idx",
        expected=str(index),
        computed=str(row[0]),
        what=f"The row after entry {index - 1} has an idx that cannot follow it.",
    )


def _missing(first: int, end: int) -> Finding:
    which = f"Entry {first} is" if end == first + 1 else f"Entries {first} to {end - 1} are"
    return Finding(
        check=2,
        index=first,
        field="entry",
        expected=f"entry {first}",
        computed="no such row",
        what=f"{which} missing: the rows before and after are there.",
    )


def _changed_entry(index: int, *, expected: Hash, computed: Hash) -> Finding:
    return Finding(
        check=2,
        index=index,
        field="entry.data",
        expected=expected.hex(),
        computed=computed.hex(),
        what=f"Entry {index} is not the one that entry {index + 1} was chained to: "
        f"entry {index} was changed.",
    )


def _broken_link(read: Read, *, expected: Hash, computed: Hash) -> Finding:
    return Finding(
        check=2,
        index=read.index,
        field="entry.data: prev_leaf_hash",
        expected=expected.hex(),
        computed=computed.hex(),
        what=f"Entry {read.index} was changed: it no longer names the entry before it.",
    )


def _one_of_two(index: int, *, expected: Hash, computed: Hash) -> Finding:
    return Finding(
        check=2,
        index=index,
        field="entry.data",
        expected=expected.hex(),
        computed=computed.hex(),
        what=f"Entry {index} or entry {index + 1}, the newest, was changed: they no longer "
        "fit, and no signed root covers both.",
    )
