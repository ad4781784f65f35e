"""EPCIS in XML: 1.2 and 2.0 become the JSON that they mean; hostile XML is refused."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.epcis.document import events_of_document
from ledger.epcis.event import join_parts, parse_event, split_event
from ledger.epcis.event_hash import format_pre_hash
from ledger.epcis.xml import parse_xml
from ledger.epcis.xmltree import XML_BYTES_MAX, XML_DEPTH_MAX
from ledger.errors import ParseError

EVENT = """<ObjectEvent>
  <eventTime>2024-05-31T07:05:00Z</eventTime>
  <eventTimeZoneOffset>+02:00</eventTimeZoneOffset>
  <epcList><epc>urn:epc:id:sgtin:9506000.013435.123</epc></epcList>
  <action>OBSERVE</action><bizStep>urn:epcglobal:cbv:bizstep:shipping</bizStep>
  {more}
</ObjectEvent>"""
DOCUMENT = """<?xml version="1.0" encoding="UTF-8"?>{doctype}
<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2" schemaVersion="2.0"
  creationDate="2024-05-31T08:00:00Z" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xmlns:a="https://a.example/" xmlns:xsd="http://www.w3.org/2001/XMLSchema">
<EPCISBody><EventList>{event}</EventList></EPCISBody></epcis:EPCISDocument>"""

# What is not as the JSON of the same name says it: 23.0 as text or number, and an empty
# element that the JSON leaves out.
UNLIKE = {("Documents", "AssociationEvent_all_possible_fields.xml"),
          ("Events", "TransactionEvent.xml")}  # fmt: skip


def written(more: str = "", doctype: str = "") -> bytes:
    return DOCUMENT.format(event=EVENT.format(more=more), doctype=doctype).encode()


def read(more: str = "") -> dict[str, Any]:
    ((_, event),) = events_of_document(parse_xml(written(more)))
    return event


def documents(shared_data: Path) -> list[Path]:
    epcis = shared_data / "epcis"
    return sorted(one for one in epcis.rglob("*.xml") if "CaptureJob" not in one.parts)


def test_every_foreign_document_is_read_and_survives_its_parts(shared_data: Path) -> None:
    faulty = {"TransactionEvent_all_possible_fields.xml"}  # declared at 2006-11-07T13:00Z
    count = 0
    for path in documents(shared_data):
        for _, event in events_of_document(parse_xml(path.read_bytes())):
            count += 1
            if path.name in faulty and "1.2" in path.parts:
                with pytest.raises(ParseError, match="declarationTime"):
                    parse_event(event)
                continue
            event.pop("recordTime", None)
            assert join_parts(split_event(event)) == event
            parse_event(event)
    assert count > 150


def test_xml_and_json_of_one_document_are_the_same_events(shared_data: Path) -> None:
    root = shared_data / "epcis" / "openepcis" / "2.0" / "EPCIS"
    count = 0
    for path in sorted((root / "XML").rglob("*.xml")):
        twin = root / "JSON" / path.relative_to(root / "XML").with_suffix(".json")
        if not twin.exists() or (path.parent.name, path.name) in UNLIKE:
            continue
        mine = events_of_document(parse_xml(path.read_bytes()))
        theirs = events_of_document(json.loads(twin.read_text()))
        for (_, one), (_, other) in zip(mine, theirs, strict=True):
            assert format_pre_hash(one) == format_pre_hash(other), path.name
            count += 1
    assert count > 50


def test_wrappers_of_epcis_1_2_vanish() -> None:
    inner = (
        "<extension><extension><AssociationEvent><action>ADD</action><baseExtension>"
        "<eventID>urn:uuid:1</eventID></baseExtension></AssociationEvent></extension>"
        "</extension>"
    )
    text = DOCUMENT.format(event=inner, doctype="").replace("xsd:2", "xsd:1")
    ((_, event),) = events_of_document(parse_xml(text.encode()))
    assert event == {"type": "AssociationEvent", "action": "ADD", "eventID": "urn:uuid:1"}


def test_a_foreign_element_is_text_unless_it_says_its_type() -> None:
    event = read(
        '<a:lot>0815</a:lot><a:n xsi:type="xsd:integer">12</a:n>'
        '<a:ok xsi:type="xsd:boolean">true</a:ok><a:x xsi:type="xsd:double">2.5</a:x>'
        '<a:list>1</a:list><a:list>2</a:list><a:box><a:in>3</a:in></a:box>'
        '<a:weight unit="KGM">3.5</a:weight>'
    )  # fmt: skip
    assert event["a:lot"] == "0815"
    assert (event["a:n"], event["a:ok"], event["a:x"]) == (12, True, 2.5)
    assert event["a:list"] == ["1", "2"]
    assert event["a:box"] == {"a:in": "3"}
    assert event["a:weight"] == {"unit": "KGM", "#text": "3.5"}
    assert {"a": "https://a.example/"} in event["@context"]


def test_two_namespaces_never_share_a_prefix() -> None:
    event = read('<a:x>1</a:x><a:x xmlns:a="https://b.example/">2</a:x><x xmlns="urn:c:">3</x>')
    assert (event["a:x"], event["a2:x"], event["ns:x"]) == ("1", "2", "3")
    names = {key: uri for one in event["@context"][1:] for key, uri in one.items()}
    assert names == {"a": "https://a.example/", "a2": "https://b.example/", "ns": "urn:c:"}


def test_a_number_that_is_none_is_named_by_its_place() -> None:
    event = read(
        "<quantityList><quantityElement><epcClass>urn:epc:class:lgtin:9506000.013435.L"
        "</epcClass><quantity>many</quantity></quantityElement></quantityList>"
    )
    with pytest.raises(ParseError) as raised:
        parse_event(event)
    assert raised.value.where == "/quantityList/0/quantity"


LAUGHS = "<!DOCTYPE lolz [<!ENTITY a0 'ha'>" + "".join(
    f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12)
) + "]>"  # fmt: skip


@pytest.mark.parametrize(
    ("doctype", "more"),
    [
        (LAUGHS, "<a:x>&a11;</a:x>"),
        ("<!DOCTYPE d [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>", "<a:x>&x;</a:x>"),
        ("<!DOCTYPE d [<!ENTITY % x SYSTEM 'http://127.0.0.1:1/x'> %x;]>", ""),
        ("<!DOCTYPE d SYSTEM 'http://127.0.0.1:1/x.dtd'>", ""),
        ("<!DOCTYPE d PUBLIC '-//x' 'http://127.0.0.1:1/x.dtd'>", ""),
        ("<!DOCTYPE d><!DOCTYPE e [<!ENTITY x 'y'>]>", ""),
        ("", "<a:x>&undeclared;</a:x>"),
    ],
    ids=["laughs", "file", "parameter", "system", "public", "second", "undeclared"],
)
def test_entities_and_document_types_are_refused(doctype: str, more: str) -> None:
    began = time.process_time()
    with pytest.raises(ParseError):
        parse_xml(written(more, doctype))
    assert time.process_time() - began < 1


def test_an_entity_in_another_encoding_is_refused_too() -> None:
    text = written("", "<!DOCTYPE d [<!ENTITY x 'y'>]>").decode()
    for name in ("utf-16", "utf-7", "utf-32"):
        with pytest.raises(ParseError):
            parse_xml(text.replace("UTF-8", name).encode(name))
        with pytest.raises(ParseError):
            parse_xml(text.encode(name))


def test_a_document_type_that_declares_nothing_does_no_harm() -> None:
    assert parse_xml(written(doctype="<!DOCTYPE project>")) == parse_xml(written())


def test_an_inclusion_is_never_followed() -> None:
    xi = '<x:include xmlns:x="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/>'
    assert "root:" not in json.dumps(read(xi))


def test_depth_and_size_have_named_limits() -> None:
    deep = "<a:x>" * XML_DEPTH_MAX + "</a:x>" * XML_DEPTH_MAX
    with pytest.raises(ParseError, match=f"deeper than {XML_DEPTH_MAX}"):
        parse_xml(written(deep))
    with pytest.raises(ParseError):
        parse_xml(written("<a:x>" * 100_000))
    with pytest.raises(ParseError, match=str(XML_BYTES_MAX)):
        parse_xml(b" " * (XML_BYTES_MAX + 1))


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_nothing_but_parse_error_leaves_xml(data: bytes) -> None:
    for one in (data, written().replace(b"OBSERVE", data), written().replace(b"epcList", data)):
        try:
            parsed = parse_xml(one)
            for _, event in events_of_document(parsed):
                parse_event(event)
        except ParseError:
            pass
