"""Reads a log that is nothing but static files (C2SP tlog-tiles), served or in a folder.

    checkpoint                          the newest signed note
    tile/<L>/<N>[.p/<W>]                hashes of the tree
    tile/entries/<N>[.p/<W>]            the entries themselves
    events/<N>                          the events of the entries of bundle N, in a folder only

A bundle whose entries have no events may have no file of events (`ledger.client.eventsfile`).
Nothing else is asked for, so any server of static files will do.

The rows that come out are those that `ledger.audit` takes from a ledger's folder. A bundle
that does not parse gives the entries up to there and then a row of text that says why. A
file that is not there is a missing row; a server that does not answer is `UnreadableError`.

It always ends, whatever size the checkpoint claims: of a folder no more bundles are read than
it has files, links to folders not followed; and where `BREAKS_MAX` bundles do not continue the
one before them, a server makes them up, and no more is asked for.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

from ledger.audit.evidence import Row
from ledger.client.eventsfile import read_event_rows
from ledger.client.reading import UnreadableError, open_regular
from ledger.entry import entry_leaf, parse_entry
from ledger.errors import ParseError
from ledger.tlog.checkpoint import parse_signed_checkpoint
from ledger.tlog.note import NOTE_BYTES_MAX
from ledger.tlog.tiles import (
    BUNDLE_BYTES_MAX,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_WIDTH,
    Tile,
    bundle_path,
    tile_path,
)

FETCHES_AHEAD = 8
FETCHES_AHEAD_OF_LONG = 2
LONG_BYTES = 1024 * 1024
BUNDLES_REMEMBERED = 4
MISSING_IN_A_ROW_MAX = 16
BREAKS_MAX = 16
TEXT_SHOWN_MAX = 200
_LENGTH_BYTES = 2

T = TypeVar("T")

FetchFile = Callable[[str, int], bytes | None]
"""Returns the file at a path, so many bytes at most and a few, or None if there is none."""

OpenFile = Callable[[str], BinaryIO | None]
"""Opens the file at a path, or returns None if there is none."""


class TileLog:
    """A log out of static files: a `ledger.audit.log.StoredEvidence`; use `with`."""

    signed_before = None
    signed_after = None

    def __init__(
        self,
        fetch: FetchFile,
        *,
        name: str,
        events: OpenFile | None = None,
        bundles_max: int | None = None,
    ) -> None:
        """Read the checkpoint, or raise `UnreadableError`.

        `events` opens files of events, if there are any. There are `bundles_max` bundles at
        most, if that is known.
        """
        self._fetch = fetch
        self._open_events = events
        self._ahead_max = FETCHES_AHEAD
        self._threads = ThreadPoolExecutor(FETCHES_AHEAD, "fetch")
        known = {"entry", "tile", "partial", "checkpoint"}
        self.tables = frozenset(known | {"event"} if events is not None else known)
        note = fetch("checkpoint", NOTE_BYTES_MAX)
        if note is None:
            raise UnreadableError(name, "there is no checkpoint")
        self._note = note
        self._size, self._why = _read_size(note)
        self._bundle = lru_cache(BUNDLES_REMEMBERED)(self._read_bundle)
        self._bundles = self._count_bundles()
        if bundles_max is not None:
            self._bundles = min(self._bundles, bundles_max + MISSING_IN_A_ROW_MAX)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop fetching."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def newest_index(self) -> int:
        """Return the index of the last entry, for the progress."""
        return self._size - 1

    def newest_note(self) -> object:
        """Return the newest signed note, whatever it holds, or None."""
        return self._note

    def batches(self, table: str, start: int = 0) -> Iterator[list[Row]]:
        """Yield the rows of `table` about entries from `start` on."""
        first = start // TILE_WIDTH
        match table:
            case "entry":
                numbers = iter(range(first, self._bundles))
                read = self._windowed(lambda n: (n, self._bundle(n)), numbers)
                for n, rows in _until_made_up(read):
                    yield rows[max(0, start - n * TILE_WIDTH) :]
            case "event" if table in self.tables:
                for n in range(first, self._bundles):
                    for rows in self._read_events(n):
                        yield [row for row in rows if n != first or _reaches(row, start)]
            case "checkpoint":
                yield [(self._size or self._why, self._note)]
            case _:
                return

    def tiles(self, level: int | None, start: int = 0) -> Iterator[Row]:
        """Yield the full tiles of `level` from number `start` on."""
        if level is None:
            return
        full = min(self._size // TILE_WIDTH, self._bundles) >> TILE_HEIGHT * level
        numbers = iter(range(start, full))

        def read(n: int) -> tuple[int, object]:
            return n, self.fetch_tile(level, n)

        for n, data in self._windowed(read, numbers):
            if data:
                yield level, n, data

    def fetch_tile(self, level: int, n: int) -> object:
        """Return the data of one full tile, or None."""
        return self._fetch(tile_path(level, n), TILE_BYTES)

    def fetch_partial(self, level: int, n: int, width: int) -> object:
        """Return the data of the last tile of a level, `width` hashes wide, or None."""
        return self._fetch(tile_path(level, n, width), TILE_BYTES)

    def fetch_entry(self, index: int) -> object:
        """Return the data of one entry, or None."""
        rows = self._bundle(index // TILE_WIDTH) if 0 <= index < self._size else []
        return next((row[1] for row in rows if row[0] == index), None)

    def fetch_place(self, kid: bytes, epoch: int, seq: int) -> object:  # noqa: ARG002
        """Return None: static files do not say who said what where."""
        return None

    def _count_bundles(self) -> int:
        """Return how many bundles to ask for: a checkpoint may claim more than there is."""
        count = -(-self._size // TILE_WIDTH)
        if count <= MISSING_IN_A_ROW_MAX or self._bundle(count - 1):
            return count
        there, gone = -1, count - 1
        while gone - there > 1:
            middle = (there + gone) // 2
            if self._bundle(middle):
                there = middle
            else:
                gone = middle
        return min(count, gone + MISSING_IN_A_ROW_MAX)

    def _windowed(self, read: Callable[[int], T], numbers: Iterator[int]) -> Iterator[T]:
        """Yield what `read` returns for each of `numbers`, in order, some of them ahead."""
        waiting: deque[Future[T]] = deque()
        for n in numbers:
            waiting.append(self._threads.submit(read, n))
            while len(waiting) >= self._ahead_max:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _read_bundle(self, n: int) -> list[Row]:
        start = n * TILE_WIDTH
        width = min(TILE_WIDTH, self._size - start)
        data = self._fetch(bundle_path(n, width), BUNDLE_BYTES_MAX)
        if data is not None:  # Bundles of long entries are not held by the dozen.
            is_long = len(data) > LONG_BYTES
            self._ahead_max = FETCHES_AHEAD_OF_LONG if is_long else FETCHES_AHEAD
        if data is None and width < TILE_WIDTH:  # It may have grown full meanwhile.
            data = self._fetch(bundle_path(n), BUNDLE_BYTES_MAX)
            return list(_split(data, start, TILE_WIDTH))[:width] if data is not None else []
        return list(_split(data, start, width)) if data is not None else []

    def _read_events(self, n: int) -> Iterator[list[Row]]:
        file = self._open_events(events_path(n)) if self._open_events is not None else None
        if file is None:
            return
        with file:
            try:
                yield from read_event_rows(file)
            except ParseError as error:
                yield [(n * TILE_WIDTH, 0, str(error)[:TEXT_SHOWN_MAX], None)]
            except OSError as error:
                raise UnreadableError(events_path(n), error.strerror or str(error)) from error


def open_export(folder: Path) -> TileLog:
    """Open the exported evidence in `folder`, or raise `UnreadableError`."""

    def fetch(path: str, most: int) -> bytes | None:
        file = open_regular(folder / path)
        if file is None:
            return None
        try:
            with file:
                return file.read(most + 1)
        except OSError as error:
            raise UnreadableError(folder / path, error.strerror or str(error)) from error

    has_events = (folder / "events").is_dir()
    return TileLog(
        fetch,
        name=str(folder),
        events=(lambda path: open_regular(folder / path)) if has_events else None,
        bundles_max=sum(len(files) for _, _, files in os.walk(folder / "tile" / "entries")),
    )


def events_path(n: int) -> str:
    """Return the path of the events of the entries of bundle `n`."""
    return str(Tile(None, n)).replace("tile/entries/", "events/", 1)


def _read_size(note: bytes) -> tuple[int, str]:
    """Return the size that a note claims, or 0 and why it claims none."""
    try:
        return int(parse_signed_checkpoint(note).checkpoint.size), ""
    except ParseError as error:
        return 0, str(error)


def _split(data: bytes, start: int, width: int) -> Iterator[Row]:
    """Yield (index, entry) of a bundle, and a row of text where it breaks off."""
    at = 0
    for index in range(start, start + width):
        begin = at + _LENGTH_BYTES
        at = begin + int.from_bytes(data[at:begin], "big")
        if begin > len(data) or at > len(data):
            yield index, f"the bundle ends inside entry {index}"
            return
        yield index, data[begin:at]
    if at != len(data):
        yield start + width - 1, f"the bundle has {len(data) - at} bytes after its last entry"


def _reaches(row: Row, start: int) -> bool:
    return not isinstance(row[0], int) or row[0] >= start


def _until_made_up(bundles: Iterator[tuple[int, list[Row]]]) -> Iterator[tuple[int, list[Row]]]:
    """Yield `bundles` until too many of them do not continue the one before."""
    breaks = 0
    last: object = None
    for n, rows in bundles:
        if rows and last is not None and not _continues(rows[0][1], last):
            breaks += 1
        if breaks > BREAKS_MAX:
            why = f"{BREAKS_MAX} bundles before this one do not continue the one before them"
            yield n, [(n * TILE_WIDTH, f"not read: {why}")]
            return
        yield n, rows
        last = rows[-1][1] if rows else None


def _continues(data: object, last: object) -> bool:
    """Whether the entry `data` names the entry `last` as the one before it."""
    try:
        if not isinstance(data, bytes) or not isinstance(last, bytes):
            return False
        return parse_entry(data).prev_leaf_hash == entry_leaf(last)
    except ParseError:
        return False
