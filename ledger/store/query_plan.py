"""How the index finds the events of a query: streams of candidates, filters, and what is left.

A plan has **streams**, each of which yields row ids in the order of the answer out of one
range of an index (all events of one key in one role, or of one business step, or simply all),
and **filters**, conditions on the row of a candidate. A candidate that passes is in the
answer, unless the plan is not `exact`: then the event is read and `query_match` decides.
A stream or a filter never loses an event that matches.

No plan yields an event that is no EPCIS event as far as it is shown (its type or its time is
withheld), or one whose name gives away what is withheld.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ledger.epcis.parts import PART_NAMES
from ledger.epcis.query import (
    Amount,
    Condition,
    Exists,
    Field,
    Instant,
    Listed,
    MasterRecords,
    MatchEpc,
    OneOf,
    Op,
    Query,
    SensorFlag,
    SensorText,
    Within,
)
from ledger.epcis.query_terms import (
    BIZ_TRANSACTION,
    FIELD,
    HAS_FIELDS,
    HAS_PERSISTENT,
    HAS_QUANTITIES,
    HAS_SENSORS,
    OVERFLOW,
    SENSOR_TYPE,
    field_term,
)
from ledger.gs1.epc import canonical_key
from ledger.indexed import indexed_text
from ledger.projection import (
    ASSOCIATED_CHILD,
    ASSOCIATED_PARENT,
    CHILD,
    CHILD_QUANTITY,
    DESTINATION,
    DEVICE,
    EPC,
    INPUT,
    INPUT_QUANTITY,
    OUTPUT,
    OUTPUT_QUANTITY,
    PARENT,
    QUANTITY,
    ROLES,
    SOURCE,
    UNREADABLE,
)

OrderKey = Literal["eventTime", "recordTime"]

_THINGS = (EPC, CHILD, ASSOCIATED_CHILD)
_CLASSES = (QUANTITY, CHILD_QUANTITY, ASSOCIATED_CHILD)
MATCH_ROLES = {
    "epc": _THINGS,
    "parentID": (PARENT, ASSOCIATED_PARENT),
    "inputEPC": (INPUT,),
    "outputEPC": (OUTPUT,),
    "anyEPC": (*_THINGS, PARENT, ASSOCIATED_PARENT, INPUT, OUTPUT),
    "epcClass": _CLASSES,
    "inputEPCClass": (INPUT_QUANTITY,),
    "outputEPCClass": (OUTPUT_QUANTITY,),
    "anyEPCClass": (*_CLASSES, INPUT_QUANTITY, OUTPUT_QUANTITY),
}
_ROLE_NUMBERS = {role: number for number, role in enumerate(ROLES)}
_COLUMNS = {
    "type": "type",
    "action": "action",
    "bizStep": "biz_step",
    "disposition": "disposition",
    "readPoint": "read_point",
    "bizLocation": "biz_location",
    "transformationID": "transformation_id",
    "eventID": "event_id",
    "errorReason": "error_reason",
}
_TIME_COLUMNS = {
    "eventTime": "event_time_us",
    "recordTime": "record_time_us",
    "errorDeclarationTime": "error_time_us",
}
_SQL_OPS: dict[Op, str] = {"EQ": "=", "GT": ">", "GE": ">=", "LT": "<", "LE": "<="}
# Which streams find the fewest events, as a rule: the first of these that a query has.
_RANKS = (
    *("event_id", "transformation_id", "things", BIZ_TRANSACTION, FIELD, SOURCE, DESTINATION),
    *(DEVICE, "read_point", "biz_location", SENSOR_TYPE, "disposition", "biz_step", "type"),
)
_STREAMING_COLUMNS = frozenset(
    {"event_id", "transformation_id", "biz_step", "disposition", "type"}
)
STREAMS_MAX = 64
"""More streams than these are one sorted set."""

_ABOUT, _WHEN = PART_NAMES.index("about"), PART_NAMES.index("when")
_SHOWN = (
    f"type NOT IN ('{UNREADABLE}', '') AND (withheld & {1 << _ABOUT | 1 << _WHEN}) = 0 "
    "AND (withheld = 0 OR event_id IS NULL OR substr(event_id, 1, 3) <> 'ni:')"
)


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL with the values of its placeholders."""

    text: str
    values: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class Mentions:
    """The events that name one of `keys` in one of `roles`."""

    rank: str
    keys: tuple[str, ...]
    roles: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """The events whose row has one of `values` in `column`."""

    column: str
    values: tuple[str, ...]

    @property
    def rank(self) -> str:
        """What stands for it in the order of streams."""
        return self.column


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to find the events of one query, see the module."""

    stream: Mentions | Column | None
    filters: tuple[Sql, ...]
    mentions: tuple[Mentions, ...]
    """What a candidate must name besides, looked up one by one."""
    exact: bool
    exact_but_associations: bool
    """A child of an association may be an instance or a class; only the event tells."""


def make_plan(query: Query, master: MasterRecords) -> Plan:
    """Return the plan of `query`."""
    parts = [_plan_condition(one, master) for one in query.conditions]
    sources = [one.source for one in parts if one.source is not None]
    ranked = sorted(sources, key=lambda one: _RANKS.index(one.rank))
    stream = ranked[0] if ranked else None
    filters = [Sql(_SHOWN), *(one.filter for one in parts if one.filter is not None)]
    mentions = [one for one in sources if isinstance(one, Mentions) and one is not stream]
    return Plan(
        stream=stream,
        filters=tuple(filters),
        mentions=tuple(mentions),
        exact=all(one.exact for one in parts),
        exact_but_associations=any(one.but_associations for one in parts),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What one condition adds to a plan."""

    exact: bool = False
    but_associations: bool = False
    source: Mentions | Column | None = None
    filter: Sql | None = None


def _plan_condition(condition: Condition, master: MasterRecords) -> _Part:
    match condition:
        case OneOf(field, values):
            return _plan_one_of(field, values)
        case Within(field, values):
            return _plan_column(_COLUMNS[field], master.with_descendants(values))
        case MatchEpc(field, patterns):
            return _plan_match(field, patterns)
        case Instant(field, op, us) if field in _TIME_COLUMNS:
            return _Part(
                exact=True, filter=Sql(f"{_TIME_COLUMNS[field]} {_SQL_OPS[op]} ?", (us,))
            )
        case Listed(field, _, values):
            roles = {
                "bizTransaction": BIZ_TRANSACTION,
                "source": SOURCE,
                "destination": DESTINATION,
            }
            return _Part(source=_mentions(roles[field], values))
        case _:
            return _plan_content(condition)


def _plan_content(condition: Condition) -> _Part:
    """Return what finds the candidates of a condition that only the event decides."""
    match condition:
        case SensorText("deviceID", values):
            return _Part(source=_mentions(DEVICE, values))
        case SensorText("type", values):
            return _Part(source=_mentions(SENSOR_TYPE, values))
        case SensorText() | SensorFlag() | Instant():
            return _with_facet(HAS_SENSORS)
        case Amount(field):
            return _with_facet(HAS_QUANTITIES if field == "quantity" else HAS_SENSORS)
        case Field():
            return _plan_field(condition)
        case _:
            return _plan_exists(condition) if isinstance(condition, Exists) else _Part()


def _with_facet(facet: int) -> _Part:
    return _Part(filter=Sql(f"(facets & {facet}) <> 0"))


def _plan_one_of(field: str, values: frozenset[str]) -> _Part:
    if field in _COLUMNS:
        return _plan_column(_COLUMNS[field], values)
    if field == "correctiveEventID":
        return _Part(filter=Sql("error_time_us IS NOT NULL"))
    return _with_facet(HAS_PERSISTENT)


def _plan_column(column: str, values: Iterable[str]) -> _Part:
    wanted = tuple(sorted(map(indexed_text, values)))
    streams = column in _STREAMING_COLUMNS
    source: Mentions | Column | None = Column(column, wanted) if streams else None
    if column in ("read_point", "biz_location"):
        source = Mentions(column, wanted, (_ROLE_NUMBERS[column],))
    return _Part(exact=True, source=source, filter=is_in(column, wanted))


def _plan_match(field: str, patterns: Sequence[str]) -> _Part:
    roles = MATCH_ROLES[field]
    if any("*" in one for one in patterns):
        return _Part()
    keys = tuple(sorted({canonical_key(one) for one in patterns}))
    numbers = tuple(_ROLE_NUMBERS[role] for role in roles)
    return _Part(
        exact=True,
        but_associations=ASSOCIATED_CHILD in roles,
        source=Mentions("things", keys, numbers),
    )


def _plan_field(condition: Field) -> _Part:
    if condition.op != "EQ":
        return _with_facet(HAS_FIELDS)
    name = condition.name.expanded or condition.name.spelled
    terms = {term for value in condition.values if (term := field_term(name, value))}
    return _Part(source=_mentions(FIELD, {*terms, OVERFLOW}))


def _plan_exists(condition: Exists) -> _Part:
    match condition.name.spelled:
        case "errorDeclaration":
            return _Part(exact=True, filter=Sql("error_time_us IS NOT NULL"))
        case "sensorElementList":
            return _with_facet(HAS_SENSORS)
        case spelled if ":" in spelled:
            return _with_facet(HAS_FIELDS)
        case _:
            return _Part()


def _mentions(role: str, keys: Iterable[str]) -> Mentions:
    return Mentions(role, tuple(sorted(keys)), (_ROLE_NUMBERS[role],))


def is_in(column: str, values: Sequence[object]) -> Sql:
    """Return the condition that `column` is one of `values`."""
    return Sql(f"{column} IN ({', '.join('?' * len(values))})", tuple(values))
