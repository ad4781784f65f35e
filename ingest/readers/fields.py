"""Single fields of a payload: hex, base64, numbers and instants, taken or refused.

Readers write an instant in many ways; those taken are

    2026-08-13T09:14:28.651Z        with Z, ±hh:mm, ±hhmm or ±hh, a T, t or space, up to nine
                                    fraction digits behind a point or a comma
    20260813T091428.651Z            the same without the marks between
    Thu, 13 Aug 2026 09:14:28 GMT   RFC 5322, also with ±hhmm
    /Date(1600000000000)/           milliseconds, as .NET writes them
    1600000000                      seconds, or 1600000000.25
    1600000000000                   milliseconds; microseconds and nanoseconds likewise, told
                                    apart by size, as a number or as digits in a string

Nanoseconds are kept beside the microseconds in which the gateway counts. An instant before the
year 2000 is that of a clock which was never set; it is taken as such (`is_clock_set`), because
the times between its readings still count. Refused: a time without its zone (nobody can say
when that was), one after 2099 or before 1970, hex with an odd number of digits.

Pure: no I/O, no clock, no randomness.
"""

import binascii
import re
from collections.abc import Callable, Iterable, Mapping

from ingest.reads import EPC_BYTES_MAX, ITEMS_PER_MESSAGE_MAX, Fault, Item, Parsed
from ledger.epcis.times import parse_time_us
from ledger.errors import ParseError

ANTENNA_MAX = 1024
COUNT_MAX = (1 << 53) - 1  # what JSON carries exactly, and the state can hold
NUMBERS_MAX, NESTED_MAX = 64, 4
NAMES_MAX = 2_000
RSSI_CDBM_MIN, RSSI_CDBM_MAX = -20_000, 10_000
PC_MAX = 0xFFFF
CLOCK_SET_US = 946_684_800_000_000  # 2000-01-01T00:00:00Z
TIME_US_MAX = 4_102_444_800_000_000  # 2100-01-01T00:00:00Z, the first instant refused

_HEX = re.compile(r"[0-9A-Fa-f]+", re.ASCII)
_DIGITS = re.compile(r"\d{1,20}(?:\.\d{1,9})?", re.ASCII)
_ZONE = r"(?:([Zz])|([+-]\d\d):?(\d\d)?)"
_LOOSE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))? ?" + _ZONE, re.ASCII
)
_BASIC_TIME = re.compile(r"(\d{8})T(\d{6})(?:[.,](\d{1,9}))?" + _ZONE, re.ASCII)
_MAIL_TIME = re.compile(
    r"(?:[A-Z][a-z]{2}, )?(\d{1,2}) ([A-Z][a-z]{2}) (\d{4}) (\d\d:\d\d:\d\d)"
    r" (GMT|UTC?|Z|[+-]\d{4})",
    re.ASCII,
)
_DOTNET_TIME = re.compile(r"/Date\((\d{1,16})\)/", re.ASCII)
# What a tag looks like: an EPC's URI, or its memory; EUIs, addresses and times are shorter.
_TAG_TEXT = re.compile(r"urn:epc:|id\.gs1\.org/|(?<![0-9A-Za-z])[0-9A-Fa-f]{20,}", re.ASCII)
_TAG_NAME = re.compile(
    r"epc|id_?hex|tag_?(?:id|data|reads?)|^tags?$|^uids?$|rfid", re.IGNORECASE
)
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()  # noqa: SIM905  # one line
# The smallest number that is taken as milliseconds, microseconds, nanoseconds.
_MS_FROM, _US_FROM, _NS_FROM = 10**11, 10**14, 10**17


def collect(
    elements: Iterable[tuple[str, object]], parse_one: Callable[[object, str], Item | Fault]
) -> Parsed:
    """Return what `parse_one` makes of each element; what it refuses becomes a fault."""
    items: list[Item] = []
    faults: list[Fault] = []
    for n, (where, element) in enumerate(elements):
        if n == ITEMS_PER_MESSAGE_MAX:
            raise ParseError("payload", f"holds over {ITEMS_PER_MESSAGE_MAX} items")
        try:
            found = parse_one(element, where)
        except ParseError as error:
            faults.append(Fault(where=error.where, why=error.why))
            continue
        if isinstance(found, Fault):
            faults.append(found)
        else:
            items.append(found)
    return Parsed(items=tuple(items), faults=tuple(faults))


def count_of(value: object) -> int | None:
    """Return a whole number from 0 to `COUNT_MAX`; None for anything else, which counts not."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= COUNT_MAX:
        return None
    return value


def count_unknown(obj: Mapping[str, object], known: frozenset[str]) -> int:
    """Return how many fields of `obj` are none of `known`: counted, and no fault."""
    return len(obj.keys() - known)


def first_of(obj: Mapping[str, object], names: Iterable[str]) -> tuple[str, object] | None:
    """Return the first of `names` that `obj` holds with a value, and the value."""
    for name in names:
        value = obj.get(name)
        if value is not None:
            return name, value
    return None


def parse_object(value: object, where: str) -> Mapping[str, object]:
    """Return `value` as an object, or raise `ParseError`."""
    if not isinstance(value, dict):
        raise ParseError(where, f"is {kind_of(value)}, want an object")
    return value


def parse_text(value: object, where: str) -> str:
    """Return `value` as a text that is not empty, or raise `ParseError`."""
    if not isinstance(value, str) or not value:
        raise ParseError(where, f"is {kind_of(value)}, want a text")
    return value


def is_hex(text: str) -> bool:
    """Return whether `text` consists of hex digits alone, an even number of them."""
    return len(text) % 2 == 0 and _HEX.fullmatch(text) is not None


def parse_hex(value: object, where: str) -> str:
    """Return hex of whole bytes, at most `EPC_BYTES_MAX`, in upper case."""
    text = parse_text(value, where)
    if _HEX.fullmatch(text) is None:
        raise ParseError(where, f"{text[:80]!r} is broken hex: only 0-9 and A-F are digits")
    if len(text) % 2:
        raise ParseError(where, f"{text[:80]!r} is broken hex: half of a byte is missing")
    if len(text) > 2 * EPC_BYTES_MAX:
        raise ParseError(
            where, f"has {len(text) // 2} bytes, at most {EPC_BYTES_MAX} fit a tag"
        )
    return text.upper()


def parse_base64(value: object, where: str) -> str:
    """Return the bytes of padded standard base64 as hex, upper case."""
    text = parse_text(value, where)
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:
        raise ParseError(where, f"{text[:80]!r} is no base64: {error}") from None
    if not data or len(data) > EPC_BYTES_MAX:
        raise ParseError(where, f"has {len(data)} bytes, want 1 to {EPC_BYTES_MAX}")
    return data.hex().upper()


def parse_pc(hex_text: str, where: str) -> int:
    """Return the protocol control word, two bytes in hex."""
    word = int(hex_text, 16)
    if len(hex_text) != 4:  # noqa: PLR2004  # two bytes, four digits
        raise ParseError(where, f"{hex_text!r} is no protocol control word: want two bytes")
    return word


def parse_antenna(value: object, where: str) -> int | None:
    """Return an antenna's port number, or None where there is none."""
    if value is None:
        return None
    number = value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:  # noqa: PLR2004
        number = int(value)
    if (
        isinstance(number, bool)
        or not isinstance(number, int)
        or not 0 <= number <= ANTENNA_MAX
    ):
        raise ParseError(where, f"{value!r:.40} is no antenna port (0 to {ANTENNA_MAX})")
    return number


def cdbm(value: object, scale: int) -> int | None:
    """Return a signal strength in hundredths of a dBm; None where it makes no sense.

    `scale` is 1 for a value in hundredths and 100 for one in dBm. The strength decides
    nothing yet, so a strange one does not cost the read.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not RSSI_CDBM_MIN <= value * scale <= RSSI_CDBM_MAX:
        return None
    return round(value * scale)


def parse_number(value: object, where: str) -> float:
    """Return a finite number; JSON has no others, and msgspec refuses what overflows."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ParseError(where, f"is {kind_of(value)}, want a number")
    try:
        return float(value)
    except OverflowError:
        raise ParseError(where, "is beyond a double") from None


def parse_numbers(decoded: Mapping[str, object], where: str) -> tuple[tuple[str, float], ...]:
    """Return the numbers of an object and of those within it, by name or `outer.inner`.

    Raises `ParseError` past `NUMBERS_MAX`; what is nested over `NESTED_MAX` deep is left out.
    """
    found: list[tuple[str, float]] = []
    waiting: list[tuple[str, Mapping[str, object], int]] = [("", decoded, 1)]
    while waiting:
        prefix, obj, depth = waiting.pop(0)
        for name, value in obj.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                found.append((f"{prefix}{name}", parse_number(value, f"{where}.{name}")))
            elif isinstance(value, dict) and depth < NESTED_MAX:
                waiting.append((f"{prefix}{name}.", value, depth + 1))
        if len(found) > NUMBERS_MAX or len(waiting) > NUMBERS_MAX:
            raise ParseError(where, f"has more than {NUMBERS_MAX} numbers")
    return tuple(found)


def parse_instant_ns(value: object, where: str) -> int:
    """Return the instant that a reader wrote, in nanoseconds since the epoch, UTC."""
    if isinstance(value, str):
        ns = _ns_of_text(value, where)
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise ParseError(where, f"is {kind_of(value)}, want a time")
    else:
        whole = int(value)
        # A double of today holds microseconds and no more, whichever unit it is in.
        digits = 3 if whole >= _MS_FROM else 6
        fraction = round(value - whole, digits) if isinstance(value, float) else 0.0
        ns = _ns_of_number(whole, round(fraction * 1_000_000_000))
    check_instant(ns // 1_000, value, where)
    return ns


def parse_instant(value: object, where: str) -> int:
    """Return the instant that a reader wrote, in microseconds since the epoch, UTC."""
    return parse_instant_ns(value, where) // 1_000


def parse_optional_instant(value: object, where: str) -> int | None:
    """Return the instant, or None where the payload has none (null, or an empty text)."""
    return None if value is None or value == "" else parse_instant(value, where)


def parse_optional_ns(value: object, where: str) -> tuple[int | None, int]:
    """Return the instant in microseconds (None where there is none), and nanoseconds beyond."""
    if value is None or value == "":
        return None, 0
    return divmod(parse_instant_ns(value, where), 1_000)


def first_time(obj: Mapping[str, object], names: Iterable[str]) -> tuple[str, object] | None:
    """Return the first of `names` under which `obj` writes an instant, if not empty."""
    written = [(name, obj[name]) for name in names if obj.get(name) not in (None, "")]
    return written[0] if written else None


def may_name_tag(value: object) -> bool:
    """Return whether a value that no reader here understands may name a tag all the same.

    It may where a text looks like one, or a field is called as one and is not empty.
    """
    waiting, seen = [value], 0
    while waiting and seen < NAMES_MAX:
        one, seen = waiting.pop(), seen + 1
        if isinstance(one, str) and _TAG_TEXT.search(one):
            return True
        if isinstance(one, list):
            waiting += one[:NAMES_MAX]
        elif isinstance(one, dict):
            if any(inner and _TAG_NAME.search(name) for name, inner in one.items()):
                return True
            waiting += one.values()
    return bool(waiting)


def loose_instant(value: object) -> int | None:
    """Return the instant, or None for anything else: for news that count without their time."""
    try:
        return parse_optional_instant(value, "time")
    except ParseError:
        return None


def is_clock_set(us: int) -> bool:
    """Return whether a clock that shows `us` was ever set."""
    return us >= CLOCK_SET_US


def _ns_of_text(text: str, where: str) -> int:
    if _DIGITS.fullmatch(text):
        whole, _, fraction = text.partition(".")
        return _ns_of_number(int(whole), int(fraction.ljust(9, "0")))
    for pattern, parse in _TEXT_FORMS:
        match = pattern.fullmatch(text)
        if match is not None:
            return parse(match, where)
    raise ParseError(
        where, f"{text[:60]!r} is no time with its zone; want 2026-08-13T09:14:28.651Z"
    )


def _ns_of_iso(match: re.Match[str], where: str) -> int:
    day, clock, fraction, zulu, hours, minutes = match.groups()
    if "-" not in day:
        day = f"{day[:4]}-{day[4:6]}-{day[6:]}"
        clock = f"{clock[:2]}:{clock[2:4]}:{clock[4:]}"
    zone = "Z" if zulu else f"{hours}:{minutes or '00'}"
    seconds_us = parse_time_us(f"{day}T{clock}{zone}", where)
    return seconds_us * 1_000 + int((fraction or "").ljust(9, "0"))


def _ns_of_mail(match: re.Match[str], where: str) -> int:
    day, month, year, clock, zone = match.groups()
    number = _MONTHS.index(month) + 1 if month in _MONTHS else 0
    offset = "Z" if zone in {"GMT", "UT", "UTC", "Z"} else f"{zone[:3]}:{zone[3:]}"
    return parse_time_us(f"{year}-{number:02d}-{int(day):02d}T{clock}{offset}", where) * 1_000


def _ns_of_dotnet(match: re.Match[str], _where: str) -> int:
    return int(match[1]) * 1_000_000


def _ns_of_number(whole: int, fraction_ns: int) -> int:
    """Return an instant in nanoseconds; the size of `whole` tells in which unit it is."""
    if whole < _MS_FROM:
        return whole * 1_000_000_000 + fraction_ns
    if whole < _US_FROM:
        return whole * 1_000_000 + fraction_ns // 1_000
    return whole * 1_000 + fraction_ns // 1_000_000 if whole < _NS_FROM else whole


_TEXT_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str], str], int]], ...] = (
    (_LOOSE_TIME, _ns_of_iso),
    (_BASIC_TIME, _ns_of_iso),
    (_MAIL_TIME, _ns_of_mail),
    (_DOTNET_TIME, _ns_of_dotnet),
)


def check_instant(us: int, written: object, where: str) -> int:
    """Return `us` if a clock that is set can show it, or raise `ParseError`."""
    if not 0 <= us < TIME_US_MAX:
        raise ParseError(where, f"{written!r:.60} is not between 1970 and 2099")
    return us


def kind_of(value: object) -> str:
    """Return what JSON calls the type of `value`, for messages."""
    match value:
        case None:
            return "absent"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "a text" if value else "an empty text"
        case list():
            return "an array"
        case _:
            return "an object"
