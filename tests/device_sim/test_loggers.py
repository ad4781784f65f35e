import json
from base64 import b64decode
from dataclasses import replace
from pathlib import Path
from struct import unpack

import pytest

from device_sim import sparkplug
from device_sim.chain import play_chain
from device_sim.loggers import series_messages
from device_sim.play import Run
from device_sim.sensors import sample_trip
from device_sim.world import Message, Probe, Sample, parse_time


@pytest.fixture(scope="module")
def series(dairy_run: Run) -> list[Sample]:
    """Return the samples of one trip of the scenario."""
    story = play_chain(dairy_run.scenario, dairy_run.world, 1)
    return sample_trip(dairy_run.scenario.climate, story.trips[0], (), 0, 1)


def sent(series: list[Sample], probe: Probe) -> list[Message]:
    vehicle = replace(series[0].vehicle, probe=probe)
    return series_messages([replace(one, vehicle=vehicle) for one in series])


def keys(value: object) -> object:
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return None


def fields(data: bytes) -> list[tuple[int, object]]:
    """Return the fields of a protobuf message, as the wire format says (a second hand)."""
    found: list[tuple[int, object]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        match key & 7:
            case 0:
                found.append((key >> 3, varint()))
            case 1:
                found.append((key >> 3, unpack("<d", data[at : at + 8])[0]))
                at += 8
            case 2:
                length = varint()
                found.append((key >> 3, data[at : at + length]))
                at += length
            case wire:
                raise AssertionError(f"wire type {wire}")
    return found


def test_an_uplink_has_the_shape_of_a_real_one(series: list[Sample], shared_data: Path) -> None:
    real = json.loads((shared_data / "readers/lorawan/tts_v3_uplink.json").read_text())
    messages = sent(series, "things-stack")
    assert len(messages) == len(series)
    ours = json.loads(messages[0].payload)
    assert set(ours) == set(real)
    assert set(ours["end_device_ids"]) == set(real["end_device_ids"])
    assert set(ours["uplink_message"]) <= set(real["uplink_message"])
    for message, sample in zip(messages, series, strict=True):
        uplink = json.loads(message.payload)["uplink_message"]
        assert uplink["decoded_payload"]["temperature"] == sample.celsius
        raw = b64decode(uplink["frm_payload"])
        assert int.from_bytes(raw[:2], "big", signed=True) == sample.temperature
        assert parse_time(uplink["received_at"][:26] + "Z") == sample.time_us


def test_a_plain_logger_says_device_time_and_values(series: list[Sample]) -> None:
    for message, sample in zip(sent(series, "json"), series, strict=True):
        body = json.loads(message.payload)
        assert body["device"] == message.topic.rpartition("/")[2]
        assert (parse_time(body["time"]), body["temperature"]) == (
            sample.time_us, sample.celsius,
        )  # fmt: skip


def test_a_sparkplug_node_is_born_sends_data_and_dies(series: list[Sample]) -> None:
    messages = sent(series, "sparkplug")
    kinds = [one.topic.split("/")[2] for one in messages]
    assert kinds == ["NBIRTH", "DBIRTH", *["DDATA"] * (len(series) - 1), "NDEATH"]
    assert all(one.topic.startswith("spBv1.0/tagtrail/") for one in messages)
    decoded = [fields(one.payload) for one in messages]
    sequence = [dict(one).get(3) for one in decoded]
    assert sequence == [*(n % 256 for n in range(len(series) + 1)), None]


def test_sparkplug_data_names_no_metric_and_says_each_value(series: list[Sample]) -> None:
    messages = sent(series, "sparkplug")
    birth = [dict(fields(value)) for n, value in fields(messages[1].payload) if n == 2]
    names = {one[2]: one[1].decode() for one in birth}
    assert list(names.values()) == ["temperature", "humidity", "pressure"]
    for message, sample in zip(messages[2:-1], series[1:], strict=True):
        metrics = [dict(fields(value)) for n, value in fields(message.payload) if n == 2]
        assert all(1 not in one for one in metrics)
        values = {names[one[2]]: one[13] for one in metrics}
        assert values["temperature"] == sample.celsius
        assert {one[3] for one in metrics} == {sample.time_us // 1000}


def test_a_node_dies_in_the_session_that_it_was_born_in(series: list[Sample]) -> None:
    messages = sent(series, "sparkplug")
    (born,) = (dict(fields(v)) for n, v in fields(messages[0].payload) if n == 2)
    (dead,) = (dict(fields(v)) for n, v in fields(messages[-1].payload) if n == 2)
    assert born[1] == dead[1] == b"bdSeq"
    assert born[11] == dead[11]


def test_a_payload_has_the_bytes_that_the_specification_gives() -> None:
    """Worked out by hand: field 1 = 300 is 08 AC 02, as in protobuf's own documentation."""
    metric = sparkplug.Metric(time_ms=1, name="a", alias=2, value="x")
    data = sparkplug.encode_payload(300, [metric], 256)
    assert data.hex(" ") == ("08 ac 02 12 0c 0a 01 61 10 02 18 01 20 0c 7a 01 78 18 00")
    assert sparkplug.encode_payload(0, [], None).hex() == "0800"
