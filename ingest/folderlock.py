"""The lock of a gateway's folder: one process runs it, whatever happens to that process."""

import fcntl
from pathlib import Path
from typing import IO, Self

from ingest.settings import SettingsError

LOCK_FILE = "gateway.lock"


class FolderLock:
    """The one process that runs a gateway's folder, as long as it holds this."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, or raise `SettingsError` where another process has it."""
        folder.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = (folder / LOCK_FILE).open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise SettingsError(f"another gateway runs in {folder}; stop it first") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
