"""Fate: which items are sold, come back, are recalled or are destroyed, and when.

    shelf ──sold──> buyer ──return──> shelf again, and sold again
      │                        └──> destroyed
      └──recall──> destroyed

Everything is drawn for each item by itself, so one more item changes no other's fate.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass

from device_sim.chance import Stream
from device_sim.chronicle import Chronicle
from device_sim.scenario import Scenario
from device_sim.tags import Tag
from device_sim.world import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Party, Site, World

_OPENING = (9 * HOUR_US, 20 * HOUR_US)
_RECALL_AT = 10 * HOUR_US
_RECALL_NOTICE = 12 * HOUR_US  # what is to be recalled is no longer sold


@dataclass(frozen=True, slots=True)
class Shelved:
    """An item on the shelf of a shop: from when on, and on which day it was made."""

    from_us: int
    shop: Site
    tag: Tag
    day: int


class Fate:
    """What becomes of the items of a run once they are on a shelf."""

    def __init__(self, scenario: Scenario, world: World, seed: int, tell: Chronicle) -> None:
        self._scenario = scenario
        self._world = world
        self._seed = seed
        self._tell = tell

    @property
    def buyer(self) -> Party | None:
        """Who stands for all consumers, None where nobody does."""
        name = self._scenario.fate.buyers
        return None if name is None else self._world.parties[name]

    def wanted_us(self, one: Shelved) -> int | None:
        """Return when somebody wants to buy an item, None where nobody will."""
        day = self._scenario.day
        stream = Stream(self._seed, "sale", one.tag.epc)
        if stream.unit() >= day.sold:
            return None
        wanted_us = self._opening_us(one.from_us, stream.below(day.sale_days), stream)
        recalled_us = self._recalled_us(one)
        if recalled_us is not None and wanted_us > recalled_us - _RECALL_NOTICE:
            return None
        return wanted_us

    def returns(self, one: Shelved) -> bool:
        """Tell whether an item that is sold will come back."""
        share = self._scenario.fate.returned
        return Stream(self._seed, "return", one.tag.epc).unit() < share

    def bring_back(self, sold: list[tuple[int, Shelved]]) -> None:
        """Let items that were sold come back, and be sold again or destroyed."""
        again: list[tuple[int, Shelved]] = []
        for sold_us, one in sold:
            stream = Stream(self._seed, "come back", one.tag.epc)
            later_us = self._opening_us(
                sold_us, 1 + stream.below(self._scenario.fate.return_days), stream
            )
            again.append((later_us, one))
        bad: list[tuple[int, Shelved]] = []
        good: list[tuple[int, Shelved]] = []
        for wanted_us, one in sorted(again, key=_order):
            desk = self._world.station(one.shop, "return")
            back_us = self._tell.cross(desk, wanted_us, [(one.tag, 0)]).end_us
            self._tell.arrive([one.tag.epc], one.shop, back_us, one.shop.party)
            spoilt = Stream(self._seed, "spoilt", one.tag.epc).unit()
            recalled_us = self._recalled_us(one)
            is_bad = recalled_us is not None or spoilt < self._scenario.fate.destroyed
            (bad if is_bad else good).append((back_us, one))
        self._destroy(bad)
        for back_us, one in sorted(good, key=_order):
            till = self._world.station(one.shop, "sell")
            stream = Stream(self._seed, "sold again", one.tag.epc)
            wanted_us = self._opening_us(back_us, 1, stream)
            resold = self._tell.cross(till, wanted_us, [(one.tag, 0)])
            self._tell.sell(one.tag.epc, resold.end_us, self.buyer)

    def recall(self, unsold: list[Shelved]) -> None:
        """Take what is recalled off the shelves, and destroy it."""
        taken: list[tuple[int, Shelved]] = []
        for one in sorted(unsold, key=lambda one: (one.from_us, one.tag.epc)):
            recalled_us = self._recalled_us(one)
            if recalled_us is not None:
                hold = self._world.station(one.shop, "recall")
                from_us = max(recalled_us, one.from_us + 30 * MINUTE_US)
                taken.append((self._tell.cross(hold, from_us, [(one.tag, 0)]).end_us, one))
        self._destroy(taken)

    def _destroy(self, things: list[tuple[int, Shelved]]) -> None:
        for from_us, one in sorted(things, key=_order):
            press = self._world.station(one.shop, "destroy")
            done = self._tell.cross(press, from_us + HOUR_US, [(one.tag, 0)])
            self._tell.destroy(one.tag.epc, done.end_us)

    def _recalled_us(self, one: Shelved) -> int | None:
        """Return when an item is recalled, None where it never is."""
        fate = self._scenario.fate
        if fate.recalled is None or one.day != fate.recalled:
            return None
        day = fate.recalled + fate.recall_days
        return self._scenario.start_us + day * DAY_US + _RECALL_AT

    def _opening_us(self, from_us: int, days: int, stream: Stream) -> int:
        """Return a time within opening hours, `days` after another."""
        midnight_us = (from_us - self._scenario.start_us) // DAY_US * DAY_US
        first_us = self._scenario.start_us + midnight_us + days * DAY_US
        early_us = max(first_us + _OPENING[0], from_us + 30 * MINUTE_US)
        late_us = max(first_us + _OPENING[1], early_us + HOUR_US)
        return early_us + stream.below((late_us - early_us) // SECOND_US) * SECOND_US


def _order(entry: tuple[int, Shelved]) -> tuple[int, str]:
    return entry[0], entry[1].tag.epc
