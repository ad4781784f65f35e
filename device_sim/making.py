"""Making: how a day's goods come into being at the plants, from lots and from parts.

    source ──tanker──> plant's silo ──fill──> items
    parts of other plants ──trailer──> plant ──assemble──> items
    nothing that anybody traces ──make──> items

Lots are mixed in a plant's silo: a batch draws on each lot in proportion to what is left
of it, and names them all. A part stays in the item that it is built into.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from device_sim.chance import Stream
from device_sim.chronicle import Batch, Chronicle, Life, bunch, row
from device_sim.scenario import ProductTable, Scenario
from device_sim.tags import CASE_FILTER, Epc, Tag, item_tag, lgtin, sgtin_tag
from device_sim.world import (
    DAY_US,
    MILLISECOND_US,
    MINUTE_US,
    SECOND_US,
    ProfileName,
    Site,
    World,
    format_time,
)

SPREAD_US: dict[ProfileName, int] = {
    "gate": 2 * SECOND_US, "tunnel": SECOND_US, "till": SECOND_US,
}  # fmt: skip
_SERIALS = 10_000_000
_LOSS = 1.01
_HATCH_US = 5 * MINUTE_US


@dataclass(slots=True)
class Unit:
    """What is put on a pallet: a case with the items in it, or an item by itself."""

    tag: Tag
    items: list[Tag]


# Brings parts to a plant: (part, day, count, plant) to the parts and when they are there.
Supply = Callable[[ProductTable, int, int, Site], tuple[list[Tag], int]]


class Maker:
    """What the plants make, day by day, and what is left in their silos."""

    def __init__(self, scenario: Scenario, world: World, seed: int, tell: Chronicle) -> None:
        self.scenario = scenario
        self.world = world
        self.seed = seed
        self.tell = tell
        self.run = 1 + Stream(seed, "run").below(9_998)
        self.silo: dict[str, list[tuple[Epc, int]]] = {}  # tenths of a kilogram, by plant
        self.collected: set[tuple[str, str, int]] = set()
        self.lots_made: dict[tuple[str, str], int] = {}
        self.cases_made = 0
        self.items_made = 0
        self.batches_made: dict[tuple[str, int], int] = {}

    def at(self, day: int, what: str) -> int:
        """Return the instant of a clock time of the scenario on one day."""
        clock = str(getattr(self.scenario.day, what))
        minutes = int(clock[:2]) * 60 + int(clock[3:])
        return self.scenario.start_us + day * DAY_US + minutes * MINUTE_US

    def road_us(self, origin: Site, to: Site, trip: int) -> int:
        """Return how long one trip takes on the road."""
        low, high = self.scenario.road(origin.name, to.name).minutes
        stream = Stream(self.seed, "road", origin.name, to.name, trip)
        return stream.between(low * 60, high * 60) * SECOND_US

    def make(
        self, product: ProductTable, day: int, count: int, supply: Supply
    ) -> tuple[list[Tag], int]:
        """Make `count` items of a product; return them and when the last one is done."""
        plant = self.world.sites[product.made_at]
        start_us = self.at(day, "fill")
        match product.making:
            case "fill":
                needed = round(count * product.kilograms * _LOSS * 10)
                ready_us = self.collect(plant, product, day, needed)
                return self.fill(product, day, max(ready_us, start_us), (count, needed))
            case "assemble":
                return self.assemble(product, day, count, supply)
            case _:
                station = self.world.station(plant, "make")
                items = self.new_items(product, count)
                step_us = self.scenario.day.item_ms * MILLISECOND_US
                made = self.tell.cross(station, start_us, row(items, step_us))
                for one in items:
                    self.tell.begin(Life(epc=one.epc, made_us=made.end_us), plant)
                return items, made.end_us

    def new_items(self, product: ProductTable, count: int) -> list[Tag]:
        """Return the tags of new items, with serials that nothing else of the run has."""
        prefix = self.world.sites[product.made_at].party.prefix
        first = self.run * _SERIALS + self.items_made + 1
        self.items_made += count
        return [
            item_tag(prefix, product.item, first + n, product.tag, product.material)
            for n in range(count)
        ]

    def assemble(
        self, product: ProductTable, day: int, count: int, supply: Supply
    ) -> tuple[list[Tag], int]:
        """Build parts of other plants into new items, one after another."""
        plant = self.world.sites[product.made_at]
        station = self.world.station(plant, "assemble")
        ready_us, stocks = self.at(day, "fill"), []
        for name, each in product.parts.items():
            stock, there_us = supply(self.scenario.made(name), day, count * each, plant)
            ready_us = max(ready_us, there_us + 10 * MINUTE_US)
            stocks.append((each, stock))
        items = self.new_items(product, count)
        for n, item in enumerate(items):
            parts = [one for each, stock in stocks for one in stock[n * each : (n + 1) * each]]
            stream = Stream(self.seed, "assemble", item.epc)
            crossing = bunch([item, *parts], SPREAD_US[station.profile], stream)
            ready_us = self.tell.cross(station, ready_us, crossing).end_us
            self.tell.begin(Life(epc=item.epc, made_us=ready_us), plant)
            self.tell.nest(item.epc, (one.epc for one in parts), ready_us)
        return items, ready_us

    def collect(self, plant: Site, product: ProductTable, day: int, needed: int) -> int:
        """Collect a lot from each source; return when the last one is in the silo."""
        sources = [one for one, to in self.world.roads if to is plant and one.role == "source"]
        held = sum(tenths for _, tenths in self.silo.setdefault(plant.name, []))
        if (plant.name, product.name, day) in self.collected and held >= needed:
            return self.at(day, "collect")
        self.collected.add((plant.name, product.name, day))
        ends = []
        for source in sources:
            stream = Stream(self.seed, "lot", source.name, day)
            tenths = 1 + needed * stream.between(102, 112) // (100 * len(sources))
            wanted_us = self.at(day, "collect") + stream.between(0, 40 * 60) * SECOND_US
            raw = str(product.raw)
            ends.append(self.collect_one((source, plant), raw, day, (tenths, wanted_us)))
        return max(ends)

    def sell_lots(self, day: int) -> None:
        """Bring the lots of a day that are sold as such to their tanks."""
        for one in self.scenario.lot:
            stream = Stream(self.seed, "sold lot", one.name, day)
            wanted_us = self.at(day, "collect") + stream.between(3600, 7200) * SECOND_US
            leg = (self.world.sites[one.origin], self.world.sites[one.to])
            self.collect_one(leg, one.raw, day, (round(one.kilograms * 10), wanted_us))

    def collect_one(
        self, leg: tuple[Site, Site], raw: str, day: int, load: tuple[int, int]
    ) -> int:
        """Fill a tanker at a source and empty it into the silo of a plant, or into a tank."""
        (source, plant), (tenths, wanted_us), tell = leg, load, self.tell
        tanker, wanted_us = tell.take_vehicle(self.world.vehicles.values(), "tanker", wanted_us)
        date = format_time(self.scenario.start_us + day * DAY_US)[:10].replace("-", "")
        lot = lgtin(source.party.prefix, raw, self.lot_name(date, source))
        body: dict[str, object] = {
            "type": "line.lot", "epcClass": lot, "quantity": tenths / 10, "uom": "KGM",
            "into": tanker.tag.epc,
        }  # fmt: skip
        parlour = self.world.station(source, "produce")
        made_us = tell.note(parlour, wanted_us + _HATCH_US + 400 * MILLISECOND_US, body)
        tell.begin(Life(epc=lot, made_us=made_us, quantity=tenths / 10), source)
        tell.nest(tanker.tag.epc, [lot], made_us)
        gate = self.world.station(source, "depart", plant)
        out = tell.cross(gate, made_us + 15 * MINUTE_US, [(tanker.tag, 0)])
        tell.leave([tanker.tag.epc], out.end_us)
        intake = self.world.station(plant, "intake")
        arriving_us = out.end_us + self.road_us(source, plant, day)
        into = tell.cross(intake, arriving_us, [(tanker.tag, 0)])
        tell.arrive([tanker.tag.epc], plant, into.end_us, self.world.new_owner(source, plant))
        body = {"type": "line.empty", "container": tanker.tag.epc}
        emptied_us = tell.note(intake, into.end_us + 12 * MINUTE_US + 400_000, body)
        tell.empty(tanker.tag.epc, emptied_us)
        hatches = ((made_us - _HATCH_US, made_us), (emptied_us - _HATCH_US, emptied_us))
        tell.drive(tanker, f"{source.name}/{plant.name}", *hatches)
        if plant.role == "plant":
            self.silo[plant.name].append((lot, tenths))
        return emptied_us

    def lot_name(self, date: str, source: Site) -> str:
        """Return the name of a lot; the second one of a day gets a number of its own."""
        number = self.lots_made.get((source.name, date), 0)
        self.lots_made[source.name, date] = number + 1
        return f"L{date}-{self.run:04d}" + (f"-{number + 1}" if number else "")

    def fill(
        self, product: ProductTable, day: int, start_us: int, wanted: tuple[int, int]
    ) -> tuple[list[Tag], int]:
        """Fill a batch of items from the silo; return them and when the batch is done."""
        tell, plant = self.tell, self.world.sites[product.made_at]
        count, needed = wanted
        drawn = self.draw(plant, needed)
        number = self.batches_made.get((product.name, day), 0)
        self.batches_made[product.name, day] = number + 1
        again = f"-{number + 1}" if number else ""
        name = f"{self.run:04d}-{day + 1}{again}"
        own = f"{product.item[-2:]}-" if len(self.scenario.product) > 1 else ""
        batch, lot = f"B{own}{name}", f"M{own}{name}"
        filler, prefix = self.world.station(plant, "fill"), plant.party.prefix
        body: dict[str, object] = {
            "type": "line.batch", "phase": "start", "batch": batch, "lot": lot,
            "transformationID": f"urn:epc:id:gdti:{prefix}.{7:0{12 - len(prefix)}d}.{batch}",
            "inputs": [
                {"epcClass": lot, "quantity": tenths / 10, "uom": "KGM"}
                for lot, tenths in drawn
            ],
        }  # fmt: skip
        start_us = tell.note(filler, start_us, body)
        items = self.new_items(product, count)
        step_us = self.scenario.day.item_ms * MILLISECOND_US
        filled = tell.cross(filler, start_us + MINUTE_US, row(items, step_us))
        body = {"type": "line.batch", "phase": "end", "batch": batch}
        end_us = tell.note(filler, filled.end_us + MINUTE_US, body)
        lots = tuple(epc for epc, _ in drawn)
        for one in items:
            tell.begin(Life(epc=one.epc, made_us=end_us, origin=lots), plant)
        tell.story.batches.append(
            Batch(
                id=batch, lot=lot, start_us=start_us, end_us=end_us,
                inputs=tuple((epc, tenths / 10) for epc, tenths in drawn),
                outputs=tuple(one.epc for one in items),
            )
        )  # fmt: skip
        for epc in set(lots) - {epc for epc, _ in self.silo[plant.name]}:
            tell.end(tell.story.lots[epc], end_us)
        return items, end_us

    def draw(self, plant: Site, needed: int) -> list[tuple[Epc, int]]:
        """Take `needed` tenths of a kilogram out of a silo, from each lot its share."""
        silo = self.silo[plant.name]
        held = sum(tenths for _, tenths in silo)
        assert held >= needed, "the sources deliver more than a batch needs"
        drawn, rest, left = [], [], needed
        for n, (lot, tenths) in enumerate(silo):
            last = n == len(silo) - 1
            share = left if last else min(left, -(-tenths * needed // held))
            share = min(share, tenths)
            left -= share
            if share:
                drawn.append((lot, share))
            if tenths > share:
                rest.append((lot, tenths - share))
        assert left == 0
        self.silo[plant.name] = rest
        return drawn

    def rework(self, product: ProductTable, items: Sequence[Tag], ready_us: int) -> int:
        """Repair what failed its test; return when the last one is back on the line."""
        share, plant = self.scenario.fate.reworked, self.world.sites[product.made_at]
        bench = self.world.find(plant, "rework")
        if bench is None or not share:
            return ready_us
        for one in items:
            if Stream(self.seed, "rework", one.epc).unit() < share:
                ready_us = self.tell.cross(bench, ready_us + MINUTE_US, [(one, 0)]).end_us
        return ready_us

    def pack(
        self, product: ProductTable, items: Sequence[Tag], ready_us: int
    ) -> tuple[list[Unit], int]:
        """Pack items into cases at the case tunnel; without cases each item is a unit."""
        if product.case is None:
            return [Unit(one, [one]) for one in items], ready_us
        plant = self.world.sites[product.made_at]
        station, units, at = self.world.station(plant, "case"), [], 0
        while at < len(items):
            stream = Stream(self.seed, "case", self.cases_made)
            own = list(items[at : at + stream.between(*product.items_per_case)])
            serial = self.run * _SERIALS + self.cases_made + 1
            tag = sgtin_tag(plant.party.prefix, product.case, serial, CASE_FILTER)
            crossing = bunch([tag, *own], SPREAD_US[station.profile], stream)
            ready_us = self.tell.cross(station, ready_us, crossing).end_us
            self.tell.nest(tag.epc, (one.epc for one in own), ready_us)
            units.append(Unit(tag, own))
            self.cases_made += 1
            at += len(own)
        return units, ready_us
