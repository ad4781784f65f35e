"""Master data of places and other things in the header of a captured document.

    "epcisHeader": {"epcisMasterData": {"vocabularyList": [
        {"type": "urn:epcglobal:epcis:vtype:BusinessLocation", "vocabularyElementList": [
            {"id": "urn:epc:id:sgln:9506000.00001.0",
             "attributes": [{"id": "urn:epcglobal:cbv:mda#name", "attribute": "Dairy"}],
             "children": ["urn:epc:id:sgln:9506000.00001.1"]}]}]}}

EPCIS 2.0 section 9.4; the same in XML, and with `vocabularyList` right below `epcisHeader`.
What a document says of an element goes before what earlier ones said. What is malformed in
this header is passed over: events do not depend on it, and were judged by themselves.

Pure: no I/O, no clock, no randomness.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ledger.epcis.query import MasterRecords
from ledger.gs1.epc import canonical_key

_MARKS = (b"vocabularyElementList", b"VocabularyElementList")
ELEMENTS_MAX = 1_000_000


@dataclass(frozen=True, slots=True)
class MasterElement:
    """What one document says of one thing."""

    key: str
    children: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]


def may_have_master_data(document: bytes) -> bool:
    """Say whether a document may say anything about places and other things."""
    return any(mark in document for mark in _MARKS)


def read_master_data(document: bytes) -> list[MasterElement]:
    """Return what a document as it was received says, in its order."""
    if not may_have_master_data(document):
        return []
    text = document.lstrip(b"\xef\xbb\xbf \t\r\n")
    found = _of_xml(text) if text.startswith(b"<") else _of_json(text)
    return list(found)


def merge_master_data(documents: Iterable[Iterable[MasterElement]]) -> MasterRecords:
    """Return what documents, the oldest first, say together."""
    children: dict[str, frozenset[str]] = {}
    attributes: dict[str, dict[str, tuple[str, ...]]] = {}
    for elements in documents:
        for one in elements:
            if one.children:
                children[one.key] = frozenset(one.children)
            if one.attributes:
                known = attributes.setdefault(one.key, {})
                new: dict[str, tuple[str, ...]] = {}
                for name, value in one.attributes:
                    new[name] = (*new.get(name, ()), value)
                known.update(new)
    return MasterRecords(children, attributes)


def _of_json(text: bytes) -> Iterator[MasterElement]:
    value: object = None
    with suppress(ValueError, RecursionError):
        value = json.loads(text)
    header = _inside(value, "epcisHeader")
    for home in (_inside(header, "epcisMasterData"), header):
        for vocabulary in _items(home, "vocabularyList"):
            for element in _items(vocabulary, "vocabularyElementList"):
                key = element.get("id")
                if isinstance(key, str):
                    yield _element(key, element)


def _element(key: str, element: Mapping[str, Any]) -> MasterElement:
    attributes = [
        (one["id"], _as_text(one.get("attribute")))
        for one in _items(element, "attributes")
        if isinstance(one.get("id"), str)
    ]
    listed = element.get("children")
    children = listed if isinstance(listed, list) else []
    return MasterElement(
        canonical_key(key),
        tuple(canonical_key(one) for one in children if isinstance(one, str)),
        tuple(attributes),
    )


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _inside(value: object, field: str) -> object:
    return value.get(field) if isinstance(value, dict) else None


def _items(value: object, field: str) -> Iterator[dict[str, Any]]:
    listed = _inside(value, field)
    if isinstance(listed, list):
        yield from (one for one in listed if isinstance(one, dict))


def _of_xml(text: bytes) -> Iterator[MasterElement]:
    # Only here: an auditor asks which documents have master data, and installs without lxml.
    from lxml import etree  # noqa: PLC0415

    if b"<!ENTITY" in text:
        return
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    root = None
    with suppress(etree.XMLSyntaxError, ValueError):
        root = etree.fromstring(text, parser)
    for element in () if root is None else root.iter("{*}VocabularyElement"):
        key = element.get("id")
        if not key:
            continue
        attributes = [
            (one.get("id"), "".join(one.itertext()).strip())
            for one in element.iterchildren("{*}attribute")
            if one.get("id")
        ]
        children = [
            canonical_key((one.text or "").strip())
            for listed in element.iterchildren("{*}children")
            for one in listed.iterchildren("{*}id")
        ]
        yield MasterElement(canonical_key(key), tuple(children), tuple(attributes))
