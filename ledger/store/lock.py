"""Lets one process write a ledger's folder, and names it to the others.

The file `lock` holds one line of JSON: who took the lock.

    {"pid": 4711, "host": "evidence-1", "since": "2026-01-01T00:00:00+00:00"}

The lock itself is `flock`: it falls with its process, however that ends, so a stale file
never blocks a start. Owning the file gives nothing but the power to delay.
"""

import fcntl
import json
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

from ledger.errors import RefusedError

LOCK_NAME = "lock"
LOCK_BYTES_MAX = 4096


class FolderLock:
    """Holds the right to write one ledger's folder until `release`."""

    def __init__(self, folder: Path, *, now_us: int) -> None:
        """Take the lock; raise `RefusedError` with check `lock` naming its holder."""
        self.path = folder / LOCK_NAME
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = _describe_holder(os.read(self._fd, LOCK_BYTES_MAX))
            os.close(self._fd)
            raise RefusedError("lock", f"{folder} is being written by {holder}") from error
        since = datetime.fromtimestamp(now_us // 1_000_000, UTC).isoformat()
        line = {"pid": os.getpid(), "host": socket.gethostname(), "since": since}
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, json.dumps(line).encode() + b"\n", 0)

    def release(self) -> None:
        """Give the folder back; a second call does nothing."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def _describe_holder(line: bytes) -> str:
    """Return who holds the lock, from its file, which may be half written."""
    try:
        holder = json.loads(line)
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process, which has not written its name yet"
