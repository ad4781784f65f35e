"""What an EPCIS 2.0 event query asks for, as values: EPCIS 2.0 section 8.2.7.1.

A query is a conjunction: an event is in the answer if every condition holds for it. Within
one condition any of its values will do. `ledger.epcis.query_parse` makes queries of
parameters, `ledger.epcis.query_match` says what each condition means.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

from ledger.errors import TagtrailError

SIMPLE_EVENT_QUERY = "SimpleEventQuery"

Op: TypeAlias = Literal["EQ", "GT", "GE", "LT", "LE"]
Scope: TypeAlias = Literal[
    "event",
    "ilmd",
    "error",
    "sensor_element",
    "sensor_metadata",
    "sensor_report",
    "read_point",
    "biz_location",
]
Direction: TypeAlias = Literal["ASC", "DESC"]


class QueryTooLargeError(TagtrailError):
    """More events match than `maxEventCount`, or than one answer may sort."""


@dataclass(frozen=True, slots=True)
class FieldName:
    """The name of an extension field as a query gives it.

    `spelled` is what was written; `expanded` the URI, where the query or a header says
    what the prefix means or a URI was written, else None.
    """

    spelled: str
    expanded: str | None = None

    @property
    def local(self) -> str:
        """Return what comes after the namespace."""
        return local_name(self.expanded or self.spelled)

    def names(self, spelled: str, expanded: str | None) -> bool:
        """Say whether an event's field, so spelled and expanded, has this name.

        EPCIS 1.2 writes namespace#name, whether or not the namespace ends in a separator.
        """
        if self.expanded is None or expanded is None:
            return self.spelled == spelled
        return expanded == self.expanded or expanded == "".join(self.expanded.rsplit("#", 1))


def local_name(name: str) -> str:
    """Return what comes after the last of `#`, `/` and `:`."""
    for mark in "#/:":
        name = name.rpartition(mark)[2]
    return name


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value of a standard field is one of these, canonical on both sides."""

    field: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Within:
    """A place is one of these, or below one of them by master data."""

    field: Literal["readPoint", "bizLocation"]
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class MatchEpc:
    """An identity of the event matches one of these patterns (section 8.2.7.1.1)."""

    field: str
    """What follows `MATCH_`, such as `anyEPC`."""
    patterns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Listed:
    """A business transaction, source or destination of one type is one of these."""

    field: Literal["bizTransaction", "source", "destination"]
    type: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class Instant:
    """A time of the event compared with an instant, in microseconds since 1970 UTC.

    `field` is eventTime, recordTime, errorDeclarationTime, or time, startTime or endTime of
    a sensor element.
    """

    field: str
    op: Op
    us: int


@dataclass(frozen=True, slots=True)
class Amount:
    """A quantity, or a number in a sensor report, compared; `uom` None: as it is written."""

    field: str
    op: Op
    values: tuple[Decimal, ...]
    uom: str | None


@dataclass(frozen=True, slots=True)
class SensorText:
    """An attribute of a sensor report or of its metadata is one of these."""

    attribute: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class SensorFlag:
    """The booleanValue of a sensor report."""

    value: bool


Scalar: TypeAlias = str | Decimal | int | bool


@dataclass(frozen=True, slots=True)
class Field:
    """An extension field compared; `inner`: at any depth below the top of its scope.

    `values` are texts as they were written; what is a number or a time is compared as such
    where the event's value is one too.
    """

    scope: Scope
    inner: bool
    name: FieldName
    op: Op
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Exists:
    """A field is there: a standard one by its name, or an extension."""

    scope: Scope
    inner: bool
    name: FieldName


@dataclass(frozen=True, slots=True)
class HasAttribute:
    """Master data gives what a field names one of these attributes (HASATTR_)."""

    field: FieldName
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EqualAttribute:
    """Master data gives what a field names this attribute with one of these values."""

    field: FieldName
    name: str
    values: tuple[str, ...]


Condition: TypeAlias = (
    OneOf
    | Within
    | MatchEpc
    | Listed
    | Instant
    | Amount
    | SensorText
    | SensorFlag
    | Field
    | Exists
    | HasAttribute
    | EqualAttribute
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One event query.

    `order_by` is eventTime, recordTime or an extension field; None where the query leaves
    the order open, which then is that of eventTime, so that pages have one.
    """

    conditions: tuple[Condition, ...] = ()
    order_by: str | FieldName | None = None
    direction: Direction = "DESC"
    event_count_limit: int | None = None
    max_event_count: int | None = None


@dataclass(frozen=True, slots=True)
class MasterRecords:
    """What captured documents say about places and other things, by key.

    `children` are direct; an attribute has one value or a list of them.
    """

    children: Mapping[str, frozenset[str]] = field(default_factory=dict)
    attributes: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def with_descendants(self, keys: frozenset[str]) -> frozenset[str]:
        """Return `keys` and all that is directly or indirectly below them; loops end."""
        found = set(keys)
        new = list(keys)
        while new:
            below = self.children.get(new.pop(), frozenset()) - found
            found |= below
            new.extend(below)
        return frozenset(found)


NO_MASTER_RECORDS = MasterRecords()
