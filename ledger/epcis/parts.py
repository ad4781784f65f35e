"""The eight parts of an event, in which it is committed to, disclosed and stored.

One EPCIS 2.0 JSON object is split by field names into eight JSON objects, so that a
source can show *what, when, where* and keep *why* to itself. An absent part has no
bytes. The bytes are written once, by the statement's signer, and never again.

    0 id · 1 about · 2 what · 3 when · 4 where · 5 why · 6 how · 7 every other field

Refused in a part: what is no UTF-8 or starts with a BOM, what is no JSON object, `{}`,
a duplicate key at any depth, a lone surrogate, NaN or a number beyond a double, nesting
deeper than `PART_DEPTH_MAX`, more than `PART_BYTES_MAX`, a field of another part, and
`recordTime`, which belongs to the log.

Pure: no I/O, no clock, no randomness.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

from ledger.errors import ParseError

PART_NAMES = ("id", "about", "what", "when", "where", "why", "how", "other")
PART_FIELDS: tuple[tuple[str, ...], ...] = (
    ("eventID", "errorDeclaration"),
    ("type", "certificationInfo", "@context"),
    (
        "epcList",
        "quantityList",
        "parentID",
        "childEPCs",
        "childQuantityList",
        "inputEPCList",
        "inputQuantityList",
        "outputEPCList",
        "outputQuantityList",
        "transformationID",
        "ilmd",
        "action",
    ),
    ("eventTime", "eventTimeZoneOffset"),
    ("readPoint", "bizLocation"),
    (
        "bizStep",
        "disposition",
        "persistentDisposition",
        "bizTransactionList",
        "sourceList",
        "destinationList",
    ),
    ("sensorElementList",),
    (),
)
PART_COUNT = len(PART_FIELDS)
OTHER = PART_COUNT - 1
PART_OF_FIELD = {field: n for n, fields in enumerate(PART_FIELDS) for field in fields}

PART_BYTES_MAX = 4 * 1024 * 1024
PART_DEPTH_MAX = 64

_REMEMBERED, _REMEMBERED_BYTES_MAX = 2048, 2048
_LOGS_OWN = "recordTime"
_BOM = b"\xef\xbb\xbf"
_AS_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(code for code in range(256) if code not in b"[]{}")
_OPENS = ord("[")


def split_event(
    event: Mapping[str, object], *, is_parsed: bool = False
) -> tuple[bytes | None, ...]:
    """Return the eight parts of `event` as compact JSON; `recordTime` is left out.

    `is_parsed` promises that it came out of a parser, so that all its keys are strings and
    the parts need not be read again. Raises `ParseError` where a part would not pass
    `check_part`.
    """
    shares: list[dict[str, object]] = [{} for _ in PART_FIELDS]
    for field, value in event.items():
        if field != _LOGS_OWN:
            shares[PART_OF_FIELD.get(field, OTHER)][field] = value
    parts = tuple(_write(n, share) if share else None for n, share in enumerate(shares))
    for n, part in () if is_parsed else enumerate(parts):
        if part is not None:
            check_part(n, part)
    return parts


def join_parts(parts: Sequence[bytes | None]) -> dict[str, object]:
    """Return the event that the given parts make together, fields in the order of the parts.

    A part of None, absent or withheld, adds nothing. Raises `ParseError` where the number
    of parts is not eight or a part does not pass `check_part`.
    """
    if len(parts) != PART_COUNT:
        raise ParseError("event", f"has {len(parts)} parts, want {PART_COUNT}")
    event: dict[str, object] = {}
    for n, part in enumerate(parts):
        if part is not None:
            event.update(
                _read(n, part) if len(part) > _REMEMBERED_BYTES_MAX else _recall(n, part)
            )
    return event


def parse_part_names(text: str, where: str) -> frozenset[int]:
    """Return the numbers of the parts that `text` names, comma between.

    Raises `ParseError` at `where` for a name that no part has.
    """
    numbers = set()
    for name in filter(None, (word.strip() for word in text.split(","))):
        if name not in PART_NAMES:
            raise ParseError(where, f"{name[:40]!r} is none of {', '.join(PART_NAMES)}")
        numbers.add(PART_NAMES.index(name))
    return frozenset(numbers)


def check_part(n: int, data: bytes) -> None:
    """Raise `ParseError` unless `data` is the one thing that part `n` (0 to 7) may hold."""
    if len(data) > _REMEMBERED_BYTES_MAX:
        _read(n, data)
    else:
        _recall(n, data)


def parse_json(data: bytes, where: str, *, depth_max: int = PART_DEPTH_MAX) -> object:
    """Return the JSON value in `data`, which somebody else wrote.

    It is read as a part is, but that a byte order mark is skipped, and that of two equal keys
    in one object the last one counts, as everywhere in JSON; GS1's own examples have such.
    Raises `ParseError` at `where`.
    """
    data = data.removeprefix(_BOM)
    _check_depth(where, data, depth_max)
    return _load(where, data, _LENIENT)


def _read(n: int, data: bytes) -> dict[str, object]:
    if not 0 <= n < PART_COUNT:
        raise ParseError("part", f"number {n} is not one of 0 to {OTHER}")
    where = f"part {n} ({PART_NAMES[n]})"
    if len(data) > PART_BYTES_MAX:
        raise ParseError(where, f"has {len(data)} bytes, at most {PART_BYTES_MAX} are allowed")
    if data.startswith(_BOM):
        raise ParseError(where, "starts with a byte order mark; write it without")
    _check_depth(where, data, PART_DEPTH_MAX)
    value = _load(where, data)
    if not isinstance(value, dict):
        raise ParseError(where, "is no JSON object")
    if not value:
        raise ParseError(where, "is empty; an absent part has no bytes at all")
    for field in value:
        _check_place(where, n, field)
    return value


# An event is read to be checked and read again to be used, and where and why it happened is in
# thousands of events the same. Nobody changes what is in an event.
_recall = lru_cache(maxsize=_REMEMBERED)(_read)


def _check_place(where: str, n: int, field: str) -> None:
    if field == _LOGS_OWN:
        raise ParseError(where, "holds recordTime, which only the log may say; leave it out")
    home = PART_OF_FIELD.get(field, OTHER)
    if home != n:
        raise ParseError(where, f"holds {field[:60]!r}, which belongs in part {home}")


def _check_depth(where: str, data: bytes, depth_max: int) -> None:
    if data.count(b"[") + data.count(b"{") <= depth_max:
        return  # the common case: too few brackets to nest deeper than allowed
    if b"\\" in data:
        data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
    outside = b"".join(data.split(b'"')[::2])
    # One kind of bracket is left, and each round takes away the innermost level of all.
    brackets = left = outside.translate(_AS_ONE_KIND, _NO_BRACKETS)
    for _ in range(depth_max):
        before, left = len(left), left.replace(b"[]", b"")
        if not left:
            return
        if len(left) == before:
            break
    depth = 0  # too deep, or no JSON at all: count
    for bracket in brackets:
        depth += 1 if bracket == _OPENS else -1
        if depth > depth_max:
            raise ParseError(where, f"nests deeper than {depth_max} levels")


def _load(where: str, data: bytes, decoder: json.JSONDecoder | None = None) -> object:
    try:
        text = data.decode("utf-8")
        value: object = (decoder or _DECODER).decode(text)
        if "\\u" in text:  # only an escape can smuggle in half of a surrogate pair
            json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ParseError(
            where, "holds half of a surrogate pair, which is no character"
        ) from None
    except UnicodeDecodeError as error:
        raise ParseError(where, f"is no UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise ParseError(where, f"is no JSON at character {error.pos}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise ParseError(where, str(error)) from None
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"has the key {twice[:60]!r} twice in one object")
    return value


def _refuse_constant(text: str) -> object:
    raise ValueError(f"holds {text}, which JSON does not have")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"holds the number {text[:40]}, which is beyond a double")
    return number


# Made once: `json.loads` with hooks builds a decoder at every call, for twice the time.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
)
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_LENIENT = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def _write(n: int, share: dict[str, object]) -> bytes:
    where = f"part {n} ({PART_NAMES[n]})"
    try:
        data = _ENCODER.encode(share).encode("utf-8")
    except UnicodeEncodeError:
        raise ParseError(
            where, "holds half of a surrogate pair, which is no character"
        ) from None
    except (TypeError, ValueError, RecursionError) as error:
        raise ParseError(where, f"cannot be written as JSON: {error}") from None
    if len(data) > PART_BYTES_MAX:
        raise ParseError(where, f"has {len(data)} bytes, at most {PART_BYTES_MAX} are allowed")
    _check_depth(where, data, PART_DEPTH_MAX)
    return data
