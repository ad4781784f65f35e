"""Passes: what belongs together, and what ends it."""

import pytest

from ingest import smoothing
from ingest.plan import Station
from ingest.reads import Read, TimeSource
from ingest.smoothing import (
    OPEN_PASSES_MAX,
    PASS_TAGS_MAX,
    Heard,
    OpenPass,
    Pass,
    end_all,
    end_idle,
    idle_at,
    take_reads,
)
from tests.ingest.scene import STATION, T0, plan_of

SECOND = 1_000_000


def station(more: str = "") -> Station:
    return plan_of(STATION + more).stations[0]


def feed(
    passes: list[OpenPass], where: Station, *reads: tuple[str, float], at: int = T0
) -> list[Pass]:
    ended: list[Pass] = []
    for n, (epc, second) in enumerate(reads):
        read = Read(
            epc=epc,
            time_us=T0 + round(second * SECOND),
            time_source=TimeSource.READER,
            antenna=None,
            rssi_cdbm=None,
        )
        ended += take_reads(passes, where, [read], Heard(n.to_bytes(32), at))
    return ended


def names(one: Pass) -> str:
    return "".join(epc for epc, _ in one.tags)


def test_reads_within_the_gap_are_one_pass() -> None:
    passes: list[OpenPass] = []
    assert feed(passes, station(), ("a", 0), ("b", 2.9), ("a", 5.9)) == []
    (one,) = end_all(passes, station())
    assert names(one) == "ab"
    assert (one.first_us, one.last_us) == (T0, T0 + 5_900_000)
    assert len(one.messages) == 3
    assert passes == []


def test_a_read_after_the_gap_ends_the_pass_and_opens_another() -> None:
    passes: list[OpenPass] = []
    (one,) = feed(passes, station(), ("a", 0), ("b", 3.001))
    assert names(one) == "a"
    assert names(end_all(passes, station())[0]) == "b"


def test_a_read_exactly_at_the_gap_still_belongs() -> None:
    passes: list[OpenPass] = []
    assert feed(passes, station(), ("a", 0), ("b", 3)) == []


def test_tags_are_in_the_order_of_their_first_read_by_the_readers_clock() -> None:
    passes: list[OpenPass] = []
    feed(passes, station(), ("b", 1), ("c", 2), ("a", 0.5), ("c", 0.1))
    assert names(end_all(passes, station())[0]) == "cab"


def test_a_backlog_makes_the_passes_it_would_have_made_in_time() -> None:
    passes: list[OpenPass] = []
    live = feed(passes, station(), ("z", 1000))
    backlog = feed(passes, station(), ("a", 0), ("a", 1), ("b", 10), ("b", 11))
    assert live == []
    assert [names(one) for one in backlog] == ["a"]
    assert [names(one) for one in end_all(passes, station())] == ["b", "z"]


def test_stray_tags_are_in_the_pass_and_apart() -> None:
    passes: list[OpenPass] = []
    where = station("min_reads = 2\n")
    feed(passes, where, ("a", 0), ("b", 1), ("a", 2))
    (one,) = end_all(passes, where)
    assert names(one) == "a"
    assert one.strays == (("b", "read fewer than 2 times"),)


def test_silence_of_the_gateway_ends_a_pass_only_after_the_idle_time() -> None:
    passes: list[OpenPass] = []
    feed(passes, station(), ("a", 0), at=T0)
    assert idle_at(passes, station()) == T0 + 5 * SECOND
    assert end_idle(passes, station(), T0 + 5 * SECOND - 1) == []
    assert len(end_idle(passes, station(), T0 + 5 * SECOND)) == 1
    assert idle_at(passes, station()) is None


def test_a_tag_that_stays_does_not_keep_a_pass_open_for_ever() -> None:
    passes: list[OpenPass] = []
    where = station("pass_max_s = 10\n")
    ended = feed(passes, where, *[("a", n) for n in range(25)])
    assert [one.last_us - one.first_us for one in ended] == [10 * SECOND] * 2


def test_a_pass_has_no_more_tags_than_its_limit() -> None:
    passes: list[OpenPass] = []
    ended = feed(passes, station(), *[(f"tag {n}", 0) for n in range(PASS_TAGS_MAX + 1)])
    assert [len(one.tags) for one in ended] == [PASS_TAGS_MAX]


def test_a_pass_stands_on_no_more_messages_than_its_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(smoothing, "PASS_MESSAGES_MAX", 100)
    passes: list[OpenPass] = []
    reads = [("a", n / 10) for n in range(250)]
    assert [len(one.messages) for one in feed(passes, station(), *reads)] == [100, 100]
    assert [len(one.messages) for one in passes] == [50]


def test_no_more_passes_are_open_than_the_limit_and_none_is_lost() -> None:
    passes: list[OpenPass] = []
    ended = feed(passes, station(), *[(str(n), -100 * n) for n in range(OPEN_PASSES_MAX + 3)])
    assert len(passes) == OPEN_PASSES_MAX
    assert len(ended) == 3


def test_a_reader_that_sums_up_since_ever_makes_no_pass_of_each_report() -> None:
    passes: list[OpenPass] = []
    ended: list[Pass] = []
    for n in range(1_800):
        at = T0 + 2 * n * SECOND
        read = Read("a", at, TimeSource.READER, None, None, seen=n + 1, since_us=T0)
        ended += take_reads(passes, station(), [read], Heard(n.to_bytes(32), at))
    spans = [
        (one.last_us - one.first_us) // SECOND for one in [*ended, *end_all(passes, station())]
    ]
    assert sum(spans) > 3_500
    assert len(spans) == 4
