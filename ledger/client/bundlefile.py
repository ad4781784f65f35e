"""Reads the file of a bundle: bounded, and refused by name where it is something else."""

from pathlib import Path

from ledger.bundle import BUNDLE_BYTES_MAX, BUNDLE_FORMAT, is_bundle, names_a_bundle
from ledger.errors import ParseError, TagtrailError

NAME_BYTES = 40


def read_bundle(path: Path) -> bytes:
    """Return the bytes of the bundle at `path`, nothing of it parsed yet.

    Raises `ParseError` for a file that does not start as a bundle of this version does, or
    is longer than any, `TagtrailError` where it cannot be read.
    """
    try:
        with path.open("rb") as file:
            start = file.read(NAME_BYTES)
            if not is_bundle(start):
                raise ParseError(str(path), _why(start))
            data = start + file.read(BUNDLE_BYTES_MAX + 1 - len(start))
    except OSError as error:
        raise TagtrailError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > BUNDLE_BYTES_MAX:
        raise ParseError(str(path), f"is longer than {BUNDLE_BYTES_MAX} bytes")
    return data


def _why(start: bytes) -> str:
    if names_a_bundle(start):
        return f"is a bundle of another version; this one reads {BUNDLE_FORMAT}"
    return f"is a file, but no bundle: it does not start with {BUNDLE_FORMAT!r}"
