"""Complaints: where in a TOML file a refused value stands, and what may stand there.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Callable
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from ledger.errors import ParseError

Path = tuple[str | int, ...]


def explain(
    error: msgspec.ValidationError,
    shape: type[Struct],
    text: str,
    where: str,
    home: Callable[[Path], Path] = lambda path: path,
) -> ParseError:
    """Return msgspec's complaint about `shape` with line, key and what would be allowed.

    `home` turns the path of a value into where it stands in the file.
    """
    message = str(error)
    matched = re.fullmatch(r"(.*?)(?: - at `\$(.*)`)?", message)
    assert matched is not None
    why = matched[1]
    path = tuple(
        int(part[1:-1]) if part.startswith("[") else part
        for part in re.findall(r"\[\d+\]|[^.\[\]]+", matched[2] or "")
    )
    unknown = re.search(r"(?:unknown|missing required) field `(\w+)`", why)
    allowed = _allowed(shape, path)
    if unknown is not None and "unknown" in why:
        path = (*path, unknown[1])
    hint = f"; allowed: {', '.join(allowed)}" if allowed else ""
    return refused(home(path), f"{why}{hint}", text, where)


def _allowed(shape: object, path: Path) -> list[str]:
    """Return the keys or the literal values that may stand at `path`."""
    for step in path:
        shape = _bare(shape)
        if isinstance(step, int):
            shape = get_args(shape)[0]
        elif get_origin(shape) is dict:
            shape = get_args(shape)[1]
        else:
            assert isinstance(shape, type)
            assert issubclass(shape, Struct)
            shape = {one.encode_name: one.type for one in msgspec.structs.fields(shape)}[step]
    shape = _bare(shape)
    if get_origin(shape) is Literal:
        return [str(one) for one in get_args(shape)]
    if isinstance(shape, type) and issubclass(shape, Struct):
        return [one.encode_name for one in msgspec.structs.fields(shape)]
    return []


def _bare(shape: object) -> object:
    """Return a type without its bounds and without None."""
    while True:
        if get_origin(shape) is Annotated:
            shape = get_args(shape)[0]
        elif get_origin(shape) in (Union, UnionType):
            shape = next(one for one in get_args(shape) if one is not type(None))
        else:
            return shape


def refused(path: Path, why: str, text: str, where: str) -> ParseError:
    """Return the error that names file, line and key of the value at `path`."""
    key = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    line = _line_of(path, text)
    place = f"{where}:{line}" if line else where
    return ParseError(f"{place} {key.lstrip('.')}".rstrip(), why)


def _line_of(path: Path, text: str) -> int | None:
    """Return the line that writes `path`, or of its table, or None if nothing does."""
    tables = [step for step in path if isinstance(step, str)]
    if not tables:
        return None
    wanted = next((step for step in path if isinstance(step, int)), 0)
    found, seen, inside = None, -1, len(tables) == 1
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([\w.-]+)\s*\]+", line)
        if header is not None:
            seen += header[1] == tables[0]
            inside = header[1] == tables[0] and seen == wanted
            found = number if inside and len(tables) > 1 and found is None else found
        elif inside and re.match(rf"\s*{re.escape(tables[-1])}\s*=", line):
            return number
    return found
