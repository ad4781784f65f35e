"""What may be a read and cannot be taken is a fault that makes a gap, never a silence."""

import json

import msgspec
import pytest

from ingest.decode import Decoded, decode_message
from ingest.drafts import Outcome
from ingest.reads import QUOTA_TOPIC, Message, Sample, TimeSource, Vital
from ingest.roster import QuotaMessage
from ingest.site import Site
from tests.ingest.scene import (
    SECRET,
    STATION,
    T0,
    T0_S,
    hex_of,
    message,
    plan_of,
    run_site,
    sgtin,
)
from tests.ingest.test_decode import uplink
from tests.ingest.test_site import FILL, SENSOR, tick

TAG = hex_of(7)


def decode(payload: object) -> Decoded:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return decode_message(message(data))


@pytest.mark.parametrize(
    "payload",
    [
        TAG.encode(),
        f"{TAG},1,-50".encode(),
        b"urn:epc:id:sgtin:9506000.013435.7",
        b'pc":"AAAA","antenna":1}',
        {"type": "CUSTOM", "data": [{"idHex": "AAAA"}]},
        {"data": {"idHex": "AAAA"}},
        {"tag_id": "AAAA"},
        {"Epc": "AAAA"},
        {"payload": {"a": {"epc": "AAAA"}}},
        {"events": [{"eventType": "tagInventory", "x": TAG}]},
        {"reads": {"epc": "AAAA"}},
        [["AAAA"]],
        {"deviceInfo": {"devEui": "a840419edb62011c"}, "data": "zOEJ"},
        uplink(normalized_payload=[{"air": {"temperature": 4}}] * 65),
    ],
    ids=repr,
)
def test_what_may_be_a_read_leaves_a_gap(payload: object) -> None:
    decoded = decode(payload)
    assert not decoded.reads
    assert any(one.hides_reads for one in decoded.faults)


@pytest.mark.parametrize(
    "payload",
    [
        b"online",
        b"gw-1 disconnected at 1767600000123456789",
        {"status": "ok", "uptime": 5, "tags": 0, "eui": "70B3D57ED0000001"},
        {"deviceInfo": {"devEui": "a840419edb62011c"}, "data": ""},
    ],
    ids=repr,
)
def test_what_is_no_read_leaves_none(payload: object) -> None:
    decoded = decode(payload)
    assert not decoded.reads
    assert decoded.faults
    assert not any(one.hides_reads for one in decoded.faults)


@pytest.mark.parametrize(
    "around",
    [{"type": "heartbeat"}, {"type": "keepalive"}, {"heartbeat": True}],
    ids=repr,
)
def test_tags_in_a_heartbeat_are_read(around: dict[str, object]) -> None:
    for payload in ({"epc": TAG}, {"reads": [{"epc": TAG}]}, {"tags": [TAG]}):
        assert [one.epc for one in decode(around | payload).reads] == [sgtin(7)]
    (vital,) = decode(around).others
    assert isinstance(vital, Vital)
    assert vital.is_heartbeat


def test_a_second_list_or_a_tag_beside_a_list_is_told_of() -> None:
    for payload, place in (
        ({"reads": [{"epc": TAG}], "tags": ["AAAA"]}, "tags"),
        ({"epc": "AAAA", "reads": [{"epc": TAG}]}, "epc"),
    ):
        decoded = decode(payload)
        assert [one.epc for one in decoded.reads] == [sgtin(7)]
        assert [(one.where, one.hides_reads) for one in decoded.faults] == [(place, True)]
    assert decode({"reads": [], "tags": [TAG]}).reads[0].epc == sgtin(7)


def test_a_byte_order_mark_costs_nothing() -> None:
    for payload in (b'{"epc":"%s"}', b'["%s"]', b'data: {"epc":"%s"}\n\n'):
        decoded = decode(b"\xef\xbb\xbf" + payload % TAG.encode())
        assert [one.epc for one in decoded.reads] == [sgtin(7)]


def test_a_broken_first_line_costs_itself_alone() -> None:
    decoded = decode(b'{"epc":"AA\n{"epc":"%s"}\n' % TAG.encode())
    assert [one.epc for one in decoded.reads] == [sgtin(7)]
    assert [one.where for one in decoded.faults] == ["line 1"]


def test_an_empty_time_gives_way_to_the_next() -> None:
    when = "2026-01-05T07:00:00Z"
    for payload in (
        {"epc": TAG, "timestamp": "", "time": when},
        {"timestamp": when, "reads": [{"epc": TAG, "ts": ""}]},
        {
            "eventType": "tagInventory",
            "timestamp": when,
            "tagInventoryEvent": {"epcHex": TAG, "lastSeenTime": ""},
        },
    ):
        (read,) = decode(payload).reads
        assert (read.time_us, read.time_source) == (T0 - 3_600_000_000, TimeSource.READER)


def test_milliseconds_in_a_double_make_no_nanoseconds_up() -> None:
    (read,) = decode({"epc": TAG, "timestamp": 1767600000123.456}).reads
    assert (read.time_us - T0, read.ns) == (123_456, 0)


def test_an_uplink_counts_however_it_is_decoded() -> None:
    for fields in (
        {"normalized_payload": [{"air": {"temperature": 4}}]},
        {"normalized_payload": [{"soil": {"moisture": 4}}], "decoded_payload": {"t": 4}},
        {"frm_payload": "AAE="},
    ):
        numbers = [one.number for one in decode(uplink(f_cnt=3, **fields)).others[:1]]  # type: ignore[union-attr]
        assert numbers == [3]


def test_what_the_network_normalised_to_nothing_known_is_taken_as_decoded() -> None:
    payload = uplink(normalized_payload=[{"soil": {"x": 4}}], decoded_payload={"t": 4})
    sample = decode(payload).others[-1]
    assert isinstance(sample, Sample)
    assert sample.values == (("t", 4.0),)


@pytest.mark.parametrize(
    ("payload", "topic"),
    [
        ({"device": "70B3D57ED0000001", "temperature": None}, "trucks/7"),
        (uplink(decoded_payload={"voltage": "3.6"}), "trucks/7"),
        ({"type": "line.batch", "phase": "end", "time": T0, "batch": "B-1"}, "gate/line"),
    ],
    ids=repr,
)
def test_what_a_place_of_the_plan_cannot_take_leaves_a_gap(payload: object, topic: str) -> None:
    plan = plan_of(STATION, FILL, SENSOR + 'topics = ["trucks/#"]\n')
    one = message(json.dumps(payload).encode(), topic)
    _, outcome = run_site(plan, [one, tick(100, everything=True)])
    assert [(fault.hides_reads, n) for n, fault in outcome.faults] == [(True, one.id)]
    assert [notice.count for notice in outcome.notices] == [1]


UNREADABLE = b'{"device":"70B3D57ED0000001","temperature":4.'
ASSET = "urn:epc:id:grai:9506000.00300.7"


def sample(second: int, topic: str) -> Message:
    body = {"device": "70B3D57ED0000001", "temperature": 4.0, "time": T0_S + second}
    return message(body, topic, number=10 + second, at=T0 + second * 1_000_000)


def test_an_unreadable_payload_is_a_gap_of_the_sensor_that_was_heard_on_its_topic() -> None:
    site, outcome = Site(plan_of(SENSOR)), Outcome(secret=SECRET)
    quota = QuotaMessage(T0, T0 + 1, {"net/1/up": 17, "net/2/up": 5})
    parts: dict[str, bytes] = {}
    for one in (
        message(UNREADABLE, "net/1/up", 1),  # whose it is, nobody knows yet
        sample(1, "net/1/up"),
        message(UNREADABLE, "net/2/up", 50, T0 + 2_000_000),
        message(UNREADABLE, "net/1/up", 51, T0 + 3_000_000),
        message(msgspec.json.encode(quota), QUOTA_TOPIC, 52, T0 + 4_000_000),
        tick(100, everything=True),
    ):
        site.take_message(one, outcome)
        parts |= site.encode_parts()
        site = Site(plan_of(SENSOR))  # as after a restart
        site.restore(parts)
    assert len(outcome.faults) == 3
    told = {(one.what, one.source, one.count) for one in outcome.notices}
    assert told == {(4, ASSET, 1), (3, ASSET, 17)}


def test_a_sensor_that_left_the_plan_has_no_gap() -> None:
    site, outcome = Site(plan_of(SENSOR)), Outcome(secret=SECRET)
    site.take_message(sample(1, "net/1/up"), outcome)
    after = Site(plan_of(STATION))
    after.restore(site.encode_parts())
    for one in (message(UNREADABLE, "net/1/up", 2), tick(100, everything=True)):
        after.take_message(one, outcome)
    assert outcome.notices == []


def test_what_the_plan_does_not_want_leaves_none() -> None:
    plan = plan_of(STATION + "antennas = [1]\n", SENSOR + 'topics = ["trucks/#"]\n')
    messages = [
        message({"device": "x", "temperature": 4.0}, "trucks/7"),
        message({"epc": TAG, "antenna": 2}),
        message({"type": "gpi", "data": {"pin": 1, "state": "HIGH"}}),
    ]
    _, outcome = run_site(plan, [*messages, tick(100, everything=True)])
    assert len(outcome.faults) == 3
    assert outcome.notices == []


@pytest.mark.parametrize("name", ["eventTime", "readTime", "epochMillis", "timestamp_ms"])
def test_a_time_by_another_usual_name_is_no_time_of_receipt(name: str) -> None:
    (read,) = decode({"epc": TAG, name: T0 // 1_000 - 5_000}).reads
    assert (read.time_us, read.time_source) == (T0 - 5_000_000, TimeSource.READER)


def test_the_smartreader_envelope_of_its_manual_is_read() -> None:
    one = {"epc": TAG, "firstSeenTimestamp": T0 - 7, "antennaPort": 1, "peakRssi": -51.25}
    more = {"antennaZone": "TOPSHELF", "txPower": 28.5, "gpi1Status": "high"}
    decoded = decode({"readerName": "r", "mac": "00:16:25:13:F9:0B", "tag_reads": [one | more]})
    (read,) = decoded.reads
    assert (read.epc, read.time_us, read.source) == (sgtin(7), T0 - 7, "r")
    assert (read.antenna, read.rssi_cdbm, decoded.unknown) == (1, -5125, 3)


@pytest.mark.parametrize(
    "payload",
    [
        {"epc": TAG},
        {"device": "d", "temperature": 4.5},
        uplink(decoded_payload={"t": 4}),
        {"TagId": "047DAE02C84080", "Protocol": "NFC-A"},
        {"Epc": "AAAA"},
        {"data": {"idHex": "AAAA"}},
        {"type": "heartbeat", "reader": "r", "dropped": 3},
        {"reader": "r", "seq": 5},
    ],
    ids=repr,
)
def test_what_says_that_its_sender_is_there_beside_else_is_no_will(
    payload: dict[str, object],
) -> None:
    plain, more = decode(payload), decode({**payload, "status": "online"})
    assert (more.reads, more.others) == (plain.reads, plain.others)
    assert [one.hides_reads for one in more.faults] == [one.hides_reads for one in plain.faults]
