"""Chance: the numbers that are drawn for each entity, by counter and never in sequence.

The n-th number of an entity is a piece of a hash over the seed, the name of the entity
and n. So a new reader changes nobody else's numbers, and one seed gives the same bytes on
every platform, in every process, in any order and with any number of workers.

`Stream` draws one number after another (SHA-256, four numbers a block). `draw_bytes`
draws all that one entity ever needs in a single call (SHAKE128), which is what makes
hundreds of thousands of reads a second possible.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Sequence
from hashlib import sha256, shake_128
from itertools import pairwise
from typing import TypeVar

Quantiles = Sequence[tuple[float, float]]
Element = TypeVar("Element")

_WORD_BITS = 64
_UNIT = 2.0**-53


class Stream:
    """The numbers that chance draws for one entity, in order, by counter."""

    __slots__ = ("_block", "_key", "_words")

    def __init__(self, seed: int, *names: str | int) -> None:
        self._key = sha256(_name(seed, names))
        self._block = 0
        self._words: list[int] = []

    def word(self) -> int:
        """Return the next 64 bits as an unsigned integer."""
        if not self._words:
            hasher = self._key.copy()
            hasher.update(self._block.to_bytes(8, "big"))
            self._block += 1
            digest = hasher.digest()
            self._words = [int.from_bytes(digest[at : at + 8], "big") for at in (24, 16, 8, 0)]
        return self._words.pop()

    def unit(self) -> float:
        """Return a number in [0, 1), every multiple of 2**-53 equally likely."""
        return (self.word() >> 11) * _UNIT

    def below(self, bound: int) -> int:
        """Return an integer in 0..bound-1; `bound` is at least 1."""
        return self.word() * bound >> _WORD_BITS

    def between(self, low: int, high: int) -> int:
        """Return an integer in low..high, both included."""
        return low + self.below(high - low + 1)

    def noise(self) -> float:
        """Return a bell-shaped number, mean 0 and deviation 1, always within -6..6.

        It is the sum of twelve uniform numbers less 6: additions only, so no platform's
        mathematical library can change a bit of it.
        """
        return sum(self.unit() for _ in range(12)) - 6.0

    def quantile(self, table: Quantiles) -> float:
        """Return a number whose distribution is the piecewise linear inverse `table`."""
        return value_at(table, self.unit())

    def shuffled(self, elements: Sequence[Element]) -> list[Element]:
        """Return `elements` in a random order (Fisher and Yates)."""
        deck = list(elements)
        for last in range(len(deck) - 1, 0, -1):
            other = self.below(last + 1)
            deck[last], deck[other] = deck[other], deck[last]
        return deck


def draw_bytes(count: int, seed: int, *names: str | int) -> bytes:
    """Return the first `count` random bytes of one entity; more bytes begin with fewer."""
    return shake_128(_name(seed, names)).digest(count)


def value_at(table: Quantiles, share: float) -> float:
    """Return the value below which `share` of a distribution lies.

    `table` lists (share, value) with shares rising from 0 to 1, linear in between.
    """
    for (low, start), (high, end) in pairwise(table):
        if share < high:
            return start + (end - start) * ((share - low) / (high - low))
    return table[-1][1]


def ladder(table: Quantiles, size: int, scale: int) -> tuple[int, ...]:
    """Return `size` equally likely values of a distribution, times `scale`, rounded down."""
    return tuple(int(value_at(table, (n + 0.5) / size) * scale) for n in range(size))


def _name(seed: int, names: Sequence[str | int]) -> bytes:
    text = "\n".join(map(str, names))
    return f"tagtrail/sim/v1\n{seed}\n{text}\n".encode()
