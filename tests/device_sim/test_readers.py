import json
from collections import Counter
from pathlib import Path

import pytest

from device_sim.radio import hear_pass
from device_sim.readers import HANDHELD_TAGS_MAX, station_messages, tag_chip
from device_sim.scenario import build_world
from device_sim.scenariofile import parse_scenario
from device_sim.tags import sgtin_tag
from device_sim.world import (
    SECOND_US,
    Message,
    Pass,
    Read,
    ReaderModel,
    Station,
    Visit,
    parse_time,
)

START_US = parse_time("2026-03-02T10:00:00Z")
TAGS = [sgtin_tag("9506000", "013435", serial, 1) for serial in range(1, 31)]


def station(dairy_text: str, reader: ReaderModel) -> Station:
    old = 'name = "dairy/dock-1"\ndoes = "load"\nto = "centre"\nreader = "impinj"'
    assert old in dairy_text
    text = dairy_text.replace(old, old.replace("impinj", reader))
    return build_world(parse_scenario(text)).stations["dairy/dock-1"]


def heard(at: Station) -> list[Read]:
    visits = tuple(Visit(tag, START_US, 24 * SECOND_US) for tag in TAGS)
    crossing = Pass(
        station=at, number=0, start_us=START_US, end_us=START_US + 24 * SECOND_US, visits=visits
    )
    return hear_pass(crossing, (), 1)


def keys(value: object) -> object:
    if isinstance(value, dict):
        return {name: keys(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [keys(value[0])] if value else []
    return type(value).__name__


def sent(dairy_text: str, reader: ReaderModel) -> tuple[list[Read], list[Message]]:
    at = station(dairy_text, reader)
    reads = heard(at)
    return reads, station_messages(at, reads)


def test_batching_off_sends_the_events_of_a_batch_one_by_one(dairy_text: str) -> None:
    reads, single = sent(dairy_text, "zebra-single")
    _, batches = sent(dairy_text, "zebra")
    assert len(single) == len(reads)
    assert [json.loads(one.payload) for one in single] == [
        event for one in batches for event in json.loads(one.payload)
    ]


def test_a_handheld_sends_what_a_real_one_sends(dairy_text: str, shared_data: Path) -> None:
    real = json.loads((shared_data / "readers/zebra/rfd40_dataEVT.json").read_text())
    reads, messages = sent(dairy_text, "zebra-handheld")
    seen: Counter[str] = Counter()
    for message in messages:
        ours = json.loads(message.payload)
        (tag,) = keys(ours)["data"]["tagData"]
        (real_tag,) = keys(real)["data"]["tagData"]
        assert set(tag) <= set(real_tag)
        assert len(ours["data"]["tagData"]) <= HANDHELD_TAGS_MAX
        assert 0 <= message.time_us - parse_time(ours["timestamp"]) < SECOND_US
        for one in ours["data"]["tagData"]:
            seen[one["EPC"]] += one["seenCount"]
    assert seen == Counter(one.tag.memory for one in reads)


def test_smartreader_wraps_the_reads_of_a_second(dairy_text: str, shared_data: Path) -> None:
    lines = (shared_data / "readers/generic/shapes.ndjson").read_text().splitlines()
    real = next(json.loads(one) for one in lines if "tag_reads" in one)
    reads, messages = sent(dairy_text, "smartreader")
    told = [one for message in messages for one in json.loads(message.payload)["tag_reads"]]
    assert set(json.loads(messages[0].payload)) == set(real)
    assert set(real["tag_reads"][0]) <= set(told[0])
    assert [(one["epc"], parse_time(one["firstSeenTimestamp"])) for one in told] == [
        (one.tag.memory, one.time_us) for one in reads
    ]


def test_an_llrp_bridge_uses_the_names_of_llrp(dairy_text: str) -> None:
    reads, messages = sent(dairy_text, "llrp")
    told = [one for m in messages for one in json.loads(m.payload)["TagReportData"]]
    assert [(one["EPC-96"].upper(), one["FirstSeenTimestampUTC"]) for one in told] == [
        (one.tag.memory, one.time_us) for one in reads
    ]
    assert {one["ChannelIndex"] for one in told} <= {1, 2, 3, 4}
    assert all(-90 < one["PeakRSSI"] < -35 for one in told)


@pytest.mark.parametrize(
    "reader", ["impinj", "zebra", "zebra-single", "zebra-handheld", "smartreader", "llrp"]
)
def test_no_family_loses_a_tag_and_each_is_small_json(
    dairy_text: str, reader: ReaderModel
) -> None:
    reads, messages = sent(dairy_text, reader)
    text = b"\n".join(one.payload for one in messages).decode().upper()
    assert all(tag.memory in text for tag in TAGS)
    assert all(json.loads(one.payload) and len(one.payload) < 64_000 for one in messages)
    assert messages[-1].time_us == reads[-1].time_us


@pytest.mark.parametrize("reader", ["impinj", "zebra", "smartreader", "llrp"])
def test_a_wrong_clock_shows_in_the_payload_and_not_in_the_time_of_sending(
    dairy_text: str, reader: ReaderModel
) -> None:
    at = station(dairy_text, reader)
    reads = heard(at)
    right = station_messages(at, reads)
    wrong = station_messages(at, reads, lambda time_us: time_us - 3600 * SECOND_US)
    assert [one.time_us for one in wrong] == [one.time_us for one in right]
    assert b"2026-03-02T09" in wrong[0].payload or reader == "llrp"
    assert wrong[0].payload != right[0].payload


def test_two_tags_with_one_epc_have_two_chips() -> None:
    tag = TAGS[0]
    clone = type(tag)(tag.epc, tag.tag_uri, chip="clone")
    assert tag.memory == clone.memory
    assert tag_chip(tag) != tag_chip(clone)
    assert len(tag_chip(tag)) == 24
