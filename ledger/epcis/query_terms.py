"""Under which terms the index finds an event by what a query asks beside things and places.

A **term** stands for an extension field with one value: the name without its namespace and the
value in one spelling. It finds more events than match, never fewer: an event with more, or
longer, fields than the index keeps has the term `OVERFLOW` instead of them.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from ledger.epcis.query import Scope, local_name
from ledger.epcis.query_fields import STANDARD_IN, comparable, each_of, fields_in
from ledger.epcis.values import Event

BIZ_TRANSACTION = "biz_transaction"
SENSOR_TYPE = "sensor_type"
FIELD = "field"

HAS_SENSORS, HAS_QUANTITIES, HAS_PERSISTENT, HAS_FIELDS = 1, 2, 4, 8
FACETS = HAS_SENSORS | HAS_QUANTITIES | HAS_PERSISTENT | HAS_FIELDS
"""Sensor readings, quantities, a persistentDisposition, extension fields or an ilmd."""

TERM_START = "\x1ffield\x1f"
"""What no identity starts with, so that a term is never taken for one."""

TERM_CHARS_MAX = 256
TERMS_MAX = 64
OVERFLOW = f"{TERM_START}*"


def terms_of(event: Event) -> Iterator[tuple[str, str]]:
    """Yield (key, role) of what event queries find `event` by, and its story does not name."""
    yield from ((key, BIZ_TRANSACTION) for _, key in event.biz_transactions)
    types = {report.type for element in event.sensors for report in element.reports}
    yield from ((kind, SENSOR_TYPE) for kind in types if kind)
    yield from ((term, FIELD) for term in field_terms(event))


def facets_of(event: Event) -> int:
    """Return the sum of those `FACETS` that `event` has."""
    return (
        bool(event.sensors) * HAS_SENSORS
        + bool(event.quantities) * HAS_QUANTITIES
        + bool(event.persistent_set or event.persistent_unset) * HAS_PERSISTENT
        + may_have_fields(event) * HAS_FIELDS
    )


_SCOPES: tuple[Scope, ...] = tuple(STANDARD_IN)


def field_term(name: str, value: object) -> str | None:
    """Return the term of a field with a scalar value, or None where it has none."""
    known = comparable(value)
    if known is None:
        return None
    kind, canonical = known
    text = _canonical_number(canonical) if isinstance(canonical, Decimal) else str(canonical)
    return f"{TERM_START}{local_name(name)}\x1f{kind}\x1f{text}"


def _canonical_number(value: Decimal) -> str:
    return str(value.normalize()) if value else "0"


def field_terms(event: Event) -> Iterator[str]:
    """Yield the terms of all extension fields of `event`, at most `TERMS_MAX`."""
    if not may_have_fields(event):
        return
    found: set[str] = set()
    for term in _all_terms(event):
        if len(found) >= TERMS_MAX or len(term) > TERM_CHARS_MAX:
            yield OVERFLOW
            break
        found.add(term)
    yield from found


def may_have_fields(event: Event) -> bool:
    """Say whether `event` may have fields that are not the standard's, ilmd included."""
    raw = event.raw
    places = (raw.get("readPoint"), raw.get("bizLocation"))
    return bool(
        event.extensions
        or event.ilmd
        or event.sensors
        or event.error
        or any(isinstance(place, Mapping) and len(place) > 1 for place in places)
    )


def _all_terms(event: Event) -> Iterator[str]:
    for scope in _SCOPES:
        for inner in (False, True):
            for spelled, value in fields_in(event, scope, inner=inner):
                yield from _terms_of(spelled, each_of(value))


def _terms_of(spelled: str, values: Iterable[object]) -> Iterator[str]:
    for value in values:
        term = field_term(spelled, value)
        if term is not None:
            yield term
