"""What could be known: which tags were truly heard when, and which crossed unheard.

An answer may lack what nobody could know, and only that. So an excuse takes a label of the
truth at the very place: a read that was missed in the pass that made the difference.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator

from device_sim.facts import Crossing, Facts, Thing
from device_sim.spans import During

FOREVER_US = 1 << 62


class Knowable:
    """What a network that heard all but the labelled misses could know of one thing."""

    def __init__(self, facts: Facts, thing: Thing) -> None:
        self._facts = facts
        self._thing = thing
        self.holders: tuple[During, ...] = tuple(facts.containers(thing.key))
        self._around = (During(thing.key, 0, None), *self.holders)
        self._known = frozenset(self._known_holders())
        self.heard_us = max((one.to_us for one in self._heard()), default=thing.made_us)

    def is_unheard(self) -> bool:
        """Tell whether each read that names the thing itself was missed, or told of nothing."""
        key = self._thing.key
        crossed, missed = self._facts.crossed.get(key, ()), self._facts.missed.get(key, ())
        return bool(crossed) and all(
            one in missed or self._was_packed_unheard(key, one) for one in crossed
        )

    def was_missed(self, at_us: int, *others: str) -> bool:
        """Tell whether a read that tells of the thing at that time was missed.

        Such are reads of itself, of what it was in just then, and of `others`.
        """
        slack_us = self._facts.tolerance_us
        near = [one.what for one in self._around if one.meets(at_us, at_us, slack_us)]
        return self._unheard_at(at_us, *near, *others)

    def had_no_parts(self, at_us: int) -> bool:
        """Tell whether all that was put into the thing just then crossed unheard."""
        own = self._thing.key
        parts = [
            child
            for child, spans in self._facts.inside.items()
            if any(one.what == own and one.from_us == at_us for one in spans)
        ]
        return bool(parts) and all(self._unheard_at(at_us, one) for one in parts)

    def was_out_of_sight(self, at_us: int) -> bool:
        """Tell whether nobody could tell then where the thing was, or in what.

        A read was missed just then, or it was in something into which nobody heard it get.
        """
        slack_us = self._facts.tolerance_us
        unknown = (one for one in self.holders if one not in self._known)
        return self.was_missed(at_us) or any(
            one.meets(at_us, at_us, slack_us) for one in unknown
        )

    def _heard(self) -> Iterator[Crossing]:
        """Yield the passes in which the thing, or what it was known to be in, was heard."""
        for holder in (During(self._thing.key, 0, None), *self._known):
            missed = self._facts.missed.get(holder.what, ())
            for one in self._facts.crossed.get(holder.what, ()):
                mute = one in missed or self._was_packed_unheard(holder.what, one)
                if not mute and holder.meets(one.to_us, one.to_us, 0):
                    yield one

    def _was_packed_unheard(self, key: str, crossing: Crossing) -> bool:
        """Tell whether what a thing was packed into went unheard: then no event tells of it."""
        return any(
            one.from_us == crossing.to_us and crossing in self._facts.missed.get(one.what, ())
            for one in self._facts.inside.get(key, ())
        )

    def _known_holders(self) -> Iterator[During]:
        """Yield what the thing was in, at any depth, where it was heard that it got there."""
        pending = [During(self._thing.key, 0, None)]
        while pending:
            child = pending.pop()
            for one in self._facts.inside.get(child.what, ()):
                both = child.common(one)
                if both is not None and not self._unheard_at(one.from_us, child.what, one.what):
                    yield both
                    pending.append(both)

    def _unheard_at(self, at_us: int, *keys: str) -> bool:
        """Tell whether one of these crossed unheard at that time."""
        slack_us = self._facts.tolerance_us
        return any(
            one.from_us - slack_us <= at_us <= one.to_us + slack_us
            for key in keys
            for one in self._facts.missed.get(key, ())
        )
