"""Opens files that somebody else made: regular ones only, and no more of them than asked for.

A pipe or a device in the place of a file would keep whoever reads it waiting for ever.
"""

import os
import stat
import tomllib
from pathlib import Path
from typing import BinaryIO

from ledger.errors import TagtrailError

DATABASE_TOML = "database.toml"
_TOML_BYTES_MAX = 64 * 1024


class UnreadableError(TagtrailError):
    """A file of the ledger, or its URL, that cannot be read as what it should be."""

    def __init__(self, path: Path | str, why: str) -> None:
        super().__init__(f"{path} cannot be read: {why}")
        self.path = path
        self.why = why


def open_regular(path: Path) -> BinaryIO | None:
    """Open the regular file at `path` to read it; None where there is nothing.

    Raises `UnreadableError` for what is no regular file and for what cannot be opened.
    """
    try:
        # A pipe opened this way does not wait for a writer.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else None
        raise UnreadableError(path, why or str(error)) from error
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise UnreadableError(path, "it is no regular file")
    return os.fdopen(number, "rb")


def read_bounded(path: Path, most: int) -> bytes:
    """Return the bytes of a file, `most` and one at most, or raise `UnreadableError`."""
    try:
        with path.open("rb") as file:
            return file.read(most + 1)
    except OSError as error:
        raise UnreadableError(path, error.strerror or str(error)) from error


def find_url(folder: Path) -> str | None:
    """Return the URL that the folder's `database.toml` names, or None where there is none."""
    path = folder / DATABASE_TOML
    if not path.exists():
        return None
    try:
        url = tomllib.loads(read_bounded(path, _TOML_BYTES_MAX).decode())["url"]
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError) as error:
        raise UnreadableError(path, f"it names no database ({error})") from error
    if not isinstance(url, str):
        raise UnreadableError(path, "its url is no string")
    return url
