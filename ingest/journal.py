"""The inbox's journal: payloads appended to files, many with one flush.

A database writes a large value at least twice, in pages, and flushes them one after the other.
Appended to a file and flushed once, it costs a third of that, and what is old goes with its
file. The database keeps an index of it, which this journal can restore.

    inbox/000000000001.journal        a row of groups, one a commit of the inbox:

    "TTJ1" | size of the table, u32 | size of the payloads, u64 | CRC-32 of the table, u32
    the payloads, one after the other
    the table, MessagePack: [messages, repeats]
        message  [id, SHA-256, topic, payload's size, received µs, monotonic µs, properties,
                  oversize]
        repeat   [SHA-256, received µs of the last that was kept]

Integers of the head are big-endian. A payload is checked by its message's SHA-256, so no byte
is hashed twice. A file is left for the next once it has `SEGMENT_BYTES` or more.

What survives a crash: each group from which `append` returned. One that is not whole is
dropped when the journal is next recovered; nobody was told that it is there. One that is
whole counts, although nobody may have been told.

Refused, with the file's name: a file that is shorter than the index says.

Whoever owns these files can read and delete what was received; what he changes no longer has
the hash that the events cite.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from ingest.database import SpoolError
from ingest.reads import message_hash

FOLDER = "inbox"
SEGMENT_BYTES = 64 * 1024 * 1024
_MAGIC = b"TTJ1"
_HEAD = struct.Struct("!4sIQI")
_PARTS_MAX = 1_000  # Linux takes 1,024 in one call
_SUFFIX = ".journal"


class Place(NamedTuple):
    """Where something is: the number of a file, from 1, and the offset in bytes."""

    segment: int
    offset: int


class Noted(NamedTuple):
    """What the journal says of a message beside its payload; see `ingest.reads.Message`."""

    id: int
    sha256: bytes
    topic: str
    size: int
    received_us: int
    monotonic_us: int
    properties: bytes
    oversize: int


class Repeat(NamedTuple):
    """A message that came once more; `last_us` is when it was last kept."""

    sha256: bytes
    last_us: int


@dataclass(frozen=True, slots=True)
class Group:
    """What is appended at once; `noted` and `payloads` go side by side."""

    noted: Sequence[Noted]
    payloads: Sequence[bytes]
    repeats: Sequence[Repeat]


class Found(NamedTuple):
    """A group that the index did not know: what it says, and where its payloads begin.

    `tail` is where it ends.
    """

    place: Place
    noted: list[Noted]
    repeats: list[Repeat]
    tail: Place


class _Table(msgspec.Struct, array_like=True, frozen=True):
    noted: list[Noted]
    repeats: list[Repeat]


class Journal:
    """One thread's hold on the journal; who appends or recovers holds the index's lock."""

    def __init__(self, folder: Path) -> None:
        """Open the journal of the gateway in `folder`; nothing is made before it is needed."""
        self._folder = folder / FOLDER
        self._files: dict[int, int] = {}

    def close(self) -> None:
        """Give the files back."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def next_place(self, tail: Place) -> Place:
        """Return where the payloads of a group begin that is appended at `tail`."""
        at = _start(tail)
        return Place(at.segment, at.offset + _HEAD.size)

    def append(self, tail: Place, group: Group) -> Place:
        """Append `group` at `tail`, flush it, and return the new tail.

        Raises `SpoolError` where the disk refuses: then `tail` is the tail still.
        """
        at = _start(tail)
        table = msgspec.msgpack.encode(_Table(list(group.noted), list(group.repeats)))
        size = sum(map(len, group.payloads))
        head = _HEAD.pack(_MAGIC, len(table), size, zlib.crc32(table))
        end = at.offset + len(head) + size + len(table)
        try:
            file = self._open(at.segment, is_new=not at.offset)
            try:
                _write(file, at.offset, [head, *group.payloads, table])
                os.fdatasync(file)
            except OSError:
                # What was written is not on the disk, whatever a later look may see of it.
                os.ftruncate(file, at.offset)
                raise
        except OSError as error:
            raise SpoolError(f"{self._path(at.segment)}: {error.strerror}") from error
        return Place(at.segment, end)

    def is_at_end(self, tail: Place) -> bool:
        """Whether nothing is behind `tail`; raises `SpoolError` where not even it is there."""
        at = _start(tail)
        try:
            file = self._open(at.segment, is_new=not at.offset)
            size = os.fstat(file).st_size
        except OSError as error:
            raise SpoolError(f"{self._path(at.segment)}: {error.strerror}") from error
        if size < at.offset:
            raise SpoolError(
                f"{self._path(at.segment)}: has {size} bytes where {at.offset} were written:"
                " restore it with inbox.db, or move both away to begin anew"
            )
        return size == at.offset

    def recover(self, tail: Place) -> tuple[list[Found], Place]:
        """Return the whole groups behind `tail` and the new tail; drop what is not whole.

        Payloads are read and hashed. What is returned is on the disk.
        """
        groups: list[Found] = []
        while True:
            at = _start(tail)
            if self.is_at_end(tail):
                return groups, tail
            group = self._group(at)
            if group is None:
                file = self._open(at.segment)
                os.ftruncate(file, at.offset)
                os.fdatasync(file)
                return groups, tail
            if not groups:
                os.fdatasync(self._open(at.segment))
            groups.append(group)
            tail = group.tail

    def read(self, place: Place, size: int) -> bytes:
        """Return `size` bytes of payloads at `place`; raises `SpoolError` if they are gone."""
        try:
            data = os.pread(self._open(place.segment), size, place.offset)
        except OSError as error:
            raise SpoolError(f"{self._path(place.segment)}: {error.strerror}") from error
        if len(data) < size:
            raise SpoolError(f"{self._path(place.segment)}: ends before {sum(place[1:], size)}")
        return data

    def segments(self) -> list[int]:
        """Return the numbers of the files that are there, in order."""
        names = [one.name for one in self._folder.glob(f"*{_SUFFIX}")]
        return sorted(int(one.removesuffix(_SUFFIX)) for one in names)

    def remove(self, segment: int) -> int:
        """Delete a file that nothing refers to any more; returns how many bytes it had."""
        file = self._files.pop(segment, None)
        if file is not None:
            os.close(file)
        path = self._path(segment)
        size = 0
        with suppress(FileNotFoundError):
            size = path.stat().st_size
            path.unlink()
        return size

    def _group(self, at: Place) -> Found | None:
        """Return the group at `at`, None where it is not whole."""
        head = self._read(at, _HEAD.size)
        if len(head) < _HEAD.size or not head.startswith(_MAGIC):
            return None
        _, table_size, size, crc = _HEAD.unpack(head)
        place = Place(at.segment, at.offset + _HEAD.size)
        table = self._read(Place(at.segment, place.offset + size), table_size)
        if len(table) < table_size or zlib.crc32(table) != crc:
            return None
        try:
            read = msgspec.msgpack.decode(table, type=_Table)
        except msgspec.MsgspecError:
            return None
        offset = place.offset
        for one in read.noted:
            payload = self._read(Place(at.segment, offset), one.size)
            if not one.oversize and message_hash(one.topic, payload) != one.sha256:
                return None
            offset += one.size
        tail = Place(at.segment, place.offset + size + table_size)
        return Found(place, read.noted, read.repeats, tail)

    def _read(self, place: Place, size: int) -> bytes:
        return os.pread(self._open(place.segment), size, place.offset)

    def _open(self, segment: int, *, is_new: bool = False) -> int:
        file = self._files.get(segment)
        if file is not None:
            return file
        while len(self._files) > 1:  # the one that is appended to, and one that is read
            os.close(self._files.pop(min(self._files)))
        path = self._path(segment)
        if not is_new or path.exists():
            flags = os.O_RDWR if os.access(path, os.W_OK) else os.O_RDONLY
            self._files[segment] = file = os.open(path, flags | os.O_CLOEXEC)
            return file
        self._folder.mkdir(exist_ok=True)
        self._files[segment] = file = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644
        )
        for folder in (self._folder, self._folder.parent):
            _flush_folder(folder)
        return file

    def _path(self, segment: int) -> Path:
        return self._folder / f"{segment:012d}{_SUFFIX}"


def _start(tail: Place) -> Place:
    """Return where the next group begins: a full file is left for the next."""
    return Place(tail.segment + 1, 0) if tail.offset >= SEGMENT_BYTES else tail


def _write(file: int, offset: int, parts: Sequence[bytes]) -> None:
    for first in range(0, len(parts), _PARTS_MAX):
        some = parts[first : first + _PARTS_MAX]
        size = sum(map(len, some))
        done = os.pwritev(file, some, offset)
        if done < size:
            rest = memoryview(b"".join(some))[done:]
            while rest:
                rest = rest[os.pwrite(file, rest, offset + size - len(rest)) :]
        offset += size


def _flush_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    file = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
