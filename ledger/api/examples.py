"""What the documentation of the API shows: true answers about a handful of invented events.

Milk of one lot becomes two bottles; they travel in a case, with a logger, from a dairy to a
shop. The examples in `/openapi.json` are worked out from these events by the code that
answers, so that they show every member and are never older than it.
"""

from functools import cache
from urllib.parse import quote

from ledger.epcis.event import parse_event
from ledger.epcis.times import parse_time_us
from ledger.projection import Pin
from ledger.provenance.answer import trace
from ledger.provenance.document import Document, assemble_answer
from ledger.provenance.graph import draw_graph
from ledger.provenance.listed import ListedSource
from ledger.provenance.recall import recall
from ledger.provenance.seeds import Suspicion
from ledger.provenance.source import known_event
from ledger.provenance.twin import Asked, list_contents, list_inventory

ITEM = "https://id.gs1.org/01/09506000134352/21/7"
LOT = "https://id.gs1.org/01/09506000134369/10/A"
CASE = "https://id.gs1.org/01/19506000134359/21/3"
LOGGER = "https://id.gs1.org/8004/9506000LOG1"
SITE = "https://id.gs1.org/414/9521321000003"

_DAIRY = "https://id.gs1.org/417/9506000134352"
_DAIRY_SITE = "https://id.gs1.org/414/9506000134352"
_SHOP = "https://id.gs1.org/417/9521321000003"
_NOW_US = parse_time_us("2026-03-04T00:00:00Z")
_ROOT = bytes(31) + b"\x01"
_BOTTLES = [ITEM, ITEM[:-1] + "8"]
_GIVES = [
    {"type": "owning_party", "source": _DAIRY},
    {"type": "possessing_party", "source": _DAIRY},
]
_TAKES = [
    {"type": "owning_party", "destination": _SHOP},
    {"type": "possessing_party", "destination": _SHOP},
]


def _event(kind: str, at: str, place: str, **fields: object) -> Document:
    made: Document = {"type": kind, "eventTime": at, "eventTimeZoneOffset": "+00:00"}
    return made | {"bizLocation": {"id": place}} | fields


_EVENTS: tuple[tuple[str, Document], ...] = (
    (
        _DAIRY,
        _event(
            "TransformationEvent", "2026-03-01T08:00:00Z", _DAIRY_SITE, bizStep="commissioning",
            inputQuantityList=[{"epcClass": LOT, "quantity": 2, "uom": "LTR"}],
            outputEPCList=_BOTTLES, disposition="active",
        ),
    ),
    (
        _DAIRY,
        _event(
            "AggregationEvent", "2026-03-01T09:00:00Z", _DAIRY_SITE, action="ADD",
            parentID=CASE, childEPCs=_BOTTLES, bizStep="packing",
        ),
    ),
    (
        _DAIRY,
        _event(
            "AssociationEvent", "2026-03-01T09:05:00Z", _DAIRY_SITE, action="ADD",
            parentID=CASE, childEPCs=[LOGGER],
        ),
    ),
    (
        _DAIRY,
        _event(
            "ObjectEvent", "2026-03-01T10:00:00Z", _DAIRY_SITE, action="OBSERVE",
            epcList=[CASE], bizStep="shipping", disposition="in_transit",
            sourceList=_GIVES, destinationList=_TAKES,
        ),
    ),
    (
        _DAIRY,
        _event(
            "ObjectEvent", "2026-03-01T12:00:00Z", _DAIRY_SITE, action="OBSERVE",
            epcList=[LOGGER], bizStep="sensor_reporting",
            sensorElementList=[
                {"sensorReport": [{"type": "Temperature", "value": 4.5, "uom": "CEL"}]}
            ],
        ),
    ),
    (
        _SHOP,
        _event(
            "ObjectEvent", "2026-03-02T06:00:00Z", SITE, action="OBSERVE", epcList=[CASE],
            bizStep="receiving", disposition="in_progress",
            sourceList=_GIVES, destinationList=_TAKES,
        ),
    ),
    (
        _SHOP,
        _event(
            "AggregationEvent", "2026-03-02T07:00:00Z", SITE, action="DELETE",
            parentID=CASE, childEPCs=[ITEM], bizStep="unpacking",
        ),
    ),
)  # fmt: skip


@cache
def _source() -> ListedSource:
    known = []
    for index, (party, raw) in enumerate(_EVENTS):
        event = parse_event(raw)
        pin = Pin(
            index=index + 2,
            position=0,
            commitment=bytes(32),
            iss=party,
            grade=2,
            record_time_us=event.event_time_us,
            document=bytes(16),
        )
        known.append(known_event(pin, event))
    return ListedSource(known, len(known) + 2)


_ASKED = Asked(now_us=_NOW_US)


def example_answer() -> Document:
    """Return an answer about a bottle."""
    found = trace(_source(), ITEM, now_us=_NOW_US)
    assert found is not None
    size = found.known_at
    proof = f"/provenance/{quote(ITEM, safe='')}/bundle?known_at={size}"
    return assemble_answer(found, root=_ROOT) | {"proof": proof}


def example_graph() -> Document:
    """Return the same answer as nodes and edges."""
    return draw_graph(example_answer())


def example_contents() -> Document:
    """Return what is in the case."""
    return _rooted(list_contents(_source(), CASE, _ASKED))


def example_inventory() -> Document:
    """Return what is at the shop."""
    return _rooted(list_inventory(_source(), SITE, _ASKED))


def example_recall() -> list[Document]:
    """Return the lines of a recall of the milk."""
    first, *rest = recall(_source(), Suspicion(things=(LOT,)), _ASKED)
    return [_rooted(first), *rest]


def _rooted(document: Document) -> Document:
    as_of = document["as_of"]
    assert isinstance(as_of, dict)
    as_of["root"] = _ROOT.hex()
    return document
