"""Writes the SQL of one page of a plan: candidates in order, and which of them pass.

    candidates, from where the last page ended:  (event_time_us, eid) of all streams, merged
    with their rows:                eid, event_time_us, record_time_us, type, passes (0 or 1)

Both orders end with the row id, so that each event has one place. Every candidate is
returned, passing or not, so that the next page goes on after the last one that was looked at.
Placeholders are question marks and lists are written out, so that SQLite and PostgreSQL read
the same text.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ledger.epcis.query import Direction
from ledger.projection import POSITION_BITS
from ledger.store.query_plan import STREAMS_MAX, Column, Mentions, OrderKey, Plan, Sql


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The order of an answer, its end, and how far it was given.

    `below` is the first row id that was not there when the first page was asked for, `floor`
    the first that may be in the answer; `since_us` and `until_us` (not included) bound the
    event time; `after` is the place (event time, row id) of the last candidate looked at.
    """

    order: OrderKey
    direction: Direction
    below: int
    floor: int = 0
    since_us: int | None = None
    until_us: int | None = None
    after: tuple[int, int] | None = None

    @property
    def by_time(self) -> bool:
        """Whether the order is that of eventTime."""
        return self.order == "eventTime"


def below_entry(index: int) -> int:
    """Return the first row id of the entry at `index`."""
    return index << POSITION_BITS


def write_page(plan: Plan, walk: Walk, ids: Mapping[str, int], limit: int) -> Sql | None:
    """Return the SQL of at most `limit` candidates; None where there cannot be any.

    `ids` are the integers of the keys that the plan names, as far as the index knows them.
    """
    stream = _candidates(plan, walk, ids, limit)
    if stream is None:
        return None
    passes = [f"({one.text})" for one in plan.filters]
    values = [value for one in plan.filters for value in one.values]
    for named in plan.mentions:
        known = [ids[key] for key in named.keys if key in ids]
        if not known:
            return None
        passes.append(_names(known, named.roles))
        values += [*known, *named.roles]
    order = _order(walk, "candidate.at_us", "candidate.place")
    text = (
        "SELECT candidate.place, candidate.at_us, event.record_time_us, event.type, "  # noqa: S608 - our own text
        f"CASE WHEN {' AND '.join(passes)} THEN 1 ELSE 0 END "
        f"FROM (SELECT event_time_us AS at_us, eid AS place FROM ({stream.text}) AS stream) "
        f"AS candidate CROSS JOIN event WHERE event.eid = candidate.place ORDER BY {order}"
    )
    return Sql(text, (*values, *stream.values))


def keys_of(plan: Plan) -> list[str]:
    """Return the keys of which `write_page` wants the integers."""
    named = [*plan.mentions]
    if isinstance(plan.stream, Mentions):
        named.append(plan.stream)
    return sorted({key for one in named for key in one.keys})


def _names(keys: Sequence[int], roles: Sequence[int]) -> str:
    return (
        "EXISTS (SELECT 1 FROM mention AS named "  # noqa: S608 - question marks alone
        f"WHERE named.key IN ({_marks(keys)}) AND named.role IN ({_marks(roles)}) "
        "AND named.event_time_us = event.event_time_us AND named.eid = event.eid)"
    )


def _candidates(plan: Plan, walk: Walk, ids: Mapping[str, int], limit: int) -> Sql | None:
    match plan.stream:
        case Mentions(_, keys, roles):
            known = [ids[key] for key in keys if key in ids]
            if not known:
                return None
            return _of_mentions(known, roles, walk, limit)
        case Column(column, values):
            if len(values) <= STREAMS_MAX:
                each = [_range("event", [(column, value)], walk, limit) for value in values]
                return _merge(each, walk, limit)
        case None:
            pass
    return _of_all(plan, walk, limit)


def _of_mentions(keys: Sequence[int], roles: Sequence[int], walk: Walk, limit: int) -> Sql:
    """Return the candidates that name one of `keys`: ranges merged, or one sorted set."""
    if len(keys) * len(roles) <= STREAMS_MAX:
        each = [
            _range("mention", [("key", key), ("role", role)], walk, limit)
            for key in keys
            for role in roles
        ]
        return _merge(each, walk, limit)
    bounds = _bounds(walk)
    text = (
        "SELECT DISTINCT event_time_us, eid FROM mention "  # noqa: S608 - question marks alone
        f"WHERE key IN ({_marks(keys)}) AND role IN ({_marks(roles)}) AND {bounds.text} "
        f"ORDER BY {_order(walk, 'event_time_us', 'eid')} LIMIT ?"
    )
    return Sql(text, (*keys, *roles, *bounds.values, limit))


def _of_all(plan: Plan, walk: Walk, limit: int) -> Sql:
    """Return the candidates of a plan without streams: those that pass, in order."""
    bounds = _bounds(walk)
    filters = " AND ".join(f"({one.text})" for one in plan.filters)
    values = [value for one in plan.filters for value in one.values]
    text = (
        f"SELECT event_time_us, eid FROM event WHERE {bounds.text} AND {filters} "  # noqa: S608 - our own text
        f"ORDER BY {_order(walk, 'event_time_us', 'eid')} LIMIT ?"
    )
    return Sql(text, (*bounds.values, *values, limit))


def _range(table: str, equal: Sequence[tuple[str, object]], walk: Walk, limit: int) -> Sql:
    """Return one range of an index in the order of the answer."""
    bounds = _bounds(walk)
    same = " AND ".join(f"{column} = ?" for column, _ in equal)
    text = (
        f"SELECT event_time_us, eid FROM {table} WHERE {same} AND {bounds.text} "  # noqa: S608 - our own names
        f"ORDER BY {_order(walk, 'event_time_us', 'eid')} LIMIT ?"
    )
    return Sql(text, (*(value for _, value in equal), *bounds.values, limit))


def _merge(ranges: Sequence[Sql], walk: Walk, limit: int) -> Sql:
    """Return the first of all ranges together, each candidate once."""
    if len(ranges) == 1:
        return ranges[0]
    union = " UNION ".join(f"SELECT * FROM ({one.text}) AS part" for one in ranges)  # noqa: S608 - our own text
    order = _order(walk, "event_time_us", "eid")
    text = f"SELECT event_time_us, eid FROM ({union}) AS merged ORDER BY {order} LIMIT ?"  # noqa: S608 - our own text
    return Sql(text, (*(value for one in ranges for value in one.values), limit))


def _bounds(walk: Walk) -> Sql:
    """Return the condition that a candidate is within bounds and comes after the last."""
    texts, values = ["eid < ?"], [walk.below]
    if walk.floor:
        texts.append("eid >= ?")
        values.append(walk.floor)
    if walk.since_us is not None:
        texts.append("event_time_us >= ?")
        values.append(walk.since_us)
    if walk.until_us is not None:
        texts.append("event_time_us < ?")
        values.append(walk.until_us)
    if walk.after is not None:
        sign = ">" if walk.direction == "ASC" else "<"
        texts.append(f"(event_time_us, eid) {sign} (?, ?)" if walk.by_time else f"eid {sign} ?")
        values += walk.after if walk.by_time else walk.after[1:]
    return Sql(" AND ".join(texts), tuple(values))


def _order(walk: Walk, time: str, eid: str) -> str:
    """Return the order of an answer; entries are recorded in the order of their row ids."""
    direction = walk.direction
    return f"{time} {direction}, {eid} {direction}" if walk.by_time else f"{eid} {direction}"


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
