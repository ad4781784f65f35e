"""Mappings: a payload that a plan describes is read as strictly as any other."""

import json
import re

import pytest

from ingest.decode import Decoded, Known, decode_message
from ingest.drafts import Outcome
from ingest.mapping import EXPRESSION_CHARS_MAX, PAYLOAD_BYTES_MAX
from ingest.planfile import parse_plan
from ingest.reads import Read, Sample, Vital
from ingest.site import Site
from ledger.errors import ParseError
from tests.ingest.scene import HEAD, SECRET, STATION, T0, T0_S, hex_of, message, sgtin
from tests.optional import ROOT

TAGS = """[[mapping]]
name = "acme"
topics = ["acme/#"]
when = "kind == 'tags'"
items = "payload.tags[]"
[mapping.read]
epc = "id"
time = {root = "clock"}
source = {root = "serial"}
antenna = "port"
rssi = "to_number(rssi)"
seen = "times"
number = "n"
pc = "pc"
"""
PAYLOAD = {
    "kind": "tags",
    "clock": "2026-01-05T08:00:00.000000007Z",
    "serial": "A-17",
    "payload": {"tags": [{"id": hex_of(7), "port": 2, "rssi": "-54.5", "times": 12, "n": 4}]},
}


def decode(mapping: str, payload: object, topic: str = "acme/r") -> Decoded:
    plan = parse_plan(HEAD + STATION + mapping)
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return decode_message(message(data, topic), Known(mappings=plan.mappings))


def test_a_described_payload_is_read() -> None:
    decoded = decode(TAGS, PAYLOAD)
    assert decoded.faults == ()
    read, number = decoded.items
    assert isinstance(read, Read)
    assert (read.epc, read.time_us, read.ns) == (sgtin(7), T0, 7)
    assert (read.antenna, read.rssi_cdbm, read.seen, read.source) == (2, -5_450, 12, "A-17")
    assert isinstance(number, Vital)
    assert (number.number, number.reader) == (4, "A-17")


def test_another_topic_or_payload_is_left_to_the_shapes_that_are_built_in() -> None:
    plain = {"epc": hex_of(7), "time": T0_S}
    for topic in ("acme/r", "gate/r"):
        (read,) = decode(TAGS, plain, topic).items
        assert isinstance(read, Read)
    assert decode(TAGS, PAYLOAD, "gate/r").faults


@pytest.mark.parametrize(
    ("element", "place", "reason"),
    [
        ({"id": "E28G"}, "acme[0].epc", "broken hex"),
        ({"id": None}, "acme[0].epc", "is absent"),
        ({"id": "AAAA", "port": "left"}, "acme[0].antenna", "no antenna port"),
        ({"id": "AAAA", "times": "many"}, "acme[0].seen", "whole number"),
        ({"id": "AAAA", "n": -1}, "acme[0].number", "whole number"),
        ({"id": "AAAA", "pc": "1000"}, "acme[0]", "announces 32"),
        ("AAAA", "acme[0].epc", "is absent"),
    ],
)
def test_what_a_mapping_cannot_take_has_place_and_reason(
    element: object, place: str, reason: str
) -> None:
    payload = PAYLOAD | {"payload": {"tags": [element, {"id": "BBBB"}]}}
    decoded = decode(TAGS, payload)
    assert len([one for one in decoded.items if isinstance(one, Read)]) == 1
    (fault,) = decoded.faults
    assert fault.where == place
    assert reason in fault.why


def test_a_payload_in_which_a_mapping_finds_nothing_says_so() -> None:
    decoded = decode(TAGS, PAYLOAD | {"payload": {"tags": []}})
    assert "the mapping 'acme' finds nothing" in decoded.faults[0].why


def test_base64_and_uris_are_read_where_the_mapping_says_so() -> None:
    base64 = TAGS.replace('epc = "id"', 'epc = "id"\nencoding = "base64"')
    payload = PAYLOAD | {"payload": {"tags": [{"id": "MDRL8tFTicAAAAAH"}]}}
    assert len(decode(base64, payload).items) == 1
    uri = TAGS.replace('epc = "id"', 'epc = "id"\nencoding = "uri"')
    payload = PAYLOAD | {"payload": {"tags": [{"id": sgtin(7)}]}}
    (read,) = decode(uri, payload).items
    assert isinstance(read, Read)
    assert read.epc == sgtin(7)


def test_samples_and_heartbeats_are_mapped_too() -> None:
    sample = """[[mapping]]
name = "probe"
topics = ["#"]
items = "probes"
[mapping.sample]
device = "name"
time = "at"
[mapping.sample.values]
temperature = "t"
humidity = "rh"
"""
    payload = {"probes": [{"name": "P1", "at": T0_S, "t": 4.5, "rh": None}]}
    assert decode(sample, payload).items == (
        Sample(devices=("P1",), time_us=T0, values=(("temperature", 4.5),)),
    )
    beat = """[[mapping]]
name = "beat"
topics = ["#"]
[mapping.heartbeat]
source = "who"
dropped = "lost"
"""
    (vital,) = decode(beat, {"who": "A", "lost": 3}).items
    assert isinstance(vital, Vital)
    assert (vital.reader, vital.dropped, vital.is_heartbeat) == ("A", 3, True)


def test_an_expression_that_cannot_be_asked_is_a_fault_and_no_crash() -> None:
    mapping = TAGS.replace('"to_number(rssi)"', '"sort_by(rssi, &x)"')
    (fault,) = decode(mapping, PAYLOAD).faults
    assert "cannot be asked" in fault.why


def test_a_payload_that_is_too_large_is_not_mapped() -> None:
    payload = PAYLOAD | {"filler": "x" * PAYLOAD_BYTES_MAX}
    assert "at most" in decode(TAGS, payload).faults[0].why


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('epc = "id"', 'epc = "id["', "line 25: mapping[1].read.epc: 'id[' is no JMESPath"),
        ('epc = "id"', "", "epc: is missing"),
        ('epc = "id"', f'epc = "{"a" * (EXPRESSION_CHARS_MAX + 1)}"', "over 500 characters"),
        ('epc = "id"', 'epc = "id"\nencoding = "octal"', "encoding: is 'octal'"),
        ('epc = "id"', 'epc = "id"\ncolour = "red"', "colour: is no key"),
        ('{root = "clock"}', '{top = "clock"}', "root: is missing"),
        ('topics = ["acme/#"]', 'topics = ["acme/#/x"]', "the # must be"),
        ("[mapping.read]", "[mapping.sample]", "device: is missing"),
        ("[mapping.read]", "[mapping.reed]", "read: set one of"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused_with_its_line(
    old: str, new: str, said: str
) -> None:
    with pytest.raises(ParseError) as error:
        parse_plan(HEAD + STATION + TAGS.replace(old, new), "plan.toml")
    assert said in str(error.value)
    assert "line " in str(error.value)


def test_the_how_to_is_right() -> None:
    page = (ROOT / "docs/how-to/map-a-reader.md").read_text()
    tags, alive = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    (plan_text,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    site, outcome = Site(parse_plan(plan_text)), Outcome(secret=SECRET)
    for n, payload in enumerate((tags, alive)):
        site.take_message(message(payload.encode(), "acme/1/reads", n), outcome)
    assert outcome.faults == []
    assert (outcome.counts["reads"], outcome.counts["vitals"]) == (2, 1)
