"""A SQLite VFS whose n-th write, truncation or flush fails, tears, or kills the process.

It stands between SQLite and the file system: a shim around the default VFS, registered
through the C interface of the very library that Python's `sqlite3` is linked with. So the
faults hit where a disk's would, under SQLite, and SQLite itself decides what they mean.

A process that is killed leaves to the kernel what it wrote. When the power fails, what was
not flushed may be gone: the shim then puts every file back to its last flush, and dies.

Needs a shared libsqlite3; `load_library` says None where Python carries its own.
"""

import ctypes
import errno
import os
import signal
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

SQLITE_OK = 0
SQLITE_FULL = 13
IOERR_WRITE = 10 | 3 << 8
IOERR_FSYNC = 10 | 4 << 8
IOERR_TRUNCATE = 10 | 6 << 8

_POINTER = ctypes.c_void_p
_WRITE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, _POINTER, ctypes.c_int, ctypes.c_int64)
_TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, ctypes.c_int64)
_SYNC = ctypes.CFUNCTYPE(ctypes.c_int, _POINTER, ctypes.c_int)
_OPEN = ctypes.CFUNCTYPE(
    ctypes.c_int,
    _POINTER,
    _POINTER,  # The name, as a pointer: SQLite keeps it and reads on behind its end.
    _POINTER,
    ctypes.c_int,
    _POINTER,
)


class Fault(StrEnum):
    """What happens at the chosen step."""

    EIO = "EIO"
    ENOSPC = "ENOSPC"
    SHORT = "short write"
    PERSISTED = "reported as failed, persisted anyway"
    KILL_BEFORE = "SIGKILL before"
    KILL_TORN = "SIGKILL in the middle of the write"
    KILL_AFTER = "SIGKILL after"
    POWER_CUT = "power cut: only what was flushed is left"


class _Methods(ctypes.Structure):
    """`sqlite3_io_methods`: the calls that are not replaced are copied as they are."""

    _fields_ = [
        ("iVersion", ctypes.c_int),
        ("xClose", _POINTER),
        ("xRead", _POINTER),
        ("xWrite", _POINTER),
        ("xTruncate", _POINTER),
        ("xSync", _POINTER),
        *((f"rest{n}", _POINTER) for n in range(13)),
    ]


class _Vfs(ctypes.Structure):
    """`sqlite3_vfs`."""

    _fields_ = [
        ("iVersion", ctypes.c_int),
        ("szOsFile", ctypes.c_int),
        ("mxPathname", ctypes.c_int),
        ("pNext", _POINTER),
        ("zName", ctypes.c_char_p),
        ("pAppData", _POINTER),
        ("xOpen", _POINTER),
        *((f"rest{n}", _POINTER) for n in range(15)),
    ]


@dataclass
class Step:
    """One call that changes a file or flushes it."""

    number: int
    call: str
    file: str


class FaultyVfs:
    """Counts the steps of this process and applies one fault at one of them."""

    def __init__(self, library: ctypes.CDLL) -> None:
        library.sqlite3_vfs_find.restype = ctypes.POINTER(_Vfs)
        library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
        library.sqlite3_vfs_register.argtypes = [ctypes.POINTER(_Vfs), ctypes.c_int]
        real = library.sqlite3_vfs_find(None).contents
        self._real_open = _OPEN(real.xOpen)
        self._vfs = _Vfs.from_buffer_copy(real)
        self._vfs.zName = b"faulty"
        self._vfs.pNext = None
        self._keep: list[object] = []
        self._methods: dict[int, _Methods] = {}
        self._paths: dict[int, Path] = {}
        self._flushed: dict[Path, bytes] = {}
        self._vfs.xOpen = self._callback(_OPEN, self._open)
        assert library.sqlite3_vfs_register(ctypes.byref(self._vfs), 1) == SQLITE_OK
        self.steps = 0
        self.fail_at = 0  # No step has number 0.
        self.fault = Fault.EIO
        self.broken = False  # After a fault the disk stays broken.
        self.report: Callable[[Step], None] = _say_nothing

    def arm(self, fail_at: int, fault: Fault) -> None:
        """Let the `fail_at`-th step from now (1 is the next) meet `fault`."""
        self.steps, self.fail_at, self.fault, self.broken = 0, fail_at, fault, False

    def _callback(self, kind: type, function: Callable[..., int]) -> int:
        wrapped = kind(function)
        self._keep.append(wrapped)  # SQLite keeps the pointer, not the object.
        return ctypes.cast(wrapped, _POINTER).value or 0

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        code = self._real_open(vfs, name, file, flags, out)
        slot = ctypes.cast(file, ctypes.POINTER(_POINTER))
        if code != SQLITE_OK or not slot[0]:
            return code
        slot[0] = ctypes.addressof(self._methods_for(slot[0]))
        self._paths[file] = path = _path_of(name)
        if name:
            self._flushed.setdefault(path, _content(path))
        return code

    def _methods_for(self, real: int) -> _Methods:
        """Return the shim's calls for files whose real calls are at `real`."""
        if real not in self._methods:
            methods = _Methods.from_address(real)
            copy = _Methods.from_buffer_copy(methods)
            write, truncate = _WRITE(methods.xWrite), _TRUNCATE(methods.xTruncate)
            sync = _SYNC(methods.xSync)
            copy.xWrite = self._callback(
                _WRITE,
                lambda file, data, size, at: self._step(
                    "write",
                    file,
                    lambda part: write(file, data, max(1, int(size * part)), at),
                    IOERR_WRITE,
                ),
            )
            copy.xTruncate = self._callback(
                _TRUNCATE,
                lambda file, size: self._step(
                    "truncate", file, lambda _: truncate(file, size), IOERR_TRUNCATE
                ),
            )
            copy.xSync = self._callback(
                _SYNC,
                lambda file, flags: self._step(
                    "flush", file, lambda _: sync(file, flags), IOERR_FSYNC
                ),
            )
            self._methods[real] = copy
        return self._methods[real]

    def _step(self, call: str, file: int, perform: Callable[[float], int], failed: int) -> int:
        self.steps += 1
        if self.broken:
            return failed
        path = self._paths[file]
        if self.steps != self.fail_at:
            code = perform(1.0)
            if call == "flush" and code == SQLITE_OK and path in self._flushed:
                self._flushed[path] = _content(path)
            return code
        self.report(Step(self.steps, call, path.name))
        return self._fail(call, perform, failed)

    def _fail(self, call: str, perform: Callable[[float], int], failed: int) -> int:
        match self.fault:
            case Fault.KILL_BEFORE:
                _kill()
            case Fault.KILL_TORN:
                perform(0.5 if call == "write" else 1.0)
                _kill()
            case Fault.KILL_AFTER:
                perform(1.0)
                _kill()
            case Fault.POWER_CUT:
                for path, content in self._flushed.items():
                    path.write_bytes(content)
                _kill()
            case Fault.SHORT:
                perform(0.5 if call == "write" else 1.0)
            case Fault.PERSISTED:
                perform(1.0)
        self.broken = True
        full = self.fault in {Fault.ENOSPC, Fault.SHORT} and call == "write"
        ctypes.set_errno(errno.ENOSPC if full else errno.EIO)
        return SQLITE_FULL if full else failed


def load_library() -> ctypes.CDLL | None:
    """Return the library that `sqlite3` is linked with, or None if it is not shared."""
    maps = Path("/proc/self/maps")
    if not maps.exists() or not sqlite3.sqlite_version:
        return None
    paths = {line.split()[-1] for line in maps.read_text().splitlines() if "libsqlite3" in line}
    return ctypes.CDLL(paths.pop()) if len(paths) == 1 else None


def _path_of(name: int | None) -> Path:
    return Path(os.fsdecode(ctypes.string_at(name))) if name else Path("temporary")


def _content(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _say_nothing(_: Step) -> None:
    pass


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()
