"""The payloads of real readers, as their makers documented them."""

from pathlib import Path

import pytest

from ingest.decode import decode_message
from ingest.reads import Read, Sample, Vital
from ingest.recording import parse_recording
from tests.ingest.scene import T0, message

READS = {
    "generic/shapes.ndjson": [
        *("AAAA", "BBBB", "AAAA", "BBBB", "CCCC", "DDDD", "AAAA", "BBBB", "AABB"),
        "E28011606000020934D6FAF7",
    ],
    "impinj/r700_tagInventory_barnowl.json": ["7EDA9038051002710002C0AE"],
    "zebra/fx_custom_crc_pc_phase.json": ["AA0004EF55555555AA21BF43"],
    "zebra/fx_simpletagevent_epoch.json": ["E28011700001"],
    "zebra/rfd40_dataEVT.json": ["BEDD11112222333344445555"],
    "springcard/reader_event.json": ["047DAE02C84080"],
}
FAULTS = {
    "impinj/r700_http_sse_lines.txt": ["disagree", "disagree"],
    "impinj/r700_mqtt_config.json": ["not a tag read"],
}
TEMPERATURES = {
    "ruuvi/mqtt_no_timestamps.json": 28.66,
    "ruuvi/mqtt_timestamped.json": 27.75,
}


@pytest.mark.parametrize("name", READS)
def test_a_tag_of_no_gs1_key_is_kept_as_it_is(shared_data: Path, name: str) -> None:
    items, faults = decode_file(shared_data, name)
    assert faults == []
    assert all(isinstance(item, Read | Vital) for item in items)
    raw = [item.epc for item in items if isinstance(item, Read)]
    assert raw == [f"urn:epc:raw:{4 * len(one)}.x{one}" for one in READS[name]]


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_no_read_has_its_reason(shared_data: Path, name: str) -> None:
    items, faults = decode_file(shared_data, name)
    assert items == []
    assert len(faults) == len(FAULTS[name])
    assert all(part in why for part, why in zip(FAULTS[name], faults, strict=True))


@pytest.mark.parametrize("name", TEMPERATURES)
def test_a_logger_says_its_temperature(shared_data: Path, name: str) -> None:
    (sample,), _ = decode_file(shared_data, name)
    assert isinstance(sample, Sample)
    assert sample.devices[0] == "F4:1F:0C:28:CB:D6"
    assert dict(sample.values)["temperature"] == TEMPERATURES[name]


def test_a_heartbeat_of_a_zebra_reader_says_that_it_lost_nothing(shared_data: Path) -> None:
    items, faults = decode_file(shared_data, "zebra/fx9600_heartbeat_2023.json")
    assert faults == []
    (beat,) = (one for one in items if isinstance(one, Vital) and one.is_heartbeat)
    assert (beat.state, beat.dropped) == ("online", 0)


def test_a_birth_of_sparkplug_written_as_json_is_a_vital(shared_data: Path) -> None:
    items, faults = decode_file(shared_data, "sparkplug/nbirth_as_json.json")
    assert faults == []
    assert [one.why for one in items if isinstance(one, Vital)] == ["NBIRTH"]


def test_every_recorded_payload_is_read_or_has_a_reason(shared_data: Path) -> None:
    for path in sorted((shared_data / "readers").glob("*/*")):
        items, faults = decode_file(shared_data, f"{path.parent.name}/{path.name}")
        assert items or faults


def decode_file(shared_data: Path, name: str) -> tuple[list[object], list[str]]:
    path = shared_data / "readers" / name
    items: list[object] = []
    faults: list[str] = []
    for arrival in parse_recording(path.name, path.read_bytes(), T0):
        decoded = decode_message(message(arrival.payload, arrival.topic))
        items += decoded.items
        faults += [fault.why for fault in decoded.faults]
    return items, faults
