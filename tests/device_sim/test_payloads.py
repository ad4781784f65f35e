import json
import struct
from base64 import b64decode
from pathlib import Path

from device_sim.play import Run
from device_sim.readers import ZEBRA_WINDOW_US, tag_crc
from device_sim.world import format_time


def first(run: Run, topic: str) -> bytes:
    return next(one.payload for one in run.messages if one.topic.startswith(topic))


def keys(value: object) -> object:
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    return type(value).__name__


def test_an_impinj_event_has_the_shape_of_a_real_one(dairy_run: Run, shared_data: Path) -> None:
    real = json.loads(
        (shared_data / "readers/impinj/r700_tagInventory_barnowl.json").read_text()
    )
    ours = json.loads(first(dairy_run, "sites/dairy/dock-1/reader"))
    assert keys(ours) == keys(real)
    event = ours["tagInventoryEvent"]
    assert b64decode(event["epc"]).hex().upper() == event["epcHex"]
    assert b64decode(event["tid"]).hex().upper() == event["tidHex"]


def test_a_zebra_event_has_the_shape_of_a_real_one(dairy_run: Run, shared_data: Path) -> None:
    real = json.loads((shared_data / "readers/zebra/fx_custom_crc_pc_phase.json").read_text())
    ours = json.loads(first(dairy_run, "sites/dairy/case-tunnel/reader"))
    assert all(keys(one) == keys(real) for one in ours)


def test_zebra_arrays_hold_half_a_second_at_most(dairy_run: Run) -> None:
    for message in dairy_run.messages:
        if message.topic == "sites/dairy/case-tunnel/reader":
            times = [one["timestamp"] for one in json.loads(message.payload)]
            assert times == sorted(times)
            assert times[-1] == format_time(message.time_us, "+0000")
            assert times[0] > format_time(message.time_us - ZEBRA_WINDOW_US, "+0000")


def test_a_ruuvi_message_has_the_shape_of_a_real_one(dairy_run: Run, shared_data: Path) -> None:
    real = json.loads((shared_data / "readers/ruuvi/mqtt_timestamped.json").read_text())
    ours = json.loads(first(dairy_run, "fleet/"))
    assert keys(ours) == keys(real)
    assert len(ours["data"]) == len(real["data"])
    assert ours["data"][:16] == real["data"][:16]  # flags, length, manufacturer, format 5


def test_a_ruuvi_advertisement_says_what_the_truth_says(dairy_run: Run) -> None:
    told = {
        (series["device"], time_us): celsius
        for series in map(json.loads, dairy_run.truth)
        if series["kind"] == "samples"
        for time_us, celsius in series["values"]
    }
    sent = [one for one in dairy_run.messages if one.topic.startswith("fleet/")]
    assert len(sent) == len(told) == dairy_run.samples
    for message in sent:
        body = json.loads(message.payload)
        data = bytes.fromhex(body["data"])
        (temperature,) = struct.unpack(">h", data[8:10])
        device = data[-6:].hex(":").upper()
        assert message.topic.endswith(f"{body['gw_mac']}/{device}")
        assert told[device, int(body["ts"]) * 1_000_000] == temperature * 5 / 1000


def test_the_checksum_of_a_tag_is_the_one_that_a_real_reader_reports(
    shared_data: Path,
) -> None:
    real = json.loads((shared_data / "readers/zebra/fx_custom_crc_pc_phase.json").read_text())
    data = real["data"]
    assert f"{tag_crc(bytes.fromhex(data['PC'] + data['idHex'])):04x}" == data["CRC"]


def test_every_message_is_json_and_small(dairy_run: Run) -> None:
    for message in dairy_run.messages:
        json.loads(message.payload)
        assert len(message.payload) < 20_000
