"""Bundles: the vectors of their format, their one spelling, and what any bytes do to it."""

from pathlib import Path

import pytest

from ledger.audit.bundle_report import report_bundle
from ledger.audit.trustfile import parse_trust
from ledger.bundle import (
    ENTRIES_MAX,
    encode_bundle,
    is_bundle,
    names_a_bundle,
    parse_bundle,
)
from ledger.client.bundlefile import read_bundle
from ledger.cose import encode_cbor, encode_head
from ledger.errors import ParseError, TagtrailError
from tests.ledger.mutants import fuzz, load_vectors

VECTORS = load_vectors("bundle")
ACCEPTED = [name for name, vector in VECTORS.items() if vector["accepted"]]
REFUSED = [name for name, vector in VECTORS.items() if not vector["accepted"]]


def load(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name]["bundle"])


@pytest.mark.parametrize("name", ACCEPTED)
def test_an_accepted_vector(name: str) -> None:
    vector, data = VECTORS[name], load(name)
    bundle = parse_bundle(data)
    assert encode_bundle(bundle) == data
    assert [entry.index for entry in bundle.entries] == vector["entries"]
    assert [node.hex() for node in bundle.nodes] == vector["nodes"]
    assert [[one.index, one.position] for one in bundle.events] == vector["events"]
    report = report_bundle(data, parse_trust(vector["trust"].encode()), target=name)
    assert report.result.exit_code == 0, report.findings


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_vector(name: str) -> None:
    vector = VECTORS[name]
    report = report_bundle(load(name), parse_trust(vector["trust"].encode()), target=name)
    assert report.result.exit_code == 1
    assert sorted({finding.check for finding in report.findings}) == vector["checks"]


def test_mutants_are_parsed_or_refused() -> None:
    samples = [load(name) for name in ACCEPTED if len(load(name)) < 8_000]
    tally = fuzz(samples, lambda data: encode_bundle(parse_bundle(data)), count=6_000)
    assert tally.accepted
    assert tally.refused


def test_any_bytes_after_the_start_are_refused_in_no_time() -> None:
    start = encode_head(4, 6) + encode_cbor("tagtrail/bundle/v1")
    for claim in (
        b"\x9b" + b"\xff" * 8,
        b"\x9a\x7f\xff\xff\xff",
        encode_head(4, ENTRIES_MAX + 1),
    ):
        with pytest.raises(ParseError):
            parse_bundle(start + b"\x40" + claim)
        with pytest.raises(ParseError):
            parse_bundle(start + b"\x40" + claim + bytes(100_000))


def test_a_bundle_is_known_by_its_first_bytes() -> None:
    data = load("one_event")
    assert is_bundle(data)
    assert names_a_bundle(data)
    assert not is_bundle(load("version_2"))
    assert names_a_bundle(load("version_2"))
    assert not is_bundle(b"")
    assert not names_a_bundle(b"tagtrail/bundle/v1")


def test_a_file_is_read_or_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "one.bundle"
    path.write_bytes(load("one_event"))
    assert read_bundle(path) == load("one_event")
    path.write_bytes(load("version_2"))
    with pytest.raises(ParseError, match="another version"):
        read_bundle(path)
    path.write_bytes(b"{}")
    with pytest.raises(ParseError, match="no bundle"):
        read_bundle(path)
    with pytest.raises(TagtrailError, match="cannot be read"):
        read_bundle(tmp_path / "none")
