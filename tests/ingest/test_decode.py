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
    Read,
    Sample,
    TimeSource,
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


def test_other_events_of_an_r700_are_no_reads() -> None:
    said = only_fault({"timestamp": "…", "eventType": "inventoryStatus"})
    assert "not a tag read" in said
    assert "inventoryStatus" in said


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
        {"type": "heartbeat", "data": {"system": {}}, "timestamp": "x"},
        {"tag_reads": [{"epc": "AAAA", "isHeartBeat": True}]},
        {"gw_mac": "C8:25:2D:8E:9C:2C", "state": "online"},
        {"end_device_ids": {"device_id": "a"}, "join_accept": {}},
        {"brokerHostname": "x"},
        {"reads": []},
        {"type": "x", "data": {"tagData": []}},
        [],
        {},
        17,
        None,
        b"connection lost",
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
    ],
    ids=repr,
)
def test_times_are_read_in_all_their_spellings(written: object, us: int) -> None:
    assert only_read({"epc": "AAAA", "time": written}).time_us == us


@pytest.mark.parametrize(
    "written",
    ["2026-01-05T08:00:00", "soon", 0, 12345, -5, 10**40, True, [], "2026-02-30T00:00:00Z"],
)
def test_a_time_that_nobody_can_place_is_refused(written: object) -> None:
    assert "time" in only_fault({"epc": "AAAA", "time": written})


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
    (sample,) = decode(payload).items
    assert sample == Sample(
        devices=("70B3D57ED0000001", "logger-1"),
        time_us=T0,
        values=(("temp", 6.0), ("v", 3.5)),
    )


def test_a_normalised_payload_has_fixed_units() -> None:
    payload = uplink(normalized_payload=[{"air": {"temperature": 4.5, "pressure": 1013.25}}])
    (sample,) = decode(payload).items
    assert isinstance(sample, Sample)
    assert sample.values == (("temperature", 4.5), ("pressure", 101325.0))


def test_an_uplink_that_nobody_decoded_is_not_guessed_at() -> None:
    assert "did not decode" in only_fault(uplink(frm_payload="AdsmAADiAAA="))


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
