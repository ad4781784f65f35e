"""How each reader is: online, degraded, silent, clock-bad, offline, told by what they send."""

import json
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from device_sim import sparkplug as world
from ingest.clockroom import ClockView
from ingest.drafts import Outcome
from ingest.monitor import describe, monitoring
from ingest.pulse import Clock, Pulse
from ingest.reads import TICK_TOPIC
from ingest.roster import ReaderView
from ingest.site import Site, encode_tick
from ledger.epcis.times import format_time
from tests.ingest.running import ask
from tests.ingest.scene import OBSERVE, SECRET, STATION, T0, hex_of, message, plan_of

S = 1_000_000
READER = """[[reader]]
name = "dock-1"
topics = ["gate/#", "spBv1.0/+/+/dock/#"]
heartbeat_s = 60
"""
RATE = "messages_per_minute_min = 2\n"
ZEBRA_HEARTBEAT = {
    "type": "heartbeat",
    "timestamp": "2026-01-05T08:00:00.000+0000",
    "eventNum": 328,
    "data": {
        "radio_control": {"radioActivity": "inactive", "radioConnection": "connected"},
        "reader_gateway": {"dataPathStatistics": [{"numDataMessagesDropped": 0}]},
        "system": {"ntp": {"offset": -1, "reach": 377}},
    },
}


class Watched:
    """A gateway that watches one reader; `at` is its clock."""

    def __init__(self, *blocks: str) -> None:
        self.site = Site(plan_of(STATION, OBSERVE, *(blocks or (READER,))))
        self.outcome = Outcome(secret=SECRET)
        self.at = T0

    def hear(
        self, payload: bytes | dict[str, object], topic: str = "gate/r", later: float = 1.0
    ) -> str:
        """Take what the reader sends so much later, and return how it is."""
        self.at += round(later * S)
        self.site.take_message(message(payload, topic, self.at, self.at), self.outcome)
        return self.condition

    def tick(self, later: float) -> str:
        self.at += round(later * S)
        self.site.take_message(
            message(encode_tick(self.at, everything=False), TICK_TOPIC, self.at, self.at),
            self.outcome,
        )
        return self.condition

    @property
    def view(self) -> ReaderView:
        (view,) = [one for one in self.site.readers(self.at) if one.name == "dock-1"]
        return view

    @property
    def condition(self) -> str:
        return self.view.condition

    def impinj(self, off: float = 0.0, later: float = 0.2) -> str:
        """Hear a tag as an R700 reports it, its clock `off` seconds ahead."""
        told = format_time(self.at + round((later + off) * S))
        event = {"epcHex": hex_of(1), "antennaPort": 1, "peakRssiCdbm": -5000}
        body = {"timestamp": told, "hostname": "impinj-14-04-62"}
        return self.hear(
            {**body, "eventType": "tagInventory", "tagInventoryEvent": event}, later=later
        )


def zebra(kind: str, **data: object) -> dict[str, object]:
    return {"type": kind, "timestamp": "2026-01-05T08:00:00.000+0000", "data": data}


def heartbeat(radio: str) -> dict[str, object]:
    return zebra("heartbeat", radio_control={"radioConnection": radio})


def test_a_reader_that_reads_or_beats_is_online() -> None:
    assert Watched().impinj() == "online"
    assert Watched().hear(ZEBRA_HEARTBEAT) == "online"


def test_a_heartbeat_of_a_real_reader_is_understood(shared_data: Path) -> None:
    data = (shared_data / "readers" / "zebra" / "fx9600_heartbeat_2023.json").read_bytes()
    watched = Watched()
    assert watched.hear(data) == "online"
    assert watched.outcome.faults == []


@pytest.mark.parametrize(
    ("trouble", "mended"),
    [
        (heartbeat("disconnected"), heartbeat("connected")),
        (zebra("error", message="antenna 3 is not connected"), heartbeat("connected")),
        (
            {"eventType": "overflow", "hostname": "impinj-1", "timestamp": None},
            {
                "eventType": "inventoryStatus",
                "inventoryStatusEvent": {"inventoryStatus": "armed"},
            },
        ),
    ],
)
def test_a_reader_that_says_so_is_degraded(
    trouble: dict[str, object], mended: dict[str, object]
) -> None:
    watched = Watched()
    assert watched.hear(trouble) == "degraded"
    assert watched.hear(mended, later=2) == "online"


def test_fewer_messages_than_the_plan_expects_are_degraded_and_more_are_not() -> None:
    watched = Watched(READER.replace("heartbeat_s = 60", "heartbeat_s = 600") + RATE)
    for _ in range(20):
        watched.impinj(later=10)
    assert watched.condition == "online"
    for _ in range(3):
        watched.impinj(later=60)
    assert watched.condition == "degraded"
    for _ in range(20):
        watched.impinj(later=10)
    assert watched.condition == "online"


def test_a_reader_of_which_much_is_expected_and_nothing_came_is_degraded() -> None:
    watched = Watched(READER.replace("heartbeat_s = 60", "heartbeat_s = 0") + RATE)
    assert watched.site.next_tick_us() is not None
    assert watched.tick(1) == "online"
    assert watched.tick(121) == "degraded"
    assert watched.impinj() == "online"


def test_a_reader_whose_heartbeats_are_overdue_is_silent() -> None:
    watched = Watched()
    watched.hear(ZEBRA_HEARTBEAT)
    assert watched.tick(119) != "silent"
    assert watched.tick(2) == "silent"
    assert watched.hear(ZEBRA_HEARTBEAT) == "online"


@pytest.mark.parametrize("off", [90.0, -90.0, -3_600.0])
def test_a_reader_whose_times_are_corrected_is_clock_bad(off: float) -> None:
    watched = Watched()
    for _ in range(20):
        watched.impinj(off)
    assert watched.condition == "clock-bad"
    assert watched.view.skew_us is not None
    assert abs(watched.view.skew_us / S - off) < 1
    for _ in range(400):
        watched.impinj(0.0)
    assert watched.condition == "online", "the clock was mended a minute ago"


def test_a_clock_that_was_never_set_is_bad() -> None:
    watched = Watched()
    assert watched.impinj(-(T0 / S) + 40) == "clock-bad"
    clock = watched.view.clock
    assert clock is not None
    assert clock.flags == ("unset",)


def test_a_backlog_makes_no_clock_bad() -> None:
    watched = Watched()
    watched.impinj()
    watched.at += 3_600 * S
    for n in range(100):
        watched.impinj(-3_500.0 + n, later=0.01)
    assert watched.impinj() == "online"


def test_a_sensor_whose_clock_is_wrong_is_clock_bad() -> None:
    watched = Watched()
    body = {"device": "D1", "time": T0 / S + 3_600, "temperature": 4.0}
    assert watched.hear(body) == "clock-bad"


@pytest.mark.parametrize(
    ("will", "greeting"),
    [
        (b"connection lost", b"connected"),
        (b"offline", b"online"),
        (b'"Offline"', b'"Online"'),
        ({"smartreader-mqtt-status": "disconnected"}, {"smartreader-mqtt-status": "connected"}),
        (
            {"gw_mac": "C8:25:2D:8E:9C:2C", "state": "offline"},
            {"gw_mac": "C8:25:2D:8E:9C:2C", "state": "online"},
        ),
        (
            {"ReaderEventNotificationData": {"ConnectionCloseEvent": {}}},
            {"type": "KEEPALIVE", "reader": "r"},
        ),
    ],
)
def test_a_reader_is_offline_by_its_last_will_and_online_by_its_greeting(
    will: bytes | dict[str, object], greeting: bytes | dict[str, object]
) -> None:
    watched = Watched()
    watched.impinj()
    if isinstance(will, dict) and "ReaderEventNotificationData" in will:
        will = {"type": "READER_EVENT_NOTIFICATION", **will}
    assert watched.hear(will, "gate/r/status") == "offline"
    assert watched.tick(600) == "offline", "who said so is not merely silent"
    assert watched.hear(greeting, "gate/r/status") == "online"
    watched.hear(will, "gate/r/status")
    assert watched.impinj() == "online", "who is heard is not away"
    assert all(not fault.hides_reads for _, fault in watched.outcome.faults)


def test_the_will_of_a_sparkplug_node_takes_it_offline() -> None:
    watched = Watched()
    ms = T0 // 1_000
    node, _ = world.births(ms, 3, ("temperature",), (4.5,))
    assert watched.hear(node, "spBv1.0/G/NBIRTH/dock") == "online"
    assert watched.hear(world.death(ms, 3), "spBv1.0/G/NDEATH/dock") == "offline"
    assert watched.hear(node, "spBv1.0/G/NBIRTH/dock") == "online"


def test_a_word_beside_a_tag_is_no_will() -> None:
    watched = Watched()
    watched.hear({"epc": hex_of(3), "state": "offline", "timestamp": T0 / S})
    assert watched.condition == "online"
    assert watched.outcome.counts["reads"] == 1
    assert watched.hear(b"the connection was lost, or so") == "online"


def test_how_readers_are_survives_a_restart() -> None:
    watched = Watched()
    for _ in range(20):
        watched.impinj(90.0)
    before = watched.view
    parts = watched.site.encode_parts()
    watched.site = Site(watched.site.plan)
    watched.site.restore(parts)
    assert watched.condition == "clock-bad"
    assert watched.view.clock == before.clock


def test_each_state_and_each_clock_shows_in_the_figures() -> None:
    clock = ClockView(
        topic="gate/r",
        source="",
        offset_us=90 * S,
        shift_us=90 * S,
        error_us=31_000,
        drift_ppm=12.5,
        flags=("unsure",),
    )
    pulse = Pulse(Clock())
    conditions = ("online", "degraded", "silent", "clock-bad", "offline")
    pulse.show(
        readers=tuple(
            ReaderView(
                name=f"r/{condition}",
                condition=condition,  # type: ignore[arg-type]
                heard_us=T0,
                skew_us=clock.offset_us if condition == "clock-bad" else None,
                messages=1,
                reads=1,
                faults=1,
                gaps=1,
                clock=clock if condition == "clock-bad" else None,
            )
            for condition in conditions
        )
    )
    with monitoring(("127.0.0.1", 0), pulse) as server:
        text = ask(server.url, "/metrics")[1]
        told = {
            row["name"]: row for row in json.loads(ask(server.url, "/readyz")[1])["readers"]
        }
    found = {
        (
            sample.name,
            *(v for _, v in sorted(sample.labels.items(), reverse=True)),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    for condition in conditions:
        assert told[f"r/{condition}"]["condition"] == condition
        assert found["tagtrail_reader_condition", f"r/{condition}", condition] == 1
    bad = "r/clock-bad"
    assert found["tagtrail_reader_skew_seconds", bad] == 90
    assert found["tagtrail_reader_correction_seconds", bad] == 90
    assert found["tagtrail_reader_clock_error_seconds", bad] == 0.031
    assert found["tagtrail_reader_drift_ppm", bad] == 12.5
    assert ("tagtrail_reader_skew_seconds", "r/online") not in found
    assert told[bad]["clock"] == ["unsure"]
    assert describe(pulse)["ready"] is True, "a reader's trouble is not the gateway's"
