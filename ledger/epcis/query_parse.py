"""Reads the parameters of an EPCIS 2.0 event query: names and values, as text or as JSON.

    GET /events?EQ_bizStep=shipping|receiving&GE_eventTime=2026-01-01T00:00:00Z
    {"eventType": ["ObjectEvent"], "EQ_example:lot": ["A7"], "GE_value_CEL": 8}

In a URL a list is written with `|` between its values. In JSON a list may be one value without
brackets. A name whose field holds a colon is an extension; the meaning of its prefix comes out
of `@context` of the query or of the header GS1-Extensions, and without one the prefix itself
is compared. A URI is written whole, or as namespace `#` name as in EPCIS 1.2.

Both spellings that GS1 published are read: errorDeclarationTime and errorDeclaration_Time,
EQATTR_ and EQ_ATTR_.

Refused with the parameter's name: an unknown parameter, a value that is none, more than
`VALUES_MAX` values, `eventCountLimit` without `orderBy` or beside `maxEventCount`.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from ledger.epcis.query import Condition, Direction, FieldName, Query
from ledger.epcis.query_names import parse_condition, parse_field_name
from ledger.errors import ParseError

PARAMETERS_MAX = 200
VALUES_MAX = 1000
VALUE_CHARS_MAX = 4096
COUNT_MAX = 1_000_000_000

_CONTROLS = ("orderBy", "orderDirection", "eventCountLimit", "maxEventCount", "@context")
_ORDERS = ("eventTime", "recordTime")
_FLAG_TEXTS = {"": True, "true": True, "1": True, "false": False, "0": False}


def parse_query(
    parameters: Mapping[str, object], *, prefixes: Mapping[str, str] | None = None
) -> Query:
    """Return the query that `parameters` make; values are texts of a URL, or JSON.

    `prefixes` gives the namespaces of prefixes beside `@context`. Raises `ParseError` whose
    `where` is the parameter.
    """
    if len(parameters) > PARAMETERS_MAX:
        raise ParseError("query", f"has over {PARAMETERS_MAX} parameters")
    known = {**(prefixes or {}), **_prefixes_of(parameters.get("@context"))}
    conditions: list[Condition] = []
    for name, value in parameters.items():
        if name in _CONTROLS:
            continue
        if name.startswith("EXISTS_") and not _flag(name, value):
            continue
        values = (True,) if name.startswith("EXISTS_") else _values(name, value)
        conditions.append(parse_condition(name, values, known))
    limit = _count(parameters, "eventCountLimit")
    most = _count(parameters, "maxEventCount")
    order_by = _order(parameters, known)
    if limit is not None and most is not None:
        raise ParseError("eventCountLimit", "and maxEventCount exclude each other; give one")
    if limit is not None and order_by is None:
        raise ParseError("eventCountLimit", "needs orderBy, which says what comes first")
    return Query(
        conditions=tuple(conditions),
        order_by=order_by,
        direction=_direction(parameters),
        event_count_limit=limit,
        max_event_count=most,
    )


def _values(name: str, value: object) -> tuple[str | Decimal | bool, ...]:
    """Return the values of a parameter, of which there is at least one."""
    if isinstance(value, str):
        found: list[object] = list(value.split("|"))
    else:
        found = list(value) if isinstance(value, list | tuple) else [value]
    if not found or len(found) > VALUES_MAX:
        raise ParseError(name, f"has {len(found)} values; give 1 to {VALUES_MAX}")
    return tuple(_scalar(name, one) for one in found)


def _scalar(name: str, value: object) -> str | Decimal | bool:
    if isinstance(value, str) and 0 < len(value) <= VALUE_CHARS_MAX:
        return value
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Decimal):
        return value
    kind = "an empty or too long text" if isinstance(value, str) else type(value).__name__
    raise ParseError(name, f"is {kind}; give a text or a number")


def _flag(name: str, value: object) -> bool:
    """Return whether an EXISTS_ parameter asks for anything; the schema writes null or 1."""
    if value is None:
        return True
    text = str(value).lower() if isinstance(value, bool | int | str) else "?"
    if text not in _FLAG_TEXTS:
        raise ParseError(name, f"is {str(value)[:40]!r}; write true, or leave it out")
    return _FLAG_TEXTS[text]


def _count(parameters: Mapping[str, object], name: str) -> int | None:
    if name not in parameters:
        return None
    value = parameters[name]
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal(-1)
    except InvalidOperation:
        number = Decimal(-1)
    if not (number.is_finite() and 1 <= number <= COUNT_MAX and number == int(number)):
        raise ParseError(name, f"is {str(value)[:40]!r}; give a whole number from 1 on")
    return int(number)


def _order(
    parameters: Mapping[str, object], prefixes: Mapping[str, str]
) -> str | FieldName | None:
    value = parameters.get("orderBy")
    if value is None and "orderBy" not in parameters:
        return None
    if value in _ORDERS:
        return str(value)
    if not isinstance(value, str) or ":" not in value:
        why = f"is {str(value)[:60]!r}; order by eventTime, recordTime or an extension field"
        raise ParseError("orderBy", why)
    return parse_field_name(value, prefixes, "orderBy")


def _direction(parameters: Mapping[str, object]) -> Direction:
    value = parameters.get("orderDirection", "DESC")
    if value == "ASC":
        return "ASC"
    if value == "DESC":
        return "DESC"
    raise ParseError("orderDirection", f"is {str(value)[:40]!r}; write ASC or DESC")


def _prefixes_of(context: object) -> dict[str, str]:
    """Return the namespaces that a JSON-LD context gives to prefixes."""
    found: dict[str, str] = {}
    for one in context if isinstance(context, list) else [context]:
        if isinstance(one, Mapping):
            found.update(
                (name, uri)
                for name, uri in one.items()
                if isinstance(name, str) and isinstance(uri, str)
            )
        elif one is not None and not isinstance(one, str):
            raise ParseError("@context", "is no URI and no object of prefixes")
    return found


def parse_extensions(header: str) -> dict[str, str]:
    """Return the prefixes of a GS1-Extensions header: `example=https://ns.example.com/epcis/`.

    What is no such pair says nothing about prefixes and is passed over.
    """
    pairs = (item.strip().partition("=") for item in header.split(","))
    return {name: uri for name, mark, uri in pairs if name and mark and uri}
