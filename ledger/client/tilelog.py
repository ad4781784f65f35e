"""Reads a log that is nothing but static files (C2SP tlog-tiles), served or in a folder.

    checkpoint                          the newest signed note
    tile/<L>/<N>[.p/<W>]                hashes of the tree
    tile/entries/<N>[.p/<W>]            the entries themselves
    events/<N>                          the events of the entries of bundle N, in a folder only

A file of events is CBOR, an array of rows `[index, position, commitment, data or null]` in
that order; a bundle whose entries have no events may have no such file. Nothing else is
asked for, so any server of static files will do.

The rows that come out are those that `ledger.audit` takes from a ledger's folder. A bundle
that does not parse gives the entries up to there and then a row of text that says why. A
file that is not there is a missing row; a server that does not answer is `UnreadableError`.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

import urllib3

from ledger.audit.evidence import Row
from ledger.client.files import UnreadableError
from ledger.client.http import CONNECT_SECONDS_MAX, READ_SECONDS_MAX, parse_ledger_url
from ledger.cose import decode_cbor
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

EVENTS_BYTES_MAX = 256 * 1024 * 1024
FETCHES_AHEAD = 8
MISSING_IN_A_ROW_MAX = 16
TEXT_SHOWN_MAX = 200
_NOT_FOUND = 404
_OK = 200
_LENGTH_BYTES = 2
_EVENT_COLUMNS = 4

T = TypeVar("T")

FetchFile = Callable[[str, int], bytes | None]
"""Returns the file at a path, so many bytes at most and one, or None if there is none."""


class TileLog:
    """A log out of static files: a `ledger.audit.log.StoredEvidence`; use `with`."""

    signed_before = None
    signed_after = None

    def __init__(self, fetch: FetchFile, *, name: str, events: bool) -> None:
        """Read the checkpoint, or raise `UnreadableError`; `events` says that there are any."""
        self._fetch = fetch
        self._threads = ThreadPoolExecutor(FETCHES_AHEAD, "fetch")
        known = {"entry", "tile", "partial", "checkpoint"}
        self.tables = frozenset(known | {"event"} if events else known)
        note = fetch("checkpoint", NOTE_BYTES_MAX)
        if note is None:
            raise UnreadableError(name, "there is no checkpoint")
        self._note = note
        self._size, self._why = _read_size(note)
        self._bundle = lru_cache(2 * FETCHES_AHEAD)(self._read_bundle)
        self._bundles = self._count_bundles()

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
                for n, rows in self._ahead(self._bundle, first):
                    yield rows[max(0, start - n * TILE_WIDTH) :]
            case "event" if table in self.tables:
                for n, rows in self._ahead(self._read_events, first):
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

        for n, data in _windowed(self._threads, read, numbers):
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

    def _ahead(
        self, read: Callable[[int], list[Row]], first: int
    ) -> Iterator[tuple[int, list[Row]]]:
        numbers = iter(range(first, self._bundles))
        return _windowed(self._threads, lambda n: (n, read(n)), numbers)

    def _read_bundle(self, n: int) -> list[Row]:
        start = n * TILE_WIDTH
        width = min(TILE_WIDTH, self._size - start)
        data = self._fetch(bundle_path(n, width), BUNDLE_BYTES_MAX)
        if data is None and width < TILE_WIDTH:  # It may have grown full meanwhile.
            data = self._fetch(bundle_path(n), BUNDLE_BYTES_MAX)
            return list(_split(data, start, TILE_WIDTH))[:width] if data is not None else []
        return list(_split(data, start, width)) if data is not None else []

    def _read_events(self, n: int) -> list[Row]:
        data = self._fetch(events_path(n), EVENTS_BYTES_MAX)
        if data is None:
            return []
        try:
            return parse_events(data)
        except ParseError as error:
            return [(n * TILE_WIDTH, 0, str(error)[:TEXT_SHOWN_MAX], None)]


def open_url(url: str) -> TileLog:
    """Open the log that is served at `url`, http or https, or raise `UnreadableError`."""
    base = parse_ledger_url(url)
    pool = urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=CONNECT_SECONDS_MAX, read=READ_SECONDS_MAX),
        retries=urllib3.Retry(2, redirect=0, backoff_factor=0.2),
        maxsize=FETCHES_AHEAD,
    )

    def fetch(path: str, most: int) -> bytes | None:
        try:
            # Nothing packed: what is read is what was sent, and no more of it than `most`.
            answer = pool.request(
                "GET",
                f"{base}/{path}",
                headers={"Accept-Encoding": "identity"},
                preload_content=False,
                decode_content=False,
            )
            try:
                data = b""
                while len(data) <= most and (chunk := answer.read(65536, decode_content=False)):
                    data += chunk
            finally:
                answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise UnreadableError(f"{base}/{path}", str(error)) from error
        if answer.status == _NOT_FOUND:
            return None
        if answer.status != _OK:
            raise UnreadableError(f"{base}/{path}", f"HTTP status {answer.status}")
        return data

    return TileLog(fetch, name=base, events=False)


def open_export(folder: Path) -> TileLog:
    """Open the exported evidence in `folder`, or raise `UnreadableError`."""

    def fetch(path: str, most: int) -> bytes | None:
        file = folder / path
        try:
            with file.open("rb") as opened:
                return opened.read(most + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UnreadableError(file, error.strerror or str(error)) from error

    return TileLog(fetch, name=str(folder), events=(folder / "events").is_dir())


def events_path(n: int) -> str:
    """Return the path of the events of the entries of bundle `n`."""
    return str(Tile(None, n)).replace("tile/entries/", "events/", 1)


def parse_events(data: bytes) -> list[Row]:
    """Return the rows that a file of events spells, or raise `ParseError`."""
    where = "events"
    if len(data) > EVENTS_BYTES_MAX:
        raise ParseError(where, f"is longer than {EVENTS_BYTES_MAX} bytes")
    rows = decode_cbor(data, where)
    if not isinstance(rows, list):
        raise ParseError(where, "is no array")
    if any(not isinstance(row, list) or len(row) != _EVENT_COLUMNS for row in rows):
        raise ParseError(where, "holds a row that is no array of four")
    return [tuple(row) for row in rows]


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


def _windowed(
    threads: ThreadPoolExecutor, read: Callable[[int], T], numbers: Iterator[int]
) -> Iterator[T]:
    """Yield what `read` returns for each of `numbers`, in order, some of them ahead."""
    waiting: deque[Future[T]] = deque()
    for n in numbers:
        waiting.append(threads.submit(read, n))
        if len(waiting) == FETCHES_AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
