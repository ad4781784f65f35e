"""Master data of documents: places below places, and attributes, in JSON and in XML."""

import json
import subprocess
import sys

from ledger.conformance.events import Run, make_document
from ledger.epcis.master import may_have_master_data, merge_master_data, read_master_data
from ledger.gs1.epc import canonical_key

SITE, ROOM, OTHER = (f"urn:epc:id:sgln:9506000.0000{n}.0" for n in range(3))
NAME = "urn:epcglobal:cbv:mda#name"
XML = f"""<?xml version="1.0"?>
<epcis:EPCISDocument xmlns:epcis="urn:epcglobal:epcis:xsd:2" schemaVersion="2.0"><EPCISHeader>
<extension><EPCISMasterData><VocabularyList>
<Vocabulary type="urn:epcglobal:epcis:vtype:ReadPoint"><VocabularyElementList>
<VocabularyElement id="{SITE}"><attribute id="{NAME}">Dairy</attribute>
<children><id>{ROOM}</id></children></VocabularyElement></VocabularyElementList></Vocabulary>
</VocabularyList></EPCISMasterData></extension></EPCISHeader></epcis:EPCISDocument>"""


def test_a_document_says_what_is_below_what() -> None:
    run = Run(3)
    records = merge_master_data([read_master_data(json.dumps(make_document(run)).encode())])
    top, below = canonical_key(run.place(10)), canonical_key(run.place(11))
    assert records.with_descendants(frozenset({top})) == {top, below}
    assert records.attributes[top][NAME] == (f"BusinessLocation {run.number}",)


def test_xml_says_the_same_and_the_newest_document_counts() -> None:
    older = read_master_data(XML.encode())
    newer = read_master_data(XML.replace(ROOM, OTHER).replace("Dairy", "Farm").encode())
    site = canonical_key(SITE)
    assert merge_master_data([older]).children[site] == {canonical_key(ROOM)}
    both = merge_master_data([older, newer])
    assert both.children[site] == {canonical_key(OTHER)}
    assert both.attributes[site][NAME] == ("Farm",)


def test_what_is_malformed_says_nothing() -> None:
    mark = b'"vocabularyElementList"'
    for bad in (b"", b"{", b"[" + mark, b"{" + mark + b": 5}", b"<a>VocabularyElementList",
                b'<!DOCTYPE a [<!ENTITY b "c">]><a>VocabularyElementList</a>',
                json.dumps({"epcisHeader": {"vocabularyList": [{"vocabularyElementList": [1, {}]}]}}).encode()):  # fmt: skip  # noqa: E501
        assert read_master_data(bad) == []
    assert not may_have_master_data(b'{"epcisBody": {}}')


def test_an_auditor_needs_no_xml_library() -> None:
    code = (
        "import sys; sys.modules['lxml'] = None; import ledger.audit.index, ledger.cli.verify"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
