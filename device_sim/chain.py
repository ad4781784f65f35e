"""The chain: goods go from the plants through hubs to shops, and to whoever buys them.

    plant ──trailer──> hub ──trailer──> … ──trailer──> shop ──> sold
    pallets built      pallets broken up and built anew     pallets and cases
                       where goods part, else passed on     opened, items sold

What is made, and of what, is `device_sim.making`. Vehicles are used again and again with
other contents. Steps of one day run one after another on the times that the steps before
really took.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Sequence

from device_sim.chance import Stream
from device_sim.chronicle import Chronicle, Order, Story, bunch, row
from device_sim.deceit import Deceit, Sale
from device_sim.fate import Fate, Shelved
from device_sim.faults import FaultBook
from device_sim.making import SPREAD_US, Maker, Unit
from device_sim.scenario import ProductTable, Scenario
from device_sim.tags import Epc, Tag, sscc_tag
from device_sim.world import DAY_US, MINUTE_US, SECOND_US, Pass, Site, World

_PALLETS = 100_000
_PALLET_STEP_US = 10 * SECOND_US


def play_chain(
    scenario: Scenario, world: World, seed: int, book: FaultBook | None = None
) -> Story:
    """Return everything that happens in one run of `scenario`; `book` gets what is false."""
    chain = _Chain(scenario, world, seed, book or FaultBook())
    finals = scenario.finals
    days = scenario.day.batches
    for day, items in enumerate(_shares(scenario.items, days)):
        for product, count in zip(finals, _shares(items, len(finals)), strict=True):
            if count:
                chain.live(product, day, count)
        chain.maker.sell_lots(day)
    chain.sell_all()
    return chain.tell.story


class _Chain:
    def __init__(self, scenario: Scenario, world: World, seed: int, book: FaultBook) -> None:
        self.scenario = scenario
        self.world = world
        self.seed = seed
        self.tell = Chronicle(seed, scenario.climate.sample_seconds)
        self.maker = Maker(scenario, world, seed, self.tell)
        self.deceit = Deceit(scenario, world, seed, book)
        self.orders_made = 0
        self.pallets_made: dict[str, int] = {}
        self.units: dict[Epc, Unit] = {}
        self.fate = Fate(scenario, world, seed, self.tell)
        self.shelf: list[Shelved] = []

    def live(self, product: ProductTable, day: int, count: int) -> None:
        """Play everything that comes of what is made of one product on one day."""
        plant = self.world.sites[product.made_at]
        units, ready_us = self.make_units(product, day, count)
        self.send_on(plant, product, (units, day), ready_us + 10 * MINUTE_US)

    def make_units(self, product: ProductTable, day: int, count: int) -> tuple[list[Unit], int]:
        """Make a product and pack it; return the units and when they are ready."""
        items, ready_us = self.maker.make(product, day, count, self.supply)
        ready_us = self.maker.rework(product, items, ready_us)
        units, ready_us = self.maker.pack(product, items, ready_us + 20 * MINUTE_US)
        self.units |= {one.tag.epc: one for one in units}
        return units, ready_us

    def supply(
        self, part: ProductTable, day: int, count: int, to: Site
    ) -> tuple[list[Tag], int]:
        """Make parts and bring them to the plant that builds them in."""
        origin = self.world.sites[part.made_at]
        units, ready_us = self.make_units(part, day, count)
        pallets, ready_us = self.palletise(origin, part, units, ready_us + 10 * MINUTE_US)
        leaving_us = max(ready_us, self.maker.at(day, "dispatch"))
        there_us = self.haul(pallets, (origin, to), part, leaving_us)
        stock: list[tuple[int, Tag]] = []
        for pallet in pallets:
            there_us, out = self.open_up(to, pallet, there_us + 5 * MINUTE_US)
            stock += out
        return [one for _, one in stock], max(out_us for out_us, _ in stock)

    def send_on(
        self, site: Site, product: ProductTable, goods: tuple[list[Unit], int], ready_us: int
    ) -> None:
        """Send units that are at `site` on towards the shops, to each its part."""
        units, day = goods
        onwards = self.world.after(site)
        parts = [units]
        if len(onwards) > 1:
            deck = Stream(self.seed, *_allotment(site, day, product)).shuffled(units)
            parts = [
                sorted(deck[n :: len(onwards)], key=lambda one: one.tag.epc)
                for n in range(len(onwards))
            ]
        for to, own in zip(onwards, parts, strict=True):
            if own:
                pallets, ready_us = self.palletise(site, product, own, ready_us)
                self.carry(pallets, (site, to), product, (own, day), ready_us)

    def carry(
        self,
        pallets: Sequence[Tag],
        leg: tuple[Site, Site],
        product: ProductTable,
        goods: tuple[list[Unit], int],
        ready_us: int,
    ) -> None:
        """Bring pallets to the next site, and what is in them to where it goes from there."""
        (site, _), (_, day) = leg, goods
        leaving_us = max(ready_us, self.maker.at(day, "dispatch"))
        if site.role != "plant":
            leaving_us = max(ready_us + 20 * MINUTE_US, self.maker.at(day + 1, "deliver"))
        to = self.deceit.destination(leg, pallets, leaving_us)
        there_us = self.haul(pallets, leg, product, leaving_us, to)
        there_us = self.store(to, pallets, there_us)
        if to.role == "shop":
            self.shelve(to, pallets, there_us, day)
        elif self.world.splits(to):
            for pallet in pallets:
                there_us = self.break_up(to, pallet, there_us + 5 * MINUTE_US)
            self.send_on(to, product, goods, there_us + 30 * MINUTE_US)
        else:
            (onward,) = self.world.after(to)
            self.carry(pallets, (to, onward), product, goods, there_us + 30 * MINUTE_US)

    def palletise(
        self, site: Site, product: ProductTable, units: Sequence[Unit], ready_us: int
    ) -> tuple[list[Tag], int]:
        """Build pallets out of units at `site`; each pallet gets a new SSCC."""
        station, prefix = self.world.station(site, "palletise"), site.party.prefix
        most, pallets = product.cases_per_pallet, []
        for at in range(0, len(units), most):
            number = self.pallets_made.get(prefix, 0) + 1
            self.pallets_made[prefix] = number
            base = self.maker.run % 10 ** (17 - len(prefix) - 5) * _PALLETS
            tag = sscc_tag(prefix, base + number)
            own = [one.tag for one in units[at : at + most]]
            stream = Stream(self.seed, "pallet", prefix, number)
            crossing = bunch([tag, *own], SPREAD_US[station.profile], stream)
            ready_us = self.tell.cross(station, ready_us, crossing).end_us
            self.tell.nest(tag.epc, (one.epc for one in own), ready_us)
            pallets.append(tag)
        return pallets, ready_us

    def haul(
        self,
        pallets: Sequence[Tag],
        leg: tuple[Site, Site],
        product: ProductTable,
        ready_us: int,
        astray: Site | None = None,
    ) -> int:
        """Drive pallets from one site to the next, in as many trips as they need.

        They are loaded for the end of `leg`; `astray` is where they really go.
        """
        tell, (origin, meant) = self.tell, leg
        to = astray or meant
        dock = self.world.station(origin, "load", meant)
        door = self.world.station(to, "receive", origin=origin)
        arrived_us = placed_us = ready_us
        self.orders_made += 1
        order = f"PO-{self.maker.run:04d}-{self.orders_made}"
        notices: list[tuple[str, int, tuple[Epc, ...]]] = []
        for at in range(0, len(pallets), product.pallets_per_trailer):
            load = pallets[at : at + product.pallets_per_trailer]
            epcs = [one.epc for one in load]
            vehicles = self.world.vehicles.values()
            trailer, ready_us = tell.take_vehicle(vehicles, "trailer", ready_us)
            loading = tell.cross(dock, ready_us, row(load, _PALLET_STEP_US), docked=trailer)
            tell.nest(trailer.tag.epc, epcs, loading.end_us)
            tell.leave(epcs, loading.end_us)
            road_us = self.maker.road_us(origin, to, loading.number)
            emptying = tell.cross(
                door, loading.end_us + road_us, row(load, _PALLET_STEP_US), docked=trailer
            )
            tell.arrive(epcs, to, emptying.end_us, self.world.new_owner(origin, to))
            tell.empty(trailer.tag.epc, emptying.end_us)
            spans = ((loading.start_us, loading.end_us), (emptying.start_us, emptying.end_us))
            tell.drive(trailer, f"{origin.name}/{to.name}", *spans)
            arrived_us, ready_us = emptying.end_us, loading.end_us
            advice = f"DA{order.removeprefix('PO')}-{len(notices) + 1}"
            notices.append(
                (advice, self.advise(origin, order, advice, load, loading), tuple(epcs))
            )
        tell.story.orders.append(
            Order(
                id=order, seller=origin.party, buyer=meant.party, product=product.name,
                units=len(pallets),
                placed_us=placed_us - DAY_US, notices=tuple(notices),
            )
        )  # fmt: skip
        return arrived_us

    def advise(
        self, origin: Site, order: str, advice: str, load: Sequence[Tag], loading: Pass
    ) -> int:
        """Write a despatch advice at the desk of a site, if it has one; return when."""
        desk = self.world.find(origin, "despatch")
        sent_us = loading.end_us + 2 * MINUTE_US
        if desk is None:
            return sent_us
        body: dict[str, object] = {
            "type": "despatch", "order": order, "advice": advice,
            "epcs": [one.epc for one in load],
        }  # fmt: skip
        return self.tell.note(desk, sent_us, body)

    def store(self, site: Site, pallets: Sequence[Tag], ready_us: int) -> int:
        """Put pallets where they are stored, if `site` has such a place; return when done."""
        racks = self.world.find(site, "store")
        if racks is None:
            return ready_us
        crossing = row(pallets, _PALLET_STEP_US)
        return self.tell.cross(racks, ready_us + 5 * MINUTE_US, crossing).end_us

    def break_up(self, site: Site, pallet: Tag, ready_us: int) -> int:
        """Take a pallet apart at `site`; return when it is done."""
        station = self.world.station(site, "break")
        crossed = self.tell.cross(station, ready_us, [(pallet, 0)])
        self.tell.empty(pallet.epc, crossed.end_us)
        return crossed.end_us

    def open_up(
        self, site: Site, pallet: Tag, ready_us: int
    ) -> tuple[int, list[tuple[int, Tag]]]:
        """Take a pallet and its cases apart.

        Returns when the pallet is broken up, and each item with the time when it is out.
        """
        held = self.tell.contents(pallet.epc)
        there_us = self.break_up(site, pallet, ready_us)
        out = []
        for epc in held:
            unit, out_us = self.units[epc], there_us
            if unit.items[0] is not unit.tag:
                station = self.world.station(site, "open")
                opened = self.tell.cross(station, there_us + 2 * MINUTE_US, [(unit.tag, 0)])
                self.tell.empty(epc, opened.end_us)
                out_us = opened.end_us
            out += [(out_us, one) for one in unit.items]
        return there_us, out

    def shelve(self, shop: Site, pallets: Sequence[Tag], there_us: int, day: int) -> None:
        """Take pallets and cases apart in a shop, and put the items on its shelf."""
        for pallet in pallets:
            there_us, out = self.open_up(shop, pallet, there_us + 15 * MINUTE_US)
            self.shelf += [Shelved(out_us, shop, one, day) for out_us, one in out]

    def sell_all(self) -> None:
        """Sell what finds a buyer, each shop in order of time; the rest has its fate."""
        shops = self.world.of_role("shop")
        sales: dict[str, list[Sale]] = {shop.name: [] for shop in shops}
        shelved = {one.tag.epc: one for one in self.shelf}
        unsold: list[Shelved] = []
        for one in self.shelf:
            wanted_us = self.fate.wanted_us(one)
            if wanted_us is None:
                unsold.append(one)
            else:
                sales[one.shop.name].append(Sale(wanted_us, one.tag))
        sold: list[tuple[int, Shelved]] = []
        for shop in shops:
            till = self.world.station(shop, "sell")
            others = [one for name, own in sales.items() if name != shop.name for one in own]
            own = self.deceit.sales(till.name, sales[shop.name], others)
            for sale in sorted(own, key=lambda one: (one.wanted_us, one.tag.epc)):
                crossing = self.tell.cross(till, sale.wanted_us, [(sale.tag, 0)])
                self.deceit.crossed(sale, crossing)
                if sale.genuine:
                    sold += self._sell(shelved[sale.tag.epc], crossing.end_us)
        self.fate.bring_back(sold)
        self.fate.recall(unsold)

    def _sell(self, one: Shelved, sold_us: int) -> Sequence[tuple[int, Shelved]]:
        """Sell an item; return when it was sold if it will come back."""
        self.tell.sell(one.tag.epc, sold_us, self.fate.buyer)
        return [(sold_us, one)] if self.fate.returns(one) else ()


def _allotment(site: Site, day: int, product: ProductTable) -> tuple[str | int, ...]:
    return ("allot", site.name, product.name, day)


def _shares(total: int, parts: int) -> list[int]:
    return [total * (n + 1) // parts - total * n // parts for n in range(parts)]
