"""How far upstream: the number of hand-overs between a thing's present and an event.

Tier 0 is whoever holds the asked item now; each hand-over of custody or of ownership on
the way back adds one, and a thing that went into another carries its count on, branch by
branch. Custody and ownership that pass between the same two parties count once. Where a
thing moved unseen and turned up with somebody else, one hand-over is counted, and the tiers
behind it are *at least* so far away.

Pure: no I/O, no clock, no randomness.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ledger.provenance.custody import Custody, Handover
from ledger.provenance.span import FIRST, Moment
from ledger.provenance.story import Story


@dataclass(slots=True)
class Tier:
    """What one party did at one distance from the asked item."""

    tier: int
    party: str
    items: set[str] = field(default_factory=set)
    events: set[tuple[int, int]] = field(default_factory=set)
    at_least: bool = False


@dataclass(slots=True)
class Distances:
    """Tells the tier of any moment in the life of any thing of a story."""

    base: dict[str, int]
    steps: Mapping[str, tuple[Moment, ...]]
    breaks: Mapping[str, tuple[Moment, ...]]
    unsure: set[str] = field(default_factory=set)
    """The things whose way to the asked item has a break."""
    _ordered: dict[str, list[Moment]] = field(default_factory=dict)
    """Steps and breaks of each thing in order, worked out when it is first asked for."""

    def tier_at(self, thing: str, moment: Moment) -> int:
        """Return the number of hand-overs after `moment`, on the way to the asked item."""
        steps = self._ordered.get(thing)
        if steps is None:
            steps = sorted({*self.steps.get(thing, ()), *self.breaks.get(thing, ())})
            self._ordered[thing] = steps
        return self.base.get(thing, 0) + len(steps) - bisect_right(steps, moment)

    def at_least(self, thing: str, moment: Moment) -> bool:
        """Tell whether there may have been more hand-overs than that."""
        breaks = self.breaks.get(thing)
        return thing in self.unsure or bool(breaks and breaks[-1] > moment)


def measure_distances(story: Story, custody: Mapping[str, Custody]) -> Distances:
    """Return the distances of all things of `story` from its root."""
    distances = Distances(
        {story.root: 0},
        {key: handover_steps(one.handovers) for key, one in custody.items()},
        {key: tuple(sorted(one.breaks)) for key, one in custody.items()},
    )
    for edge in story.inputs:
        output = story.things.get(edge.output)
        born = output.born if output is not None else FIRST
        at_birth = distances.tier_at(edge.output, born)
        known = distances.base.setdefault(edge.input, at_birth)
        if edge.input != story.root:
            distances.base[edge.input] = min(known, at_birth)
            if distances.at_least(edge.output, born):
                distances.unsure.add(edge.input)
    return distances


def handover_steps(handovers: Iterable[Handover]) -> tuple[Moment, ...]:
    """Return when a thing passed on, custody and ownership between the same two as one."""
    steps: list[Moment] = []
    pair: tuple[str | None, str] | None = None
    roles: set[str] = set()
    for one in handovers:
        if (one.giver, one.taker) == pair and one.role not in roles:
            roles.add(one.role)
            continue
        pair, roles = (one.giver, one.taker), {one.role}
        steps.append(one.moment)
    return tuple(steps)


def collect_tiers(
    story: Story, custody: Mapping[str, Custody], distances: Distances
) -> list[Tier]:
    """Return who did what, nearest first."""
    tiers: dict[tuple[int, str], Tier] = {}

    def tier(number: int, party: str) -> Tier:
        found = tiers.get((number, party))
        if found is None:
            found = tiers[number, party] = Tier(number, party)
        return found

    for key, thing in story.things.items():
        for told in thing.told.values():
            node = told.node
            row = tier(distances.tier_at(key, node.moment), node.pin.iss)
            row.items.add(key)
            row.events.add(node.name)
            row.at_least = row.at_least or distances.at_least(key, node.moment)
        for holding in custody[key].holdings if key in custody else ():
            moment = holding.start or holding.evidence[0].moment
            tier(distances.tier_at(key, moment), holding.party).items.add(key)
    return [tiers[key] for key in sorted(tiers)]
