"""The chain: raw lots become serialised items, and items go through hub and shop to the till.

    source ──tanker──> plant ──trailer──> hub ──trailer──> shop ──> sold
    a lot               silo, batch, case,  pallets broken,   pallets and cases
    a day               pallet              built per shop    opened, items sold

Lots are mixed in the plant's silo: a batch draws on each lot in proportion to what is left
of it, and names them all. Vehicles are used again and again with other contents. Steps of
one day run one after another on the times that the steps before really took.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from device_sim.chance import Stream
from device_sim.chronicle import Batch, Chronicle, Life, Story, bunch, row
from device_sim.scenario import Scenario
from device_sim.world import (
    DAY_US,
    HOUR_US,
    MILLISECOND_US,
    MINUTE_US,
    SECOND_US,
    Epc,
    Site,
    Tag,
    World,
    format_time,
    lgtin,
    sgtin_tag,
    sscc_tag,
)

ITEM_FILTER = 1
CASE_FILTER = 2
_SERIALS = 10_000_000
_PALLETS = 100_000
_LOSS = 1.01
_ITEM_STEP_US = 1_200 * MILLISECOND_US
_PALLET_STEP_US = 10 * SECOND_US
_HATCH_US = 5 * MINUTE_US
_SPREAD_US = {"gate": 2 * SECOND_US, "tunnel": SECOND_US, "till": SECOND_US}
_OPENING = (9 * HOUR_US, 20 * HOUR_US)


@dataclass(slots=True)
class _Unit:
    """A tagged unit and, for a case, the items in it."""

    tag: Tag
    items: list[Tag]


def play_chain(scenario: Scenario, world: World, seed: int) -> Story:
    """Return everything that happens in one run of `scenario`."""
    chain = _Chain(scenario, world, seed)
    made = _shares(scenario.items, scenario.day.batches)
    for day, items in enumerate(made):
        if items:
            chain.live(day, items)
    chain.sell_all()
    return chain.chronicle.story


class _Chain:
    def __init__(self, scenario: Scenario, world: World, seed: int) -> None:
        self.scenario = scenario
        self.world = world
        self.seed = seed
        self.chronicle = Chronicle(seed, scenario.climate.sample_seconds)
        (self.plant,) = world.of_role("plant")
        (self.hub,) = world.of_role("hub")
        self.shops = world.of_role("shop")
        self.run = 1 + Stream(seed, "run").below(9_998)
        self.silo: list[tuple[Epc, int]] = []  # tenths of a kilogram
        self.cases_made = 0
        self.pallets_made: dict[str, int] = {}
        self.shelf: list[tuple[int, Site, Tag]] = []

    def live(self, day: int, items: int) -> None:
        """Play everything that comes of the batch of one day."""
        needed = round(items * self.scenario.product.kilograms * _LOSS * 10)
        ready_us = self.collect(day, needed)
        cartons, ready_us = self.fill(day, max(ready_us, self.at(day, "fill")), items, needed)
        cases, ready_us = self.pack(cartons, ready_us + 20 * MINUTE_US)
        pallets, ready_us = self.palletise(self.plant, cases, ready_us + 10 * MINUTE_US)
        there_us = self.haul(
            pallets, (self.plant, self.hub), max(ready_us, self.at(day, "dispatch"))
        )
        cases_of = {one.tag.epc: one for one in cases}
        for pallet in pallets:
            there_us = self.break_up(self.hub, pallet, there_us + 5 * MINUTE_US)
        deck = Stream(self.seed, "allot", day).shuffled(cases)
        built_us = there_us + 30 * MINUTE_US
        for n, shop in enumerate(self.shops):
            own = sorted(deck[n :: len(self.shops)], key=lambda one: one.tag.epc)
            if own:
                orders, built_us = self.palletise(self.hub, own, built_us)
                leaving_us = max(built_us + 20 * MINUTE_US, self.at(day + 1, "deliver"))
                self.deliver(shop, orders, leaving_us, cases_of)

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

    def collect(self, day: int, needed: int) -> int:
        """Collect a lot from each source; return when the last one is in the silo."""
        sources = self.world.of_role("source")
        ends = []
        for source in sources:
            stream = Stream(self.seed, "lot", source.name, day)
            tenths = 1 + needed * stream.between(102, 112) // (100 * len(sources))
            wanted_us = self.at(day, "collect") + stream.between(0, 40 * 60) * SECOND_US
            ends.append(self.collect_one(source, day, tenths, wanted_us))
        return max(ends)

    def collect_one(self, source: Site, day: int, tenths: int, wanted_us: int) -> int:
        """Fill a tanker at `source` and empty it into the silo."""
        tell, product = self.chronicle, self.scenario.product
        tanker, wanted_us = tell.take_vehicle(self.world.vehicles.values(), "tanker", wanted_us)
        date = format_time(self.scenario.start_us + day * DAY_US)[:10].replace("-", "")
        lot = lgtin(source.party.prefix, product.raw, f"L{date}-{self.run:04d}")
        body: dict[str, object] = {
            "type": "line.lot", "epcClass": lot, "quantity": tenths / 10, "uom": "KGM",
            "into": tanker.tag.epc,
        }  # fmt: skip
        parlour = self.world.station(source, "produce")
        made_us = tell.note(parlour, wanted_us + _HATCH_US + 400 * MILLISECOND_US, body)
        tell.begin(Life(epc=lot, made_us=made_us, quantity=tenths / 10), source)
        tell.nest(tanker.tag.epc, [lot], made_us)
        gate = self.world.station(source, "depart", self.plant)
        out = tell.cross(gate, made_us + 15 * MINUTE_US, [(tanker.tag, 0)])
        tell.leave([tanker.tag.epc], out.end_us)
        intake = self.world.station(self.plant, "intake")
        arriving_us = out.end_us + self.road_us(source, self.plant, day)
        into = tell.cross(intake, arriving_us, [(tanker.tag, 0)])
        tell.arrive([tanker.tag.epc], self.plant, into.end_us)
        body = {"type": "line.empty", "container": tanker.tag.epc}
        emptied_us = tell.note(intake, into.end_us + 12 * MINUTE_US + 400_000, body)
        tell.empty(tanker.tag.epc, emptied_us)
        leg = f"{source.name}/{self.plant.name}"
        hatches = (
            (made_us - _HATCH_US, made_us),
            (emptied_us - _HATCH_US, emptied_us),
        )
        tell.drive(tanker, leg, *hatches)
        self.silo.append((lot, tenths))
        return emptied_us

    def fill(self, day: int, start_us: int, items: int, needed: int) -> tuple[list[Tag], int]:
        """Fill a batch of items from the silo; return them and when the batch is done."""
        tell, product, prefix = self.chronicle, self.scenario.product, self.plant.party.prefix
        drawn = self.draw(needed)
        inputs = [
            {"epcClass": lot, "quantity": tenths / 10, "uom": "KGM"} for lot, tenths in drawn
        ]
        batch = f"B{self.run:04d}-{day + 1}"
        lot = f"M{self.run:04d}-{day + 1}"
        filler = self.world.station(self.plant, "fill")
        body: dict[str, object] = {
            "type": "line.batch", "phase": "start", "batch": batch, "lot": lot,
            "transformationID": f"urn:epc:id:gdti:{prefix}.{7:0{12 - len(prefix)}d}.{batch}",
            "inputs": inputs,
        }  # fmt: skip
        start_us = tell.note(filler, start_us, body)
        first = self.run * _SERIALS + len(tell.story.items) + 1
        cartons = [
            sgtin_tag(prefix, product.item, first + n, ITEM_FILTER, product.material)
            for n in range(items)
        ]
        filled = tell.cross(filler, start_us + MINUTE_US, row(cartons, _ITEM_STEP_US))
        body = {"type": "line.batch", "phase": "end", "batch": batch}
        end_us = tell.note(filler, filled.end_us + MINUTE_US, body)
        lots = tuple(lot for lot, _ in drawn)
        for carton in cartons:
            tell.begin(Life(epc=carton.epc, made_us=end_us, origin=lots), self.plant)
        tell.story.batches.append(
            Batch(
                id=batch, lot=lot, start_us=start_us, end_us=end_us,
                inputs=tuple((epc, tenths / 10) for epc, tenths in drawn),
                outputs=tuple(one.epc for one in cartons),
            )
        )  # fmt: skip
        for epc in {epc for epc, _ in drawn} - {epc for epc, _ in self.silo}:
            tell.end(tell.story.lots[epc], end_us)
        return cartons, end_us

    def draw(self, needed: int) -> list[tuple[Epc, int]]:
        """Take `needed` tenths of a kilogram out of the silo, from each lot its share."""
        held = sum(tenths for _, tenths in self.silo)
        assert held >= needed, "the sources deliver more than a batch needs"
        drawn, rest, left = [], [], needed
        for n, (lot, tenths) in enumerate(self.silo):
            last = n == len(self.silo) - 1
            share = left if last else min(left, -(-tenths * needed // held))
            share = min(share, tenths)
            left -= share
            if share:
                drawn.append((lot, share))
            if tenths > share:
                rest.append((lot, tenths - share))
        assert left == 0
        self.silo = rest
        return drawn

    def pack(self, cartons: Sequence[Tag], ready_us: int) -> tuple[list[_Unit], int]:
        """Pack items into cases at the case tunnel."""
        product, station = self.scenario.product, self.world.station(self.plant, "case")
        cases, at = [], 0
        while at < len(cartons):
            stream = Stream(self.seed, "case", self.cases_made)
            own = list(cartons[at : at + stream.between(*product.items_per_case)])
            serial = self.run * _SERIALS + self.cases_made + 1
            tag = sgtin_tag(self.plant.party.prefix, product.case, serial, CASE_FILTER)
            crossing = bunch([tag, *own], _SPREAD_US[station.profile], stream)
            ready_us = self.chronicle.cross(station, ready_us, crossing).end_us
            self.chronicle.nest(tag.epc, (one.epc for one in own), ready_us)
            cases.append(_Unit(tag, own))
            self.cases_made += 1
            at += len(own)
        return cases, ready_us

    def palletise(
        self, site: Site, cases: Sequence[_Unit], ready_us: int
    ) -> tuple[list[Tag], int]:
        """Build pallets out of cases at `site`; each pallet gets a new SSCC."""
        station, prefix = self.world.station(site, "palletise"), site.party.prefix
        most, pallets = self.scenario.product.cases_per_pallet, []
        for at in range(0, len(cases), most):
            number = self.pallets_made.get(prefix, 0) + 1
            self.pallets_made[prefix] = number
            base = self.run % 10 ** (17 - len(prefix) - 5) * _PALLETS
            tag = sscc_tag(prefix, base + number)
            own = [one.tag for one in cases[at : at + most]]
            stream = Stream(self.seed, "pallet", prefix, number)
            crossing = bunch([tag, *own], _SPREAD_US[station.profile], stream)
            ready_us = self.chronicle.cross(station, ready_us, crossing).end_us
            self.chronicle.nest(tag.epc, (one.epc for one in own), ready_us)
            pallets.append(tag)
        return pallets, ready_us

    def haul(self, pallets: Sequence[Tag], leg: tuple[Site, Site], ready_us: int) -> int:
        """Drive pallets from one site to the next, in as many trips as they need."""
        tell, (origin, to) = self.chronicle, leg
        most = self.scenario.product.pallets_per_trailer
        arrived_us = ready_us
        for at in range(0, len(pallets), most):
            load = pallets[at : at + most]
            epcs = [one.epc for one in load]
            trailer, ready_us = tell.take_vehicle(
                self.world.vehicles.values(), "trailer", ready_us
            )
            dock, door = (
                self.world.station(origin, "load", to),
                self.world.station(to, "receive"),
            )
            loading = tell.cross(dock, ready_us, row(load, _PALLET_STEP_US), docked=trailer)
            tell.nest(trailer.tag.epc, epcs, loading.end_us)
            tell.leave(epcs, loading.end_us)
            road_us = self.road_us(origin, to, loading.number)
            emptying = tell.cross(
                door, loading.end_us + road_us, row(load, _PALLET_STEP_US), docked=trailer
            )
            tell.arrive(epcs, to, emptying.end_us)
            tell.empty(trailer.tag.epc, emptying.end_us)
            spans = ((loading.start_us, loading.end_us), (emptying.start_us, emptying.end_us))
            tell.drive(trailer, f"{origin.name}/{to.name}", *spans)
            arrived_us, ready_us = emptying.end_us, loading.end_us
        return arrived_us

    def break_up(self, site: Site, pallet: Tag, ready_us: int) -> int:
        """Take a pallet apart at `site`; return when it is done."""
        station = self.world.station(site, "break")
        crossed = self.chronicle.cross(station, ready_us, [(pallet, 0)])
        self.chronicle.empty(pallet.epc, crossed.end_us)
        return crossed.end_us

    def deliver(
        self, shop: Site, pallets: Sequence[Tag], ready_us: int, cases: dict[Epc, _Unit]
    ) -> None:
        """Bring pallets to a shop and open them and their cases there."""
        there_us = self.haul(pallets, (self.hub, shop), ready_us)
        station = self.world.station(shop, "open")
        for pallet in pallets:
            held = self.chronicle.contents(pallet.epc)
            there_us = self.break_up(shop, pallet, there_us + 15 * MINUTE_US)
            for epc in held:
                case = cases[epc]
                opened = self.chronicle.cross(
                    station, there_us + 2 * MINUTE_US, [(case.tag, 0)]
                )
                self.chronicle.empty(epc, opened.end_us)
                self.shelf += [(opened.end_us, shop, one) for one in case.items]

    def sell_all(self) -> None:
        """Sell the share of the items that finds a buyer, each shop in order of time."""
        day = self.scenario.day
        sales: dict[str, list[tuple[int, Epc, Tag]]] = {shop.name: [] for shop in self.shops}
        for shelved_us, shop, tag in self.shelf:
            stream = Stream(self.seed, "sale", tag.epc)
            if stream.unit() < day.sold:
                wanted_us = self.opening_us(shelved_us, stream.below(day.sale_days), stream)
                sales[shop.name].append((wanted_us, tag.epc, tag))
        for shop in self.shops:
            till = self.world.station(shop, "sell")
            for wanted_us, epc, tag in sorted(sales[shop.name], key=lambda one: one[:2]):
                sold_us = self.chronicle.cross(till, wanted_us, [(tag, 0)]).end_us
                self.chronicle.end(self.chronicle.story.items[epc], sold_us)

    def opening_us(self, shelved_us: int, days: int, stream: Stream) -> int:
        """Return a time within opening hours, `days` after an item came on the shelf."""
        midnight_us = (shelved_us - self.scenario.start_us) // DAY_US * DAY_US
        first_us = self.scenario.start_us + midnight_us + days * DAY_US
        early_us = max(first_us + _OPENING[0], shelved_us + 30 * MINUTE_US)
        late_us = max(first_us + _OPENING[1], early_us + HOUR_US)
        return early_us + stream.below((late_us - early_us) // SECOND_US) * SECOND_US


def _shares(total: int, parts: int) -> list[int]:
    return [total * (n + 1) // parts - total * n // parts for n in range(parts)]
