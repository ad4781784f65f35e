"""What the audit reads quickly means the same as what is read carefully, or goes there."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256

import msgspec
import pytest

from ledger.audit.chunk import read_parts, split_whole
from ledger.audit.runs import RunReader
from ledger.audit.usual import read_statement
from ledger.disclosure import WholeEvent, decode_event, encode_event
from ledger.entry import encode_entry, entry_leaf, parse_entry
from ledger.epcis.parts import check_part, join_parts
from ledger.errors import ParseError
from ledger.statement import (
    NO_HASH,
    Capture,
    Claims,
    Link,
    Seen,
    parse_statement,
    sign_statement,
)
from ledger.tlog.merkle import EMPTY_ROOT, Hash
from tests.attacks.ledgers import event
from tests.ledger.memory_log import ORIGIN, Cast, full_cast, signer_named

ROOT = Hash(sha256(b"root").digest())
NUMBERS = (0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1)


def read_whole(parts: Sequence[bytes | None]) -> dict[str, object] | None:
    """Return the fields of all eight parts, if they are spelled as usual."""
    items = read_parts(parts, [n for n, part in enumerate(parts) if part is not None])
    return None if items is None else {k: v for item in items for k, v in item.items()}


def captures() -> Iterator[bytes]:
    signer = signer_named("quick")
    for n, number in enumerate(NUMBERS):
        link = Link(number, NUMBERS[-1 - n], ROOT, Seen(number or 1, ROOT) if n % 2 else None)
        claims = Claims("https://id.gs1.org/417/9506000134352", ORIGIN, number)
        count = number if number <= 65_536 else 1
        yield sign_statement(
            signer, claims, link, Capture(n % 4, count, ROOT if count else EMPTY_ROOT)
        )


def outcome(read: object, data: bytes) -> object:
    try:
        return read(data)  # type: ignore[operator]
    except ParseError:
        return "refused"


def mutants(data: bytes, dice: random.Random, count: int) -> Iterator[bytes]:
    for _ in range(count):
        at = dice.randrange(len(data))
        kind = dice.randrange(4)
        if kind == 0:
            yield data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]
        elif kind == 1:
            yield data[:at] + data[at + 1 :]
        elif kind == 2:
            yield data[:at] + bytes([dice.randrange(256)]) + data[at:]
        else:
            yield data[:at]


def test_a_capture_in_one_match_is_what_the_parser_says() -> None:
    for raw in captures():
        assert read_statement(raw) == parse_statement(raw)


def test_no_mutant_of_a_statement_passes_one_reader_alone() -> None:
    dice = random.Random(5)
    for raw in captures():
        for mutant in mutants(raw, dice, 400):
            assert outcome(read_statement, mutant) == outcome(parse_statement, mutant)


def test_a_whole_event_splits_as_it_decodes() -> None:
    dice = random.Random(6)
    for n in range(20):
        data = encode_event(event(n, 0))
        decoded = decode_event(data)
        assert isinstance(decoded, WholeEvent)
        assert split_whole(data) == list(decoded.parts)
        for mutant in mutants(data, dice, 300):
            parts = split_whole(mutant)
            careful = outcome(decode_event, mutant)
            if parts is None or careful == "refused":
                continue  # Then it is read carefully, or refused when its parts are.
            assert isinstance(careful, WholeEvent)
            assert parts == list(careful.parts)


PARTS = (
    (7, b'{"a":1,"a":2}'),
    (7, b'{"a":{"b":1,"b":1}}'),
    (7, b'{"a":"\xff"}'),
    (7, b'{"a":"\xed\xa0\x80"}'),
    (7, b'{"a":"\\ud800"}'),
    (7, b'{"a":NaN}'),
    (7, b'{"a":1e400}'),
    (7, b'{"a":' + b"1" * 5000 + b"}"),
    (7, b'{"a":' + b"[" * 64 + b"]" * 64 + b"}"),
    (7, b'{"a":' + b"[" * 63 + b"]" * 63 + b"}"),
    (7, b'{"recordTime":1}'),
    (7, b'{"type":"ObjectEvent"}'),
    (7, b"{}"),
    (7, b"[]"),
    (7, b'\xef\xbb\xbf{"a":1}'),
    (7, b' {"a":1}'),
    (7, b'{"a":1E2,"b":-0,"c":0.1,"d":"\\u0041"}'),
    (2, b'{"action":"ADD","epcList":[]}'),
    (2, b'{"type":"ObjectEvent"}'),
    (0, b'{"eventID":"x","eventTime":"y"}'),
)


def eight(*some: tuple[int, bytes]) -> list[bytes | None]:
    parts = dict(some)
    return [parts.get(n) for n in range(8)]


@pytest.mark.parametrize(("n", "part"), PARTS, ids=range(len(PARTS)))
def test_what_is_read_quickly_passes_check_part(n: int, part: bytes) -> None:
    quick = read_whole(eight((n, part)))
    try:
        check_part(n, part)
    except ParseError:
        assert quick is None
    else:
        assert quick in (None, msgspec.json.decode(part))


def test_parts_that_are_only_right_together_are_not_read_quickly() -> None:
    parts = eight((0, b'{"eventID":1},{"b":2}'), (6, b'{"c":[{}'), (7, b'{"x":1}]}'))
    assert read_whole(parts) is None
    assert read_whole(eight((0, b'{"eventID":1},{"b":2}'))) is None
    assert read_whole(eight((0, b""), (1, b""))) is None


def test_parts_as_they_usually_are_are_read_quickly() -> None:
    for n in range(5):
        parts = event(n, 0).parts
        assert read_whole(parts) == join_parts(parts)


@pytest.fixture(scope="module")
def cast() -> Cast:
    cast = full_cast()
    for _ in range(600):
        cast.log.say(cast.gateway, Capture(2, 1, ROOT))
    return cast


def runs_over(entries: list[bytes], *, statements: bool = True) -> tuple[int, int]:
    """Return how many entries were in runs, and at which index reading stopped."""
    rows = list(enumerate(entries))
    batches = [rows[at : at + 100] for at in range(0, len(rows), 100)]
    reader = RunReader(batches, first=0, previous=NO_HASH, statements=statements)
    total = 0
    for run in reader:
        assert run.first == total
        assert list(run.leaves) == [
            entry_leaf(entry) for entry in entries[total : total + len(run.leaves)]
        ]
        total += len(run.leaves)
        assert total % 256 == 0 or total == len(entries)
    assert [row[1] for row in reader.rest()] == entries[reader.next_index :]
    return total, reader.next_index


def test_entries_that_are_right_come_in_whole_tiles(cast: Cast) -> None:
    assert runs_over(cast.log.entries) == (605, 605)
    assert runs_over(cast.log.entries, statements=False) == (605, 605)


@pytest.mark.parametrize("index", [0, 1, 255, 256, 257, 511, 512, 604])
@pytest.mark.parametrize("statements", [True, False])
def test_reading_stops_before_the_tile_of_an_entry_that_was_changed(
    cast: Cast, index: int, *, statements: bool
) -> None:
    dice = random.Random(index)
    data = cast.log.entries[index]
    for mutant in mutants(data, dice, 60):
        if mutant == data:
            continue
        entries = [*cast.log.entries[:index], mutant, *cast.log.entries[index + 1 :]]
        total, _ = runs_over(entries, statements=statements)
        # Nothing vouches for the newest but its own spelling.
        newest = index == 604 and outcome(parse_entry, mutant) != "refused"
        assert total <= index or newest, mutant.hex()


def test_a_time_that_falls_and_an_entry_of_unusual_lengths_are_not_passed_over(
    cast: Cast,
) -> None:
    last = parse_entry(cast.log.entries[-1])
    early = encode_entry(replace(last, record_time_us=last.record_time_us - 10_000_000))
    total, _ = runs_over([*cast.log.entries[:-1], early])
    assert total == 512
    short = encode_entry(replace(last, record_time_us=7, statement=b"short"))
    assert runs_over([*cast.log.entries[:-1], short], statements=False)[0] == 512


def test_a_cut_head_is_no_usual_entry(cast: Cast) -> None:
    for size in range(120):
        cut = cast.log.entries[300][:size]
        entries = [*cast.log.entries[:300], cut, *cast.log.entries[301:]]
        assert runs_over(entries, statements=False)[0] == 256
