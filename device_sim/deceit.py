"""Deceit: what goes wrong with the goods themselves, by intent.

* `clone`: `count` items that were sold elsewhere are sold again at a till: another article
  wears the same EPC on another chip
* `fakes`: `count` items that nobody made are sold at a till, with serials that look right
* `tag_swap`: two items on a shelf have changed labels; no reader can know
* `diversion`: what is loaded for one site on a leg's `trip` is brought to another one

The truth about an item is about the article that its maker gave the EPC to.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from device_sim.chance import Stream
from device_sim.faults import FaultBook
from device_sim.scenario import FaultTable, Scenario
from device_sim.tags import Tag, item_tag, worn
from device_sim.world import DAY_US, HOUR_US, Pass, Site, World

_FAKE_SERIALS = 77_000_000_000


@dataclass(frozen=True, slots=True)
class Sale:
    """A tag that is to cross a till; `fault` is the one it belongs to, if any."""

    wanted_us: int
    tag: Tag
    fault: int | None = None
    genuine: bool = True


class Deceit:
    """Who cheats, where: asked by the chain at each place where it may happen."""

    def __init__(self, scenario: Scenario, world: World, seed: int, book: FaultBook) -> None:
        self.scenario = scenario
        self.world = world
        self.seed = seed
        self.book = book
        self._trips: dict[str, int] = {}

    def destination(self, leg: tuple[Site, Site], pallets: Sequence[Tag], now_us: int) -> Site:
        """Return where a load really goes that is meant to go along `leg`."""
        name = f"{leg[0].name}/{leg[1].name}"
        trip = self._trips.get(name, 0)
        self._trips[name] = trip + 1
        for number, fault in enumerate(self.scenario.fault):
            if fault.kind == "diversion" and (fault.leg, fault.trip) == (name, trip):
                span = (now_us, now_us + DAY_US)
                self.book.label(number, fault, span, (one.epc for one in pallets))
                return self.world.sites[fault.to or ""]
        return leg[1]

    def sales(self, till: str, sales: list[Sale], sold: Sequence[Sale]) -> list[Sale]:
        """Return the sales of a till with what is not genuine; `sold` are all the others'."""
        made: list[Sale] = []
        for number, fault in enumerate(self.scenario.fault):
            if fault.station == till and sales:
                last_us = max(one.wanted_us for one in sales)
                match fault.kind:
                    case "clone":
                        made += self._clones(number, fault, [*sold, *sales], last_us)
                    case "fakes":
                        made += self._fakes(number, fault, last_us)
                    case "tag_swap":
                        pair = Stream(self.seed, "swap", number).shuffled(sales)[:2]
                        sales = [
                            replace(one, fault=number) if one in pair else one for one in sales
                        ]
                    case _:  # it is the reader's
                        continue
        return [*sales, *made]

    def crossed(self, sale: Sale, crossing: Pass) -> None:
        """Note in which pass something that a fault touched crossed a till."""
        if sale.fault is not None:
            fault = self.scenario.fault[sale.fault]
            span = (crossing.start_us, crossing.end_us)
            self.book.label(sale.fault, fault, span, [sale.tag.epc])
            self.book.mark(sale.fault, crossing)

    def _clones(
        self, number: int, fault: FaultTable, sold: Sequence[Sale], last_us: int
    ) -> list[Sale]:
        stream = Stream(self.seed, "clone", number)
        genuine = [one for one in sold if one.genuine]
        return [
            _false(last_us, n, worn(one.tag.epc, f"clone {number}"), number)
            for n, one in enumerate(stream.shuffled(genuine)[: fault.count])
        ]

    def _fakes(self, number: int, fault: FaultTable, last_us: int) -> list[Sale]:
        product = self.scenario.finals[0]
        prefix = self.world.sites[product.made_at].party.prefix
        stream = Stream(self.seed, "fakes", number)
        return [
            _false(
                last_us,
                n,
                item_tag(prefix, product.item, serial, product.tag, "carton"),
                number,
            )
            for n, serial in enumerate(
                _FAKE_SERIALS + stream.below(10**9) for _ in range(fault.count)
            )
        ]


def _false(last_us: int, n: int, tag: Tag, number: int) -> Sale:
    """Return the sale of something false, after all that is genuine."""
    return Sale(last_us + (1 + n) * HOUR_US, tag, number, genuine=False)
