"""Payloads of every reader, good and bad: each is read, or refused with place and reason."""

import json

import pytest

from ingest.decode import Decoded, decode_message
from ingest.reads import (
    ITEMS_PER_MESSAGE_MAX,
    MESSAGE_BYTES_MAX,
    BatchEnded,
    BatchStarted,
    ContainerEmptied,
    LotMade,
    PortChange,
    Read,
    Sample,
    TimeSource,
    Vital,
)
from tests.ingest.scene import T0, T0_S, hex_of, message, sgtin

SGTIN = hex_of(7)
R700 = {
    "timestamp": "2026-01-05T08:00:00.000Z",
    "eventType": "tagInventory",
    "tagInventoryEvent": {"epcHex": SGTIN, "antennaPort": 2, "peakRssiCdbm": -6150},
}
FX = {
    "type": "CUSTOM",
    "timestamp": "2026-01-05T09:00:00.250+0100",
    "data": {"idHex": SGTIN.lower(), "PC": "3000", "antenna": 1, "peakRssi": -34},
}


def decode(payload: object, topic: str = "t") -> Decoded:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return decode_message(message(data, topic))


def only_read(payload: object) -> Read:
    decoded = decode(payload)
    assert decoded.faults == ()
    (read,) = decoded.items
    assert isinstance(read, Read)
    return read


def only_fault(payload: object, topic: str = "t") -> str:
    decoded = decode(payload, topic)
    assert decoded.items == ()
    (fault,) = decoded.faults
    return f"{fault.where}: {fault.why}"


def with_event(**fields: object) -> dict[str, object]:
    return R700 | {"tagInventoryEvent": R700["tagInventoryEvent"] | fields}  # type: ignore[operator]


def with_data(**fields: object) -> dict[str, object]:
    return FX | {"data": FX["data"] | fields}  # type: ignore[operator]


def test_an_r700_event_is_one_read_with_its_own_time() -> None:
    read = only_read(R700)
    assert read == Read(
        epc=sgtin(7),
        time_us=T0,
        time_source=TimeSource.READER,
        antenna=2,
        rssi_cdbm=-6150,
    )


def test_base64_alone_is_read_and_must_agree_with_hex() -> None:
    both = with_event(epc="MDRL8tFTicAAAAAH", epcHex=None)
    assert len(only_read(both).epc) > 10
    said = only_fault(with_event(epc="MDRL8tFTicAAAAAH", epcHex="30340000000000000000AAAA"))
    assert "epc and epcHex disagree" in said


def test_an_epc_that_is_hex_as_well_as_base64_is_not_guessed_at() -> None:
    assert "hex as well as base64" in only_fault(with_event(epc=SGTIN, epcHex=None))


def test_last_seen_time_comes_before_the_time_of_the_report() -> None:
    assert only_read(with_event(lastSeenTime="2026-01-05T07:59:59Z")).time_us == T0 - 1_000_000


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"epcHex": "30Z4"}, "broken hex"),
        ({"epcHex": "303"}, "half of a byte"),
        ({"epcHex": ""}, "empty text"),
        ({"epcHex": 5}, "is a number"),
        ({"epcHex": None}, "neither epc nor epcHex"),
        ({"epcHex": "AA" * 63}, "at most 62"),
        ({"epc": "not base64!"}, "no base64"),
        ({"pc": "AA=="}, "want two bytes"),
        ({"pc": "CAA="}, "announces 16"),
        ({"antennaPort": "left"}, "no antenna port"),
        ({"antennaPort": True}, "no antenna port"),
    ],
)
def test_a_broken_field_of_an_r700_event_goes_to_quarantine(
    fields: dict[str, object], reason: str
) -> None:
    assert reason in only_fault(with_event(**fields))


def vitals(payload: object) -> list[Vital]:
    decoded = decode(payload)
    assert decoded.faults == ()
    return [one for one in decoded.items if isinstance(one, Vital)]


def test_other_events_of_an_r700_are_what_it_says_of_itself() -> None:
    status = {"inventoryStatus": "running"}
    (vital,) = vitals(
        {"timestamp": "…", "eventType": "inventoryStatus", "inventoryStatusEvent": status}
    )
    assert (vital.state, vital.why) == ("online", "inventoryStatus: running")
    (vital,) = vitals({"eventType": "overflow", "hostname": "r-1"})
    assert (vital.state, vital.reader) == ("degraded", "r-1")


@pytest.mark.parametrize(
    "payload",
    [
        R700 | {"eventType": "tagInventry"},
        {"eventType": "tagInventoryy", "tagInventoryyEvent": {"epcHex": SGTIN}},
        FX | {"data": {"idHx": SGTIN}},
    ],
)
def test_an_event_of_an_unknown_type_may_hide_a_read(payload: object) -> None:
    (fault,) = decode(payload).faults
    assert fault.hides_reads


def test_an_input_of_a_reader_that_changes_is_a_port_change() -> None:
    change = {"gpi": 2, "transition": "low-to-high"}
    r700 = {"timestamp": T0_S, "eventType": "gpiTransition", "gpiTransitionEvent": change}
    fx = {"type": "gpi", "timestamp": T0_S, "data": {"pin": 2, "state": "HIGH"}, "eventNum": 4}
    for payload in (r700, fx):
        (found,) = (one for one in decode(payload).items if isinstance(one, PortChange))
        assert found == PortChange(port=2, is_high=True, time_us=T0)


@pytest.mark.parametrize(
    "payload",
    [
        {"eventType": "gpiTransition", "gpiTransitionEvent": {"gpi": 2, "transition": []}},
        {"eventType": "gpiTransition"},
        {"type": "gpi", "data": {"pin": "x", "state": "HIGH"}},
        {"type": "gpi", "data": {"pin": 1, "state": {}}},
    ],
)
def test_an_input_that_says_nothing_clear_goes_to_quarantine(payload: object) -> None:
    assert len(decode(payload).faults) == 1


def test_a_heartbeat_of_a_zebra_reader_says_what_it_dropped() -> None:
    paths = [{"numDataMessagesDropped": 3}, {"numDataMessagesDropped": 4}]
    data = {
        "radio_control": {"radioConnection": "disconnected"},
        "reader_gateway": {"dataPathStatistics": paths},
    }
    number, beat = vitals({"type": "heartbeat", "eventNum": 328, "data": data})
    assert (number.reader, number.number) == ("management", 328)
    assert (beat.is_heartbeat, beat.dropped, beat.state) == (True, 7, "degraded")


@pytest.mark.parametrize("kind", ["error", "warning", "alertEVT"])
def test_trouble_of_a_zebra_reader_is_told(kind: str) -> None:
    (vital,) = vitals({"type": kind, "data": {"message": "too hot"}})
    assert (vital.state, vital.why) == ("degraded", f"{kind}: too hot")


@pytest.mark.parametrize("mode", ["SIMPLE", "INVENTORY", "PORTAL", "CONVEYOR", "CUSTOM"])
def test_a_zebra_reader_is_read_in_each_of_its_modes(mode: str) -> None:
    data = {"eventNum": 5036, "format": "epc", "idHex": SGTIN, "reads": 3}
    decoded = decode({"type": mode, "timestamp": T0_S, "data": data})
    read, vital = decoded.items
    assert isinstance(read, Read)
    assert (read.epc, read.seen) == (sgtin(7), 3)
    assert isinstance(vital, Vital)
    assert (vital.number, vital.count) == (5036, 1)


def test_numbers_of_a_batch_are_one_run_and_a_hole_splits_it() -> None:
    batch = [with_data(eventNum=n) for n in (7, 8, 9, 12, 13)]
    runs = [one for one in decode(batch).items if isinstance(one, Vital)]
    assert [(one.number, one.count) for one in runs] == [(7, 3), (12, 2)]


def test_a_batch_of_smartreader_has_its_readers_name_and_heartbeats() -> None:
    reads = [{"epc": SGTIN, "firstSeenTimestamp": T0}, {"isHeartBeat": True}]
    decoded = decode({"reader_name": "r", "mac_address": "00:16", "tag_reads": reads})
    read, beat = decoded.items
    assert isinstance(read, Read)
    assert (read.source, read.time_us) == ("r", T0)
    assert isinstance(beat, Vital)
    assert beat.is_heartbeat


def test_a_sender_that_numbers_its_messages_is_heard_to() -> None:
    payload = {"reader": "a", "boot": 7, "seq": 12, "dropped": 3, "reads": [{"epc": SGTIN}]}
    (vital,) = vitals(payload)
    assert (vital.reader, vital.boot, vital.number, vital.dropped) == ("a", "7", 12, 3)


def test_unknown_fields_are_counted_and_cost_nothing() -> None:
    assert decode(with_data(colour="red", weight=3)).unknown == 2
    assert decode(R700).unknown == 0
    assert decode({"reads": [{"epc": SGTIN, "colour": 1}], "mood": "good"}).unknown == 2


def test_base64_is_read_where_the_field_says_so() -> None:
    assert only_read({"epcBase64": "MDRL8tFTicAAAAAH"}).epc.startswith("urn:epc:id:sgtin:")
    assert "broken hex" in only_fault({"epc": "MDRL8tFTicAAAAAH"})


CHIRPSTACK = {
    "time": "2026-01-05T08:00:00.530852140+00:00",
    "deviceInfo": {"deviceName": "sensor0", "devEui": "a840419edb62011c"},
    "fCnt": 7,
    "data": "zOEJqQ==",
    "object": {"TempC_SHT": 24.73, "Node": "LHT65N", "inner": {"hum": 45.2}},
}


def test_an_uplink_of_chirpstack_gives_named_numbers() -> None:
    vital, sample = decode(CHIRPSTACK).items
    assert isinstance(vital, Vital)
    assert (vital.reader, vital.number) == ("A840419EDB62011C", 7)
    assert sample == Sample(
        devices=("A840419EDB62011C", "sensor0"),
        time_us=T0 + 530_852,
        values=(("TempC_SHT", 24.73), ("inner.hum", 45.2)),
    )


def test_version_3_of_chirpstack_is_read_too() -> None:
    old = {
        "deviceName": "sensor0",
        "devEUI": "qEBBnttiARw=",
        "objectJSON": '{"temp":4.5}',
        "rxInfo": [{"time": None}, {"time": "2026-01-05T08:00:00Z"}],
    }
    (sample,) = decode(old).items
    assert sample == Sample(
        devices=("A840419EDB62011C", "sensor0"), time_us=T0, values=(("temp", 4.5),)
    )


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"object": None}, "did not decode"),
        ({"object": 5}, "want an object"),
        ({"deviceInfo": {"devEui": "nobody"}}, "no EUI"),
        ({"object": {str(n): n for n in range(65)}}, "more than 64"),
    ],
)
def test_an_uplink_of_chirpstack_that_says_nothing_has_its_reason(
    fields: dict[str, object], reason: str
) -> None:
    (fault,) = decode(CHIRPSTACK | fields).faults
    assert reason in fault.why


def test_server_sent_events_are_taken_line_by_line() -> None:
    bad = json.dumps(with_event(epcHex="XX"))
    lines = f": hello\nevent: tag\ndata: {json.dumps(R700)}\n\ndata: {bad}\ndata: {{\n"
    decoded = decode(lines.encode())
    assert len(decoded.items) == 1
    assert [fault.where.split(".")[0] for fault in decoded.faults] == ["line 5", "line 6"]


def test_a_zebra_array_keeps_the_good_and_names_the_bad_element() -> None:
    decoded = decode([FX, with_data(idHex="zz"), FX | {"timestamp": "yesterday"}, FX])
    assert [item.epc for item in decoded.items if isinstance(item, Read)] == [sgtin(7)] * 2
    assert [fault.where for fault in decoded.faults] == ["[1].data.idHex", "[2].timestamp"]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"PC": "2800"}, "announces 80"),
        ({"PC": "30"}, "two bytes"),
        ({"format": "tid"}, "not understood"),
        ({"EPC": hex_of(8)}, "disagree"),
    ],
)
def test_a_zebra_tag_that_contradicts_itself_goes_to_quarantine(
    fields: dict[str, object], reason: str
) -> None:
    assert reason in only_fault(with_data(**fields))


def test_a_pc_word_of_an_iso_tag_keeps_it_raw() -> None:
    assert only_read(with_data(PC="3100")).epc == f"urn:epc:raw:96.x00.x{SGTIN}"


def test_the_sled_sends_several_tags_of_one_time() -> None:
    payload = {
        "type": "BALANCED_PERFORMANCE",
        "timestamp": "2026-01-05T08:00:00Z",
        "data": {"tagData": [{"EPCid": SGTIN, "EPC": SGTIN}, {"EPCid": "5"}, {"TID": "E2"}]},
    }
    decoded = decode(payload)
    assert len(decoded.items) == 1
    assert [fault.where for fault in decoded.faults] == [
        "data.tagData[1].EPCid",
        "data.tagData[2]",
    ]


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "BLE_DATA", "data": {"Address": "CF:C7"}, "timestamp": "x"},
        {"end_device_ids": {"device_id": "a"}, "join_accept": {}},
        {"brokerHostname": "x"},
        {"reads": []},
        {"type": "x", "data": {"tagData": []}},
        [],
        {},
        17,
        None,
        b"lost connection",
        b"",
        b"\xff\xfe\x00",
        b"3.5",
    ],
)
def test_what_is_no_tag_read_says_so(payload: object) -> None:
    assert "not a tag read" in only_fault(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b'{"epc":',
        b'"\\ud800"',
        b'{"epc":"AAAA"} x',
        b"[" * 100_000,
        b'{"a":"\xff"}',
        b'{"a":NaN}',
    ],
)
def test_broken_json_is_refused_without_harm(payload: bytes) -> None:
    assert decode(payload).items == ()
    assert len(decode(payload).faults) == 1


def test_generic_shapes_are_read_and_the_time_of_receipt_is_flagged() -> None:
    reads = [
        item
        for payload in (
            {"deviceId": "11111111-1111-1111-1111-111111111111", "reads": [{"epc": "AAAA"}]},
            ["BBBB", {"tag": "CCCC", "port": "2"}],
            {"epc": "DDDD", "rssi": -61.5, "antennaPort": 3, "timestamp": T0_S},
        )
        for item in decode(payload).items
        if isinstance(item, Read)
    ]
    assert [read.epc[-4:] for read in reads] == ["AAAA", "BBBB", "CCCC", "DDDD"]
    assert [read.time_source.value for read in reads] == ["gateway"] * 3 + ["reader"]
    assert [read.antenna for read in reads] == [None, None, 2, 3]
    assert reads[3].rssi_cdbm == -6150


def test_an_array_with_a_bad_element_loses_only_that_element() -> None:
    decoded = decode(["AAAA", "nonsense", 5, ["CC"], {"epc": "BB", "idHex": "CC"}, "DDDD"])
    assert len(decoded.items) == 2
    assert [fault.where for fault in decoded.faults] == ["[1]", "[2]", "[3]", "[4]"]


def test_the_time_around_a_list_holds_for_its_elements() -> None:
    payload = {"timestamp": T0_S, "reads": [{"epc": "AAAA"}, {"epc": "AAAA", "ts": T0_S + 1}]}
    times = [item.time_us for item in decode(payload).items if isinstance(item, Read)]
    assert times == [T0, T0 + 1_000_000]


@pytest.mark.parametrize(
    "text",
    [
        "urn:epc:id:sgtin:9506000.013435.7",
        "urn:epc:tag:sgtin-96:1.9506000.013435.7",
    ],
)
def test_an_epc_may_be_a_uri(text: str) -> None:
    assert only_read({"epc": text}).epc == sgtin(7)


@pytest.mark.parametrize(
    "text",
    [
        "urn:epc:id:sgtin:9506000.013435",
        "urn:epc:idpat:sgtin:9506000.013435.*",
        "https://id.gs1.org/01/09506000134353/21/1",
        "0xAAAA",
        "AA BB",
        "G",
    ],
)
def test_a_text_that_names_no_single_thing_is_not_guessed_at(text: str) -> None:
    assert only_fault({"epc": text})


@pytest.mark.parametrize(
    ("written", "us"),
    [
        (T0_S, T0),
        (T0_S + 0.25, T0 + 250_000),
        (T0_S * 1_000 + 5, T0 + 5_000),
        (T0 + 5, T0 + 5),
        (T0 * 1_000 + 5_999, T0 + 5),
        (str(T0_S), T0),
        (f"{T0_S}.5", T0 + 500_000),
        ("2026-01-05T08:00:00.123456789Z", T0 + 123_456),
        ("2026-01-05 09:00:00+01", T0),
        ("2026-01-05T02:30:00-0530", T0),
        ("2026-01-05t08:00:00,25z", T0 + 250_000),
        ("20260105T080000.5Z", T0 + 500_000),
        ("20260105T100000+0200", T0),
        ("Mon, 05 Jan 2026 08:00:00 GMT", T0),
        ("5 Jan 2026 09:00:00 +0100", T0),
        (f"/Date({T0_S}000)/", T0),
    ],
    ids=repr,
)
def test_times_are_read_in_all_their_spellings(written: object, us: int) -> None:
    assert only_read({"epc": "AAAA", "time": written}).time_us == us


@pytest.mark.parametrize(
    "written",
    ["2026-01-05T08:00:00", "soon", -5, 10**40, True, [], "2026-02-30T00:00:00Z"],
)
def test_a_time_that_nobody_can_place_is_refused(written: object) -> None:
    assert "time" in only_fault({"epc": "AAAA", "time": written})


@pytest.mark.parametrize(
    ("written", "ns"),
    [
        (T0 * 1_000 + 5_999, 999),
        ("2026-01-05T08:00:00.123456789Z", 789),
        (f"{T0_S}.000000007", 7),
        ("2026-01-05T08:00:00.1234567Z", 700),
        (T0, 0),
    ],
    ids=repr,
)
def test_nanoseconds_are_kept(written: object, ns: int) -> None:
    assert only_read({"epc": "AAAA", "time": written}).ns == ns


@pytest.mark.parametrize("written", [0, 40, "1970-01-01T00:00:40Z", "1999-12-31T23:59:59Z"])
def test_a_clock_that_was_never_set_is_told_apart(written: object) -> None:
    assert only_read({"epc": "AAAA", "time": written}).time_source is TimeSource.UNSET


def test_a_chip_of_springcard_keeps_its_own_number() -> None:
    read = only_read({"Interface": "13.56", "Protocol": "NFC-A", "TagId": "30340000000000"})
    assert read.epc == "urn:epc:raw:56.x30340000000000"
    assert read.time_source is TimeSource.GATEWAY


def ruuvi(data: str) -> dict[str, object]:
    return {"gw_mac": "C8:25:2D:8E:9C:2C", "ts": str(T0_S), "data": data}


FORMAT_5 = "0201061BFF99040512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F"


def test_a_ruuvi_advertisement_names_its_tag_before_its_gateway() -> None:
    (sample,) = decode(ruuvi(FORMAT_5)).items
    assert sample == Sample(
        devices=("CB:B8:33:4C:88:4F", "C8:25:2D:8E:9C:2C"),
        time_us=T0,
        values=(("temperature", 24.3), ("humidity", 53.49), ("pressure", 100044.0)),
    )


def test_what_a_ruuvi_tag_marks_as_unknown_is_left_out() -> None:
    data = FORMAT_5.replace("12FC5394C37C", "8000FFFFFFFF")
    (sample,) = decode(ruuvi(data)).items
    assert isinstance(sample, Sample)
    assert sample.values == ()


def test_format_3_of_ruuvi_has_a_sign_and_no_address() -> None:
    (sample,) = decode(ruuvi("02010611FF9904033291451ECE1EFC18F94202CA0B53"[:44])).items
    assert isinstance(sample, Sample)
    assert sample.devices == ("C8:25:2D:8E:9C:2C",)
    assert sample.values[0] == ("temperature", -17.69)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (FORMAT_5[:-2], "cut short"),
        ("zz", "broken hex"),
        ("0201061AFF99040512FC5394C37C0004FFFC040CAC364200CDCBB8334C88", "23 bytes"),
        ("020106", "another maker"),
        ("03FF4C00", "another maker"),
        ("04FF990408", "data format 08"),
        ("02 01 06", "without blanks"),
    ],
)
def test_a_bad_advertisement_goes_to_quarantine(data: str, reason: str) -> None:
    assert reason in only_fault(ruuvi(data))


def uplink(**fields: object) -> dict[str, object]:
    ids = {"device_id": "logger-1", "dev_eui": "70B3D57ED0000001"}
    return {"end_device_ids": ids, "uplink_message": {"received_at": T0_S, **fields}}


def test_the_things_stack_gives_named_numbers() -> None:
    payload = uplink(decoded_payload={"temp": 6, "on": True, "mode": "x", "v": 3.5})
    _, sample = decode(payload).items
    assert sample == Sample(
        devices=("70B3D57ED0000001", "logger-1"),
        time_us=T0,
        values=(("temp", 6.0), ("v", 3.5)),
    )


def test_a_normalised_payload_has_fixed_units() -> None:
    payload = uplink(normalized_payload=[{"air": {"temperature": 4.5, "pressure": 1013.25}}])
    number, sample = decode(payload).items
    assert isinstance(number, Vital)
    assert isinstance(sample, Sample)
    assert sample.values == (("temperature", 4.5), ("pressure", 101325.0))


def test_an_uplink_that_nobody_decoded_is_not_guessed_at() -> None:
    (fault,) = decode(uplink(frm_payload="AdsmAADiAAA=")).faults
    assert "did not decode" in fault.why
    assert fault.hides_reads


def test_a_plain_sensor_is_a_sample() -> None:
    (sample,) = decode({"device": "d", "time": T0_S, "temperature": 4.5}).items
    assert sample == Sample(devices=("d",), time_us=T0, values=(("temperature", 4.5),))


LOT = {
    "type": "line.lot",
    "time": "2026-01-05T08:00:00Z",
    "epcClass": "urn:epc:class:lgtin:9506000.012345.L1",
    "quantity": 1180.5,
    "uom": "KGM",
    "into": "urn:epc:id:grai:9506000.00300.7",
}
START = {
    "type": "line.batch",
    "phase": "start",
    "time": T0_S,
    "batch": "B-1",
    "transformationID": "urn:epc:id:gdti:9506000.00001.1",
    "inputs": [{"epcClass": "urn:epc:class:lgtin:9506000.012345.L1", "quantity": 900}],
    "lot": "LOT1",
}


def test_line_messages_are_read_to_the_letter() -> None:
    messages = [
        LOT,
        {"type": "line.empty", "time": T0_S, "container": "urn:epc:id:grai:9506000.00300.7"},
        START,
        {"type": "line.batch", "phase": "end", "time": T0_S, "batch": "B-1"},
    ]
    items = [item for one in messages for item in decode(one).items]
    assert [type(item) for item in items] == [
        LotMade,
        ContainerEmptied,
        BatchStarted,
        BatchEnded,
    ]
    assert isinstance(items[0], LotMade)
    assert str(items[0].lot.quantity) == "1180.5"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"time": None}, "time"),
        ({"epcClass": "urn:epc:id:grai:9506000.00300.7"}, "want a class"),
        ({"epcClass": "urn:epc:class:lgtin:95060.1.L"}, "epcClass"),
        ({"quantity": 0}, "no amount"),
        ({"quantity": -3}, "no amount"),
        ({"quantity": "5"}, "no amount"),
        ({"uom": "kg"}, "Recommendation 20"),
        ({"into": "urn:epc:class:lgtin:9506000.012345.L1"}, "want one thing"),
        ({"intp": "x"}, "nobody asked for"),
        ({"type": "line.lots"}, "not one of"),
        ({"type": "line.batch"}, "want 'start' or 'end'"),
    ],
)
def test_a_line_message_with_anything_wrong_is_refused(
    change: dict[str, object], reason: str
) -> None:
    assert reason in only_fault(LOT | change)


def test_limits_are_refusals_and_nothing_else() -> None:
    assert "at most" in only_fault(b'"' + b"A" * MESSAGE_BYTES_MAX + b'"')
    too_many = json.dumps(["AAAA"] * (ITEMS_PER_MESSAGE_MAX + 1)).encode()
    assert "at most" in only_fault(too_many)


@pytest.mark.parametrize("bank", ["0b183400{}", "0B183400{}00000000", "0b18", "3400", "{}"])
def test_a_zebra_reader_may_send_the_bank_beside_the_epc(bank: str) -> None:
    epc = str(FX["data"]["idHex"])  # type: ignore[index]
    plain = decode(FX).reads
    data = {**FX["data"], "EPC": bank.format(epc)}  # type: ignore[dict-item]
    decoded = decode({**FX, "data": data})
    assert (decoded.reads, decoded.faults) == (plain, ())


@pytest.mark.parametrize("bank", ["0b183400{}", "{}00", "00{}"])
def test_a_bank_with_another_epc_in_it_is_refused(bank: str) -> None:
    data = {**FX["data"], "EPC": bank.format("AB" * 12)}  # type: ignore[dict-item]
    assert "disagree" in only_fault({**FX, "data": data})


def test_a_raw_tag_is_one_thing_however_it_is_spelled() -> None:
    spellings = ["aabb", "AABB", "urn:epc:raw:16.xaabb", "urn:epc:raw:16.xAABB"]
    assert {read.epc for read in decode(spellings).reads} == {"urn:epc:raw:16.xAABB"}
