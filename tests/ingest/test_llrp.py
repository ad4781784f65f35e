"""LLRP on MQTT: the spellings of several bridges, and what is no report."""

import pytest

from ingest.reads import PortChange, Read, Vital
from tests.ingest.scene import T0, hex_of, sgtin
from tests.ingest.test_decode import decode, only_fault, only_read

REPORT = {
    "EPC-96": hex_of(7).lower(),
    "AntennaID": 2,
    "PeakRSSI": -53,
    "C1G2PC": 0x3000,
    "FirstSeenTimestampUTC": T0,
    "LastSeenTimestampUTC": T0 + 950_000,
    "TagSeenCount": 7,
}


def of(**fields: object) -> dict[str, object]:
    return {
        "reader": "dock-1",
        "message": "RO_ACCESS_REPORT",
        "TagReportData": [REPORT | fields],
    }


def test_a_report_says_tag_antenna_count_and_both_times() -> None:
    read = only_read(of())
    assert (read.epc, read.antenna, read.rssi_cdbm) == (sgtin(7), 2, -5_300)
    assert (read.since_us, read.time_us, read.seen) == (T0, T0 + 950_000, 7)
    assert read.source == "dock-1"


@pytest.mark.parametrize(
    "fields",
    [
        {"EPC-96": None, "EPC": hex_of(7)},
        {"EPC-96": None, "EPCData": {"EPCLengthBits": 96, "EPC": hex_of(7)}},
        {"EPC-96": None, "EPC_96": {"EPC": hex_of(7)}},
        {"AntennaID": {"AntennaID": 2}, "PeakRSSI": {"PeakRSSI": -53}},
        {"LastSeenTimestampUTC": {"Microseconds": str(T0 + 950_000)}},
        {"LastSeenTimestampUTC": [T0 + 950_000]},
        {"C1G2PC": "3000"},
    ],
)
def test_bridges_wrap_the_same_report_differently(fields: dict[str, object]) -> None:
    assert only_read(of(**fields)) == only_read(of())


def test_the_whole_message_may_be_wrapped_too() -> None:
    assert only_read({"RO_ACCESS_REPORT": {"TagReportData": REPORT}}).epc == sgtin(7)


def test_a_reader_that_knows_only_its_uptime_has_no_time() -> None:
    times = {"FirstSeenTimestampUTC": None, "LastSeenTimestampUTC": None}
    read = only_read(of(**times, LastSeenTimestampUptime=5_000_000))
    assert (read.time_us, read.time_source.value) == (T0, "gateway")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"EPC-96": None}, "none of"),
        ({"EPC-96": "30Z4"}, "broken hex"),
        ({"EPC-96": None, "EPCData": {"EPCLengthBits": 128, "EPC": hex_of(7)}}, "says 128"),
        ({"C1G2PC": 0x1_0000}, "no protocol control word"),
        ({"C1G2PC": 0x0800}, "announces 16"),
        ({"LastSeenTimestampUTC": "soon"}, "whole number"),
        ({"LastSeenTimestampUTC": 10**19}, "not between"),
        ({"AntennaID": "left"}, "no antenna port"),
        ({"TagSeenCount": 1.5}, "whole number"),
    ],
)
def test_a_broken_report_goes_to_quarantine(fields: dict[str, object], reason: str) -> None:
    assert reason in only_fault(of(**fields))


def test_one_bad_report_costs_only_itself() -> None:
    decoded = decode({"TagReportData": [REPORT, 5, {}, REPORT]})
    assert len(decoded.items) == 2
    assert [fault.where for fault in decoded.faults] == ["TagReportData[1]", "TagReportData[2]"]
    assert all(isinstance(one, Read) for one in decoded.items)


def test_events_and_keepalives_are_vitals() -> None:
    data = {"UTCTimestamp": {"Microseconds": T0}, "ReportBufferOverflowErrorEvent": {}}
    events = decode(
        {"message": "READER_EVENT_NOTIFICATION", "ReaderEventNotificationData": data}
    )
    assert [(one.why, one.time_us) for one in events.items if isinstance(one, Vital)] == [
        ("ReportBufferOverflowErrorEvent", T0)
    ]
    (alive,) = decode({"reader": "dock-1", "message": "KEEPALIVE"}).items
    assert isinstance(alive, Vital)
    assert (alive.is_heartbeat, alive.reader) == (True, "dock-1")


def test_an_input_that_changes_is_a_port_change() -> None:
    event = {"GPIEvent": {"GPIPortNumber": 2, "GPIEvent": True}}
    (change,) = decode({"message": "READER_EVENT_NOTIFICATION", **event}).items
    assert change == PortChange(port=2, is_high=True)


def test_an_empty_report_is_no_read() -> None:
    assert "not a tag read" in only_fault({"TagReportData": []})
