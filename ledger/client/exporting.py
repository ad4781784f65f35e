"""Writes a ledger's evidence as static files, which anyone can serve, copy and verify.

    checkpoint                     the newest signed note that is stored
    tile/<L>/<N>[.p/<W>]           hashes of the tree          C2SP tlog-tiles
    tile/entries/<N>[.p/<W>]       the entries                 C2SP tlog-tiles
    events/<N>                     CBOR: [index, position, commitment, data or null] each

Entries past the checkpoint are left out. What is in the database is written as it is, good
or bad: an export makes no evidence true, and an audit of it finds what an audit of the
ledger finds in entries, tiles, checkpoint and events. Whom to trust is not in it.

The folder is made under a temporary name and renamed when it is whole, so a crash here
leaves no half export behind its name.
"""

import shutil
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from ledger.audit.evidence import Row
from ledger.client.files import LedgerFiles
from ledger.client.reading import UnreadableError
from ledger.client.tilelog import events_path
from ledger.cose import encode_byte_string, encode_cbor, encode_head
from ledger.errors import RefusedError, TagtrailError
from ledger.tlog.checkpoint import parse_signed_checkpoint
from ledger.tlog.merkle import Hash, leaf_hash
from ledger.tlog.tiles import TILE_WIDTH, TileEdge, bundle_path, encode_bundle

_ARRAY = 4


def export_evidence(folder: Path, out: Path) -> int:
    """Write the evidence of the ledger in `folder` to the new folder `out`; return its size.

    Raises `UnreadableError` for what cannot be read or is not there as far as the newest
    checkpoint says, and `RefusedError` if `out` is there already.
    """
    if out.exists():
        raise RefusedError("exists", f"{out} is there already")
    draft = out.with_name(out.name + ".new")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        with LedgerFiles(folder) as files:
            note = files.newest_note()
            if not isinstance(note, bytes):
                raise UnreadableError(folder, "it has no checkpoint yet")
            size = int(parse_signed_checkpoint(note).checkpoint.size)
            _write_entries(files, draft, size)
            _write_events(files, draft, size)
            _write(draft, "checkpoint", note)
        draft.rename(out)
    except OSError as error:
        raise TagtrailError(f"{out} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return size


def _write_entries(files: LedgerFiles, draft: Path, size: int) -> None:
    """Write bundles and the tiles over them."""
    rows = chain.from_iterable(files.batches("entry"))
    edge = TileEdge()
    for start in range(0, size, TILE_WIDTH):
        entries = list(_take(rows, start, min(start + TILE_WIDTH, size)))
        _write(draft, bundle_path(start // TILE_WIDTH, len(entries)), encode_bundle(entries))
        for entry in entries:
            for tile, data in edge.append(Hash(leaf_hash(entry))):
                _write(draft, str(tile), data)
    for tile, data in edge.partial():
        _write(draft, str(tile), data)


def _take(rows: Iterator[Row], start: int, end: int) -> Iterator[bytes]:
    for index in range(start, end):
        row = next(rows, None)
        if row is None or row[0] != index or not isinstance(row[1], bytes):
            raise UnreadableError("evidence.db", f"it has no entry {index}: verify it first")
        yield row[1]


def _write_events(files: LedgerFiles, draft: Path, size: int) -> None:
    """Write the rows of each bundle's events to a file of their own."""
    (draft / "events").mkdir(parents=True)
    held: list[bytes] = []
    number = 0
    for row in chain.from_iterable(files.batches("event")):
        index = row[0]
        if not isinstance(index, int) or not 0 <= index < size:
            continue
        if index // TILE_WIDTH != number and held:
            _write_rows(draft, number, held)
            held = []
        number = index // TILE_WIDTH
        held.append(_encode_row(row))
    if held:
        _write_rows(draft, number, held)


def _encode_row(row: Row) -> bytes:
    index, position, commitment, data = row
    last = encode_byte_string(data) if isinstance(data, bytes) else encode_cbor(data)
    return b"".join(
        (encode_head(_ARRAY, len(row)), *map(encode_cbor, (index, position, commitment)), last)
    )


def _write_rows(draft: Path, number: int, rows: list[bytes]) -> None:
    _write(draft, events_path(number), encode_head(_ARRAY, len(rows)) + b"".join(rows))


def _write(draft: Path, path: str, data: bytes) -> None:
    file = draft / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
