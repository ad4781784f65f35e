"""What an answer reads of a real index: it grows with the answer, and nothing else.

The default forms are small; `-m slow` has a pallet with 100,000 children and a lot with a
million events. Times and memory are measured by `tests.bench.provenance`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ledger.epcis.event import parse_time_us
from ledger.provenance.answer import trace
from ledger.provenance.document import assemble_answer
from ledger.provenance.reader import Limits
from ledger.provenance.twin import Asked, list_contents
from ledger.store.index_source import IndexReader
from tests.bench.provenance import NOW_US, World, at
from tests.ledger.provenance.fakes import (
    case,
    commission,
    item,
    lot,
    object_event,
    pack,
    pallet,
    quantity,
    transform,
)

CHILDREN_PER_EVENT = 50_000  # A part of an event has at most 4 MiB.


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.close()


@dataclass
class Asker:
    """Asks a reader, and counts what the last question cost."""

    reader: IndexReader
    batches: int = 0
    rows: int = 0

    def answer(self, key: str, limits: Limits | None = None) -> dict[str, Any]:
        source = self.reader.source()
        found = trace(source, key, now_us=NOW_US, limits=limits)
        assert found is not None
        self.batches, self.rows = source.batches, source.rows
        return assemble_answer(found)

    def contents(self, key: str, after: str = "") -> dict[str, Any]:
        source = self.reader.source()
        told = list_contents(source, key, Asked(now_us=NOW_US), after=after)
        self.batches, self.rows = source.batches, source.rows
        return told


@contextmanager
def asking(world: World) -> Iterator[Asker]:
    with world.reader() as reader:
        yield Asker(reader)


def add_children(world: World, parent: str, label: str, count: int) -> None:
    for first in range(0, count, CHILDREN_PER_EVENT):
        those = range(first, min(count, first + CHILDREN_PER_EVENT))
        world.add(
            pack(at(first / CHILDREN_PER_EVENT), parent, *(item(f"{label}{n}") for n in those))
        )
    world.add(object_event(at(99), parent, bizStep="departing"))


def check_children(world: World, few: int, many: int) -> None:
    costs = []
    for number, count in enumerate((few, many)):
        parent, label = pallet(number + 1), f"c{number}x"
        add_children(world, parent, label, count)
        with asking(world) as asker:
            child = asker.answer(item(f"{label}{few - 1}"))
            # What else is packed on the pallet meanwhile is of the child's story, too.
            packings = -(-count // CHILDREN_PER_EVENT)
            steps = [one["biz_step"] for one in child["events"]]
            assert steps == ["packing"] * packings + ["departing"]
            costs.append((asker.batches, asker.rows - packings))
            parent_told = asker.answer(parent)
            assert not parent_told["truncated"]
            told, after, rows = set(), "", 0
            while after is not None:
                page = asker.contents(parent, after)
                told |= {one["epc"] for one in page["contents"]}
                rows += asker.rows
                assert page["truncated"] == (page["continuation"] is not None)
                after = page["continuation"] and page["continuation"]["after"]
            assert told == {item(f"{label}{n}") for n in range(count)}
            assert rows <= 8 * count + 100
    assert costs[0] == costs[1]  # What its neighbours are costs a child nothing.


def test_a_child_costs_the_same_among_few_and_many(world: World) -> None:
    check_children(world, 500, 5_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_child_costs_the_same_among_a_hundred_thousand(world: World) -> None:
    check_children(world, 500, 100_000)


def test_each_level_of_containers_costs_the_same(world: World) -> None:
    costs = []
    for depth in (5, 25, 50):
        for n in range(depth):
            world.add(pack(at(n), case(f"d{depth}x{n + 1}"), case(f"d{depth}x{n}")))
        world.add(object_event(at(90), case(f"d{depth}x{depth}"), bizStep="departing"))
        with asking(world) as asker:
            told = asker.answer(case(f"d{depth}x0"))
            assert len(told["events"][-1]["path"]) == depth + 1
            assert not told["truncated"]
            costs.append((asker.batches, asker.rows))
    for counted in range(2):
        per_level = (costs[1][counted] - costs[0][counted]) / 20
        assert costs[2][counted] - costs[1][counted] == pytest.approx(25 * per_level, abs=2)
        assert per_level <= 8


def test_a_depth_beyond_the_limit_is_cut_and_says_so(world: World) -> None:
    for n in range(40):
        world.add(pack(at(n), case(f"e{n + 1}"), case(f"e{n}")))
    with asking(world) as asker:
        told = asker.answer(case("e0"), Limits(levels=10))
    assert told["truncated"]
    assert "truncated" in {one["kind"] for one in told["gaps"]}


def add_busy(world: World, key: str, events: int) -> None:
    world.add(commission(at(-1), quantityList=[quantity(key, 9)]))
    for n in range(0, events, 100):
        some = (
            object_event(at(n + k / 100), quantityList=[quantity(key, 1)]) for k in range(100)
        )
        world.add(*some)


def check_busy(world: World, few: int, many: int, limit: int, pages: int) -> None:
    costs = []
    for number, events in enumerate((few, many)):
        busy = lot(f"BUSY{number}")
        add_busy(world, busy, events)
        with asking(world) as asker:
            before, told = None, 0
            for _ in range(pages):
                limits = Limits(events=limit, before_us=before)
                page = asker.answer(busy, limits)
                told += len(page["events"])
                costs.append((asker.batches, asker.rows))
                assert asker.rows <= 12 * limit + 200
                if page["continuation"] is None:
                    break
                assert page["truncated"]
                before = parse_time_us(page["continuation"]["before"])
            else:
                assert told >= pages * limit
                continue
            assert told == events + 1
    assert costs[0] == costs[len(costs) // 2]  # How much there is beyond costs nothing.


def test_a_page_of_a_busy_lot_costs_a_page(world: World) -> None:
    check_busy(world, 1_000, 2_000, limit=150, pages=3)


def test_the_pages_of_a_busy_lot_tell_all_of_it(world: World) -> None:
    add_busy(world, lot("WHOLE"), 1_000)
    with asking(world) as asker:
        before, seen = None, []
        while True:
            page = asker.answer(lot("WHOLE"), Limits(events=150, before_us=before))
            seen += [(one["entry"], one["position"]) for one in page["events"]]
            if page["continuation"] is None:
                break
            before = parse_time_us(page["continuation"]["before"])
    assert len(set(seen)) == 1_001


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_page_of_a_lot_with_a_million_events_costs_a_page(world: World) -> None:
    check_busy(world, 20_000, 1_000_000, limit=3_000, pages=2)


def test_a_transformation_loop_costs_what_it_tells(world: World) -> None:
    costs = []
    for rounds in (10, 40):
        one, other = item(f"loop{rounds}a"), item(f"loop{rounds}b")
        for n in range(rounds):
            pair = (one, other) if n % 2 else (other, one)
            world.add(transform(at(n), [pair[0]], [pair[1]]))
        with asking(world) as asker:
            told = asker.answer(one)
            assert len(told["events"]) == rounds
            costs.append((asker.batches, asker.rows))
    assert costs[1][0] <= 5 * costs[0][0]
    assert costs[1][1] <= 5 * costs[0][1]
