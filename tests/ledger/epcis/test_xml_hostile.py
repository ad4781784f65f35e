"""XML that says one thing to one reader and another to the next: nothing is dropped unseen."""

from typing import Any

import pytest

from ledger.epcis.received import (
    VALUES_MAX,
    LimitError,
    judge_event,
    list_events,
    read_document,
)
from ledger.epcis.xml import NAMESPACES_MAX
from ledger.epcis.xmltree import ATTRIBUTES_MAX, XML_TAGS_MAX
from ledger.errors import ParseError

ITEM = "urn:epc:id:sgtin:9506000.013435.123"
DOCUMENT = """<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2" schemaVersion="2.0"
  xmlns:a="https://a.example/"><EPCISBody><EventList>{event}</EventList></EPCISBody>
</epcis:EPCISDocument>"""
EVENT = """<ObjectEvent><eventTime>2024-05-31T07:05:00Z</eventTime>
  <eventTimeZoneOffset>+02:00</eventTimeZoneOffset><epcList>{epcs}</epcList>
  <action>OBSERVE</action>{more}</ObjectEvent>"""


def written(epcs: str = f"<epc>{ITEM}</epc>", more: str = "") -> bytes:
    return DOCUMENT.format(event=EVENT.format(epcs=epcs, more=more)).encode()


def judged(data: bytes) -> Any:
    ((pointer, raw),) = list_events(read_document(data, "application/xml"))
    return judge_event(pointer, raw, cites="00")


@pytest.mark.parametrize(
    "epc",
    [
        "urn:epc:id:sgtin:9506000<!-- .999999.1 -->.013435.123",
        "urn:epc:id:sgtin:9506000<?sgtin .999999.1?>.013435.123",
        f"<![CDATA[{ITEM}]]>",
        "urn:epc:id:sgtin:9506000.013435.&#49;23",
        f"\n  {ITEM}\t",
    ],
    ids=["comment", "instruction", "cdata", "reference", "spaces"],
)
def test_a_name_is_read_whole(epc: str) -> None:
    assert judged(written(f"<epc>{epc}</epc>")).raw["epcList"] == [ITEM]


@pytest.mark.parametrize(
    "epcs",
    [
        f"<epc>{ITEM}<a:cut/>4</epc>",
        f"<a:epc>{ITEM}</a:epc>",
        f"<thing>{ITEM}</thing>",
        f"junk<epc>{ITEM}</epc>",
        f"<epc>{ITEM}</epc>junk",
    ],
    ids=["cut", "foreign", "unknown", "before", "behind"],
)
def test_what_is_no_list_of_names_is_refused_by_its_place(epcs: str) -> None:
    found = judged(written(epcs))
    assert found.event is None
    assert found.faults[0].pointer.startswith("/epcisBody/eventList/0/epcList/")


def test_a_field_that_comes_twice_is_refused() -> None:
    assert judged(written(more="<action>ADD</action>")).event is None
    assert judged(written(more="<eventTime>2020-01-01T00:00:00Z</eventTime>")).event is None


def test_text_beside_elements_is_kept() -> None:
    event = judged(written(more="<a:x>one<a:y>two</a:y>three</a:x>")).raw
    assert event["a:x"] == {"a:y": "two", "#text": "onethree"}


def test_a_document_type_in_the_text_is_not_cut_out() -> None:
    with pytest.raises(ParseError, match="document type"):
        judged(written(more="<a:x><![CDATA[a<!DOCTYPE b>c]]></a:x>"))


def test_a_foreign_event_has_a_name_that_its_context_explains() -> None:
    data = DOCUMENT.format(
        event="<a:Milking><eventTime>2024-05-31T07:05:00Z</eventTime></a:Milking>"
    )
    raw = judged(data.encode()).raw
    assert raw["type"] == "a:Milking"
    assert {"a": "https://a.example/"} in raw["@context"]


def test_a_transaction_keeps_its_empty_list() -> None:
    event = """<TransactionEvent><eventTime>2024-05-31T07:05:00Z</eventTime>
      <eventTimeZoneOffset>+02:00</eventTimeZoneOffset><bizTransactionList><bizTransaction>urn:x:1
      </bizTransaction></bizTransactionList><epcList/><action>ADD</action></TransactionEvent>"""
    found = judged(DOCUMENT.format(event=event).encode())
    assert found.event is not None
    assert found.raw["epcList"] == []


def test_attributes_namespaces_and_tags_have_named_limits() -> None:
    many = " ".join(f'a{n}=""' for n in range(ATTRIBUTES_MAX + 1))
    with pytest.raises(ParseError, match=str(ATTRIBUTES_MAX)):
        judged(written(more=f"<a:x {many}/>"))
    spaces = "".join(f'<x xmlns="urn:{n}:"/>' for n in range(NAMESPACES_MAX + 1))
    with pytest.raises(ParseError, match=str(NAMESPACES_MAX)):
        judged(written(more=spaces))
    with pytest.raises(ParseError, match=str(XML_TAGS_MAX)):
        judged(written("<epc/>" * (XML_TAGS_MAX + 1)))


@pytest.mark.parametrize("piece", [b"[],", b"{},", b"1,", b'"",'])
def test_json_of_many_small_values_has_a_named_limit(piece: bytes) -> None:
    data = b'{"a":[' + piece * VALUES_MAX + b"1]}"
    with pytest.raises(LimitError, match=str(VALUES_MAX)):
        read_document(data, "application/json")
