"""Rows of a spreadsheet become EPCIS events; each complaint names its row and column.

    event,type,time,zone,action,step,gtin,serial,lot,sscc,quantity,unit,parent,…
    P1,aggregation,2026-01-05 06:10,+01:00,ADD,packing,09506000134352,1,,,,,(00)3950…
    P1,,,,,,09506000134352,2,,,,,…

One row names one thing; rows with the same text in `event` are one event, a row without is one
by itself. What belongs to the whole event is written in its first row and may be left out, or
repeated, in the others. The columns are in `docs/reference/spreadsheet.md`; they come in any
order, a name in any case; a column that is not known is refused, because it would be lost.

Nothing is guessed and nothing is lost: a formula that nothing has computed, an error of the
spreadsheet, a number with more digits than a spreadsheet keeps and a value in a column without
a name are rejected. A column says what its cells are. A time has a zone, in the cell or in the
column `zone`. Identifiers are GTIN with serial or lot, SSCC and GLN as digits in their own
columns, or any spelling (URN, Digital Link, element string) in `epc`.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ledger.epcis.received import EVENTS_MAX
from ledger.epcis.times import parse_offset, parse_time_us
from ledger.errors import ParseError
from ledger.gs1.digital_link import Elements, epc_of_elements
from ledger.gs1.epc import parse_epc

ROWS_MAX = 200_000
CELL_CHARS_MAX = 4096

TYPES = {
    "object": "ObjectEvent",
    "aggregation": "AggregationEvent",
    "association": "AssociationEvent",
    "transaction": "TransactionEvent",
    "transformation": "TransformationEvent",
}
ROLES = ("input", "output")

_OF_EVENT = (
    *("type", "time", "zone", "action", "step", "disposition", "event_id", "parent"),
    *("read_point", "location", "from", "to", "transaction_type", "transaction"),
)
_OF_THING = ("epc", "gtin", "serial", "lot", "sscc", "quantity", "unit", "role")
COLUMNS = ("event", *_OF_EVENT, *_OF_THING)

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(:\d\d(?:\.\d{1,9})?)?\s*(Z|[+-]\d\d:\d\d)?", re.ASCII
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?", re.ASCII)
_GLN_DIGITS = 13
_COLUMN_OF_LIST = {"bizTransactionList": "transaction"}
_COLUMN_OF_FIELD = _COLUMN_OF_LIST | {
    "eventTime": "time",
    "eventTimeZoneOffset": "zone",
    "bizStep": "step",
    "parentID": "parent",
    "readPoint": "read_point",
    "bizLocation": "location",
    "sourceList": "from",
    "destinationList": "to",
    "eventID": "event_id",
    "uom": "unit",
    **{name: name for name in ("type", "action", "disposition", "quantity")},
}
# What a spreadsheet shows where it cannot compute.
_ERRORS = frozenset({"#REF!", "#N/A", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"})
# Where an ObjectEvent's things go, by event type and role.
_PLACES = {
    "ObjectEvent": ("epcList", "quantityList"),
    "TransactionEvent": ("epcList", "quantityList"),
    "AggregationEvent": ("childEPCs", "childQuantityList"),
    "AssociationEvent": ("childEPCs", "childQuantityList"),
    "input": ("inputEPCList", "inputQuantityList"),
    "output": ("outputEPCList", "outputQuantityList"),
}


@dataclass(frozen=True, slots=True)
class Rejection:
    """What is wrong in a row (counted from 1, the header included), and how to mend it."""

    row: int
    column: str
    why: str
    mend: str

    def __str__(self) -> str:
        where = f"row {self.row}, {self.column}" if self.column else f"row {self.row}"
        return f"{where}: {self.why}. {self.mend[:1].upper()}{self.mend[1:]}."


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A cell whose value cannot be had; `text` is what shows of it."""

    text: str
    why: str
    mend: str


@dataclass(frozen=True, slots=True)
class SheetEvent:
    """One event, the rows that it was made of, and the row of each thing by its pointer."""

    rows: tuple[int, ...]
    raw: dict[str, object]
    things: Mapping[str, int] = field(default_factory=dict)

    def locate(self, pointer: str) -> tuple[int, str]:
        """Return row and column of what `pointer` leads to in the event."""
        name, _, rest = pointer.removeprefix("/").partition("/")
        number, _, inner = rest.partition("/")
        row = self.things.get(f"/{name}/{number}", self.rows[0])
        if name in _COLUMN_OF_LIST and inner == "type":
            return row, f"{_COLUMN_OF_LIST[name]}_type"
        return row, _COLUMN_OF_FIELD.get(inner or name, _COLUMN_OF_FIELD.get(name, ""))


@dataclass(slots=True)
class Sheet:
    """What a spreadsheet says: the events that could be made, and what was rejected."""

    events: list[SheetEvent] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


class _CellError(Exception):
    """A cell that cannot be read: its column, what is wrong, and the mend."""

    def __init__(self, column: str, why: str, mend: str) -> None:
        super().__init__(why)
        self.column = column
        self.why = why
        self.mend = mend


Cell = str | Unreadable


@dataclass(slots=True)
class _Group:
    """The rows of one event, numbered, and what was rejected when they were read."""

    rows: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)


def read_sheet(header: Sequence[Cell], rows: Iterable[tuple[int, Sequence[Cell]]]) -> Sheet:
    """Return what the numbered `rows` under `header` say.

    Raises `ParseError` for a header that is none, too many rows or too many events.
    """
    names = _read_header([one.text if isinstance(one, Unreadable) else one for one in header])
    groups: dict[str, _Group] = {}
    for count, (number, cells) in enumerate(rows):
        if count >= ROWS_MAX:
            raise ParseError("spreadsheet", f"has over {ROWS_MAX} rows; split it")
        values, rejections = _read_row(number, names, cells)
        if values or rejections:
            label = values.get("event")
            key = f"event {label}" if label else f"row {number}"
            group = groups.setdefault(key, _Group())
            group.rows.append((number, values))
            group.rejections.extend(rejections)
            if len(groups) > EVENTS_MAX:
                raise ParseError("spreadsheet", f"has over {EVENTS_MAX} events; split it")
    sheet = Sheet()
    for group in groups.values():
        _read_event(group, sheet)
    return sheet


def _read_row(
    number: int, names: Sequence[str], cells: Sequence[Cell]
) -> tuple[dict[str, str], list[Rejection]]:
    """Return the cells that say something by the names of their columns."""
    values: dict[str, str] = {}
    rejections = []
    for n, cell in enumerate(cells):
        name = names[n] if n < len(names) else ""
        one = cell if isinstance(cell, Unreadable) else _read_cell(cell.strip(), name)
        if isinstance(one, Unreadable):
            rejections.append(Rejection(number, name, one.why, one.mend))
        elif one:
            values[name] = one
    return values, rejections


def _read_cell(text: str, name: str) -> Cell:
    if not text:
        return text
    if not name:
        mend = "name the column in the first row, or empty the cell"
        return Unreadable(text, f"has {text[:40]!r} in a column without a name", mend)
    if text.startswith("="):
        mend = "write the value, or save the file once more in the spreadsheet program"
        return Unreadable(text, f"holds the formula {text[:40]!r} and no value", mend)
    if text in _ERRORS:
        return Unreadable(text, f"shows the error {text}", "mend the formula of the cell")
    return text


def _read_header(header: Sequence[str]) -> list[str]:
    names = [re.sub(r"[\s\-]+", "_", name.strip().lower()) for name in header]
    unknown = [name for name in names if name and name not in COLUMNS]
    if unknown:
        known = ", ".join(COLUMNS)
        raise ParseError("header", f"the column {unknown[0]!r} is unknown; known are {known}")
    if "time" not in names:
        raise ParseError("header", "has no column time; the first row names the columns")
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice:
        raise ParseError("header", f"has the column {twice!r} twice")
    return names


def _read_event(group: _Group, sheet: Sheet) -> None:
    rejected = len(sheet.rejections)
    sheet.rejections.extend(group.rejections)
    unread = {(one.row, one.column) for one in group.rejections}
    shared: dict[str, str] = {}
    for number, values in group.rows:
        for name in _OF_EVENT:
            text = values.get(name)
            if text is not None and shared.setdefault(name, text) != text:
                why = f"says {text[:40]!r}, another row of this event {shared[name][:40]!r}"
                mend = "say the same in all rows of one event, or leave it empty"
                sheet.rejections.append(Rejection(number, name, why, mend))
    first = group.rows[0][0]
    raw: dict[str, object] = {}
    things: dict[str, int] = {}
    found: list[Rejection] = []
    try:
        raw = _event_of(shared)
    except _CellError as error:
        found.append(Rejection(first, error.column, error.why, error.mend))
    kind = str(raw.get("type", "ObjectEvent"))
    for number, values in group.rows:
        try:
            if place := _add_thing(raw, kind, values):
                things[place] = number
        except _CellError as error:
            found.append(Rejection(number, error.column, error.why, error.mend))
    sheet.rejections += [one for one in found if (one.row, one.column) not in unread]
    if len(sheet.rejections) == rejected:
        rows = tuple(number for number, _ in group.rows)
        sheet.events.append(SheetEvent(rows, raw, things))


def _event_of(shared: Mapping[str, str]) -> dict[str, object]:
    """Return what the rows say about the event as a whole."""
    kind = shared.get("type", "object").lower()
    if kind.removesuffix("event") not in TYPES:
        raise _CellError("type", f"{kind[:40]!r} is unknown", f"write {', '.join(TYPES)}")
    event_type = TYPES[kind.removesuffix("event")]
    raw: dict[str, object] = {"type": event_type}
    raw["eventTime"], raw["eventTimeZoneOffset"] = _time_of(shared)
    if event_type != "TransformationEvent":
        raw["action"] = shared.get("action", "OBSERVE").upper()
    words = {"event_id": "eventID", "step": "bizStep", "disposition": "disposition"}
    raw.update((name, shared[column]) for column, name in words.items() if column in shared)
    raw.update(_context_of(shared))
    return raw


def _context_of(shared: Mapping[str, str]) -> dict[str, object]:
    """Return where the event was, between whom, and for which transaction."""
    raw: dict[str, object] = {}
    if "parent" in shared:
        raw["parentID"] = _uri("parent", shared["parent"])
    for column, name in (("read_point", "readPoint"), ("location", "bizLocation")):
        if column in shared:
            raw[name] = {"id": _party(column, shared[column], "414")}
    for column, name in (("from", "source"), ("to", "destination")):
        if column in shared:
            pair = {"type": "possessing_party", name: _party(column, shared[column], "417")}
            raw[f"{name}List"] = [pair]
    if "transaction" in shared:
        transaction = {"bizTransaction": shared["transaction"]}
        if "transaction_type" in shared:
            transaction["type"] = shared["transaction_type"]
        raw["bizTransactionList"] = [transaction]
    return raw


def _time_of(shared: Mapping[str, str]) -> tuple[str, str]:
    text = shared.get("time")
    if text is None:
        mend = "write it as 2026-01-05 06:10; merged cells have it in their first row only"
        raise _CellError("time", "is empty", mend)
    match = _TIME.fullmatch(text)
    if match is None:
        raise _CellError("time", f"{text[:40]!r} is no time", "write it as 2026-01-05 06:10")
    day, clock, seconds, inline = match.groups()
    zone = shared.get("zone") or inline
    if zone is None:
        raise _CellError("zone", "is empty", "write the offset from UTC, such as +01:00")
    offset = "+00:00" if zone in ("Z", "UTC") else zone
    time = f"{day}T{clock}{seconds or ':00'}{inline or offset}"
    try:
        parse_offset(offset)
    except ParseError:
        why = f"{zone[:40]!r} is no offset from UTC"
        raise _CellError("zone", why, "write it as +01:00, or Z") from None
    try:
        parse_time_us(time)
    except ParseError as error:
        mend = "write a time that the calendar has, such as 2026-01-05 06:10"
        raise _CellError("time", error.why.partition(";")[0], mend) from None
    return time, offset


def _add_thing(raw: dict[str, object], kind: str, values: Mapping[str, str]) -> str:
    """Put the thing that a row names into the list that it belongs in; return its pointer."""
    identity, is_class = _thing_of(values)
    if identity is None:
        if "quantity" in values:
            raise _CellError("quantity", "is of nothing", "name a gtin, or a gtin with a lot")
        return ""
    place = kind
    if kind == "TransformationEvent":
        place = values.get("role", "").lower()
        if place not in ROLES:
            raise _CellError("role", "is missing", f"write {' or '.join(ROLES)}")
    things, classes = _PLACES[place]
    if not is_class:
        if "quantity" in values:
            mend = "leave it empty, or name a class by gtin, or gtin and lot"
            raise _CellError("quantity", "is of one single thing", mend)
        return _append(raw, things, identity)
    item: dict[str, object] = {"epcClass": identity}
    if text := values.get("quantity"):
        if _NUMBER.fullmatch(text) is None:
            raise _CellError("quantity", f"{text[:40]!r} is no number", "write it as 12.5")
        item["quantity"] = float(text) if "." in text else int(text)
    if "unit" in values:
        item["uom"] = values["unit"]
    return _append(raw, classes, item)


def _append(raw: dict[str, object], name: str, item: object) -> str:
    listed = raw.setdefault(name, [])
    assert isinstance(listed, list)
    listed.append(item)
    return f"/{name}/{len(listed) - 1}"


def _thing_of(values: Mapping[str, str]) -> tuple[str | None, bool]:
    """Return the identity that a row names, and whether it is a class."""
    given = [name for name in ("epc", "gtin", "sscc") if name in values]
    if len(given) > 1:
        raise _CellError(given[1], f"is given beside {given[0]}", "name one thing a row")
    qualifiers = [name for name in ("serial", "lot") if name in values]
    if given != ["gtin"] and qualifiers:
        raise _CellError(qualifiers[0], "is given without a gtin", "write the gtin, too")
    if not given:
        return None, False
    text = values[given[0]]
    if given == ["epc"]:
        uri = _uri("epc", text)
        return uri, parse_epc(uri).is_class
    if given == ["sscc"]:
        return _key("sscc", "00", text, {}), False
    ais = {"serial": "21", "lot": "10"}
    found = {ais[name]: values[name] for name in qualifiers}
    return _key("gtin", "01", text, found), "serial" not in values


def _key(column: str, ai: str, value: str, qualifiers: Mapping[str, str]) -> str:
    digits = value.replace(" ", "")
    try:
        elements = Elements(ai=ai, value=digits, qualifiers=qualifiers)
        return epc_of_elements(elements, column).key
    except ParseError as error:
        mend = "write all digits as text, the check digit included"
        raise _CellError(column, error.why, mend) from None


def _party(column: str, text: str, ai: str) -> str:
    digits = text.replace(" ", "")
    if digits.isascii() and digits.isdigit():
        if len(digits) != _GLN_DIGITS:
            raise _CellError(column, f"{text[:40]!r} is no GLN", "write 13 digits as text")
        return _key(column, ai, digits, {})
    return _uri(column, text)


def _uri(column: str, text: str) -> str:
    """Return an identifier as a URI: as written, but for element strings."""
    try:
        epc = parse_epc(text[:CELL_CHARS_MAX])
    except ParseError as error:
        mend = "write a URN, a Digital Link or (01)…(21)…"
        raise _CellError(column, error.why, mend) from None
    return epc.key if text.startswith("(") else text
