"""A TOML text read strictly, key by key, with the line of whatever is wrong.

`Table` hands out one key after the other, each checked for its type and bounds, and at the
end refuses the keys nobody asked for, so that a misspelt key is an error and not a
default. Errors name the line and the path, counted from one:

    line 14: station[2].emit[1].biz_step: is a number, want a text

Pure: no I/O, no clock, no randomness.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from ledger.errors import ParseError

TOML_BYTES_MAX = 4 * 1024 * 1024

_HEADER = re.compile(r"\s*\[(\[?)\s*([A-Za-z0-9_.\-\s]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"\s*([A-Za-z0-9_\-]+)\s*=")


def parse_toml(text: str, where: str) -> "Table":
    """Return the root table of `text`, or raise `ParseError` with TOML's own line."""
    if len(text.encode("utf-8", "surrogatepass")) > TOML_BYTES_MAX:
        raise ParseError(where, f"is over {TOML_BYTES_MAX} bytes")
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ParseError(where, f"is no TOML: {error}") from None
    except RecursionError:
        raise ParseError(where, "nests too deeply to be read") from None
    return Table(value, where, "", _find_lines(text))


def _find_lines(text: str) -> dict[str, int]:
    """Return the line of each path that stands plainly in `text`; for messages only."""
    lines: dict[str, int] = {}
    seen: Counter[str] = Counter()
    prefix = ""
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.fullmatch(line)
        if header is not None:
            is_array = header.group(1) == "["
            prefix = _place(re.sub(r"\s", "", header.group(2)), seen, is_array=is_array)
            lines.setdefault(prefix, number)
            continue
        key = _KEY.match(line)
        if key is not None:
            lines.setdefault(f"{prefix}.{key.group(1)}".lstrip("."), number)
    return lines


def _place(name: str, seen: Counter[str], *, is_array: bool) -> str:
    """Return the path of a header, each array in it with the number it has reached."""
    path = ""
    parts = name.split(".")
    for n, part in enumerate(parts):
        path = f"{path}.{part}".lstrip(".")
        if n == len(parts) - 1 and is_array:
            seen[path] += 1
        if seen[path]:
            path = f"{path}[{seen[path]}]"
    return path


class Table:
    """One table of a TOML text, of which each key is asked for once."""

    def __init__(
        self, value: Mapping[str, object], where: str, path: str, lines: Mapping[str, int]
    ) -> None:
        """Wrap `value`, which stands at `path` of the text called `where`."""
        self._value = value
        self._where = where
        self._path = path
        self._lines = lines
        self._asked: set[str] = set()

    def error(self, key: str, why: str) -> ParseError:
        """Return the error of what is wrong with `key` (the table itself where empty)."""
        path = f"{self._path}.{key}".strip(".") if key else self._path
        line = self._lines.get(path) or self._lines.get(self._path)
        place = f"{self._where}: line {line}" if line else self._where
        return ParseError(f"{place}: {path}" if path else place, why)

    def has(self, key: str) -> bool:
        """Return whether `key` is set."""
        return key in self._value

    def is_table(self, key: str) -> bool:
        """Return whether `key` is set to a table."""
        return isinstance(self._value.get(key), dict)

    def text(self, key: str, default: str | None = None) -> str:
        """Return a text that is not empty; required where `default` is None."""
        value = self._take(key, default)
        if not isinstance(value, str) or not value:
            raise self.error(key, f"is {_kind_of(value)}, want a text")
        return value

    def optional_text(self, key: str) -> str | None:
        """Return a text that is not empty, or None where `key` is not set."""
        if self._take(key, None) is None:
            return None
        return self.text(key)

    def number(self, key: str, default: int, bounds: tuple[int, int]) -> int:
        """Return a whole number within `bounds`, both allowed."""
        value = self._take(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(key, f"is {_kind_of(value)}, want a whole number")
        low, high = bounds
        if not low <= value <= high:
            raise self.error(key, f"is {value}, want {low} to {high}")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        """Return true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"is {_kind_of(value)}, want true or false")
        return value

    def texts(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return an array of texts, at least one; required where `default` is None."""
        value = self._take(key, default)
        if isinstance(value, tuple):
            return value
        if not isinstance(value, list) or not value:
            raise self.error(key, f"is {_kind_of(value)}, want an array of texts")
        for n, one in enumerate(value, start=1):
            if not isinstance(one, str) or not one:
                raise self.error(key, f"item {n} is {_kind_of(one)}, want a text")
        return tuple(value)

    def numbers(self, key: str, bounds: tuple[int, int]) -> tuple[int, ...] | None:
        """Return an array of whole numbers within `bounds`, or None where it is not set."""
        value = self._take(key, None)
        if value is None:
            return None
        if not isinstance(value, list) or not value:
            raise self.error(key, f"is {_kind_of(value)}, want an array of whole numbers")
        low, high = bounds
        for n, one in enumerate(value, start=1):
            if isinstance(one, bool) or not isinstance(one, int) or not low <= one <= high:
                raise self.error(key, f"item {n} is {one!r:.40}, want {low} to {high}")
        return tuple(value)

    def mapping(self, key: str) -> Mapping[str, object]:
        """Return a table as it stands, empty where it is not set."""
        value = self._take(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"is {_kind_of(value)}, want a table")
        return value

    def table(self, key: str) -> "Table":
        """Return a table to ask further, empty where it is not set."""
        value = self.mapping(key)
        return Table(value, self._where, f"{self._path}.{key}".lstrip("."), self._lines)

    def tables(self, key: str) -> Iterator["Table"]:
        """Yield the tables of an array, none where it is not set."""
        value = self._take(key, [])
        if not isinstance(value, list):
            raise self.error(key, f"is {_kind_of(value)}, want [[{key}]] tables")
        for n, one in enumerate(value, start=1):
            if not isinstance(one, dict):
                raise self.error(key, f"item {n} is {_kind_of(one)}, want a table")
            path = f"{self._path}.{key}[{n}]".lstrip(".")
            yield Table(one, self._where, path, self._lines)

    def check(self, key: str, check: Callable[[str], object], value: str) -> str:
        """Return `value` if `check` takes it; its `ParseError` is raised at `key`."""
        try:
            check(value)
        except ParseError as error:
            raise self.error(key, f"{error.where}: {error.why}") from None
        return value

    def close(self) -> None:
        """Refuse the keys that nobody asked for."""
        unknown = sorted(self._value.keys() - self._asked)
        if unknown:
            known = ", ".join(sorted(self._asked))
            raise self.error(unknown[0], f"is no key of this table; they are {known}")

    def _take(self, key: str, default: object) -> object:
        self._asked.add(key)
        return self._value.get(key, default)


def _kind_of(value: object) -> str:
    if isinstance(value, bool):
        return "a boolean"
    kinds = {int: "a number", float: "a number", str: "a text", dict: "a table"}
    name = "an array" if isinstance(value, list | tuple) else kinds.get(type(value))
    if value is None:
        return "missing"
    if name is None:
        return "a date or time"
    return name if value or name == "a number" else f"an empty {name.split()[1]}"
