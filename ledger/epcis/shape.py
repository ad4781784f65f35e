"""Typed reading of JSON: each complaint names the place and says how to mend it.

The place is a JSON pointer (RFC 6901) into the event, such as `/quantityList/0/uom`; the
event itself is written `event`.

Pure: no I/O, no clock, no randomness.
"""

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal

from ledger.epcis.times import parse_time_us
from ledger.errors import ParseError
from ledger.gs1.epc import canonical_key

LIST_ITEMS_MAX = 200_000


def pointer(base: str, field: str | int) -> str:
    """Return the JSON pointer of `field` in what `base` points at."""
    text = str(field).replace("~", "~0").replace("/", "~1")
    return f"{base}/{text}"


def fault(base: str, field: str | int, why: str) -> ParseError:
    """Return the error about `field` in what `base` points at."""
    return ParseError(pointer(base, field), why)


def read_text(item: Mapping[str, object], field: str, base: str = "") -> str | None:
    """Return the non-empty string in `field`, or None where the field is absent."""
    value = item.get(field)
    if type(value) is str and value:
        return value
    if value is None and field not in item:
        return None
    raise fault(base, field, f"is {_kind(value)}; write a string, or leave the field out")


def want_text(item: Mapping[str, object], field: str, base: str = "") -> str:
    """Return the non-empty string in `field`, which must be there."""
    value = read_text(item, field, base)
    if value is None:
        raise fault(base, field, "is missing; it is required here")
    return value


def read_key(item: Mapping[str, object], field: str, base: str = "") -> str | None:
    """Return the canonical key of the identifier in `field`, or None where it is absent."""
    value = read_text(item, field, base)
    return None if value is None else canonical_key(value)


def read_items(item: Mapping[str, object], field: str, base: str = "") -> list[object]:
    """Return the array in `field`, empty where it is absent."""
    if field not in item:
        return []
    value = item[field]
    if not isinstance(value, list):
        raise fault(base, field, f"is {_kind(value)}; write an array, or leave the field out")
    if len(value) > LIST_ITEMS_MAX:
        raise fault(base, field, f"has {len(value)} items; split the event at {LIST_ITEMS_MAX}")
    return value


def read_texts(item: Mapping[str, object], field: str, base: str = "") -> tuple[str, ...]:
    """Return the array of non-empty strings in `field`, empty where it is absent."""
    return tuple(_texts(read_items(item, field, base), pointer(base, field)))


def _texts(values: list[object], base: str) -> Iterator[str]:
    for n, value in enumerate(values):
        if type(value) is not str or not value:
            raise fault(base, n, f"is {_kind(value)}; write a string")
        yield value


def read_keys(item: Mapping[str, object], field: str, base: str = "") -> tuple[str, ...]:
    """Return the canonical keys of the identifiers in `field`, empty where it is absent."""
    if field not in item:
        return ()
    return tuple(map(canonical_key, read_texts(item, field, base)))


def read_objects(
    item: Mapping[str, object], field: str, base: str = ""
) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Yield each object of the array in `field` with its pointer."""
    items = read_items(item, field, base)
    base = pointer(base, field)
    for n, value in enumerate(items):
        if not isinstance(value, dict):
            raise fault(base, n, f"is {_kind(value)}; write an object")
        yield f"{base}/{n}", value


def read_object(
    item: Mapping[str, object], field: str, base: str = ""
) -> Mapping[str, object] | None:
    """Return the object in `field`, or None where it is absent."""
    if field not in item:
        return None
    value = item[field]
    if not isinstance(value, dict):
        raise fault(base, field, f"is {_kind(value)}; write an object, or leave the field out")
    return value


def read_number(item: Mapping[str, object], field: str, base: str = "") -> Decimal | None:
    """Return the number in `field` as its shortest decimal, or None where it is absent."""
    if field not in item:
        return None
    value = item[field]
    if isinstance(value, float) and math.isfinite(value):
        return Decimal(repr(value))
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return Decimal(value)
    raise fault(base, field, f"is {_kind(value)}; write a JSON number such as 12.5")


def read_time(item: Mapping[str, object], field: str, base: str = "") -> int | None:
    """Return the instant in `field` in microseconds, or None where it is absent."""
    value = read_text(item, field, base)
    return None if value is None else parse_time_us(value, pointer(base, field))


_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a truth value"),  # before int, of which it is one
    (int, "a number"),
    (float, "a number"),
    (Decimal, "a number"),
    (list, "an array"),
    (dict, "an object"),
)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return f"the string {value[:40]!r}" if value else "an empty string"
    names = (name for kind, name in _KINDS if isinstance(value, kind))
    return next(names, f"a {type(value).__name__}")
