"""Which checks an audit makes, and of how many statements.

    1-7        entries, tiles, roots, signatures of the log: nothing inside the statements
    1-11,13    what is asked for by number; 1 to 5 are made always
    sample N   signatures and events of one statement in N, drawn by a seed that is printed

Checks 8 to 15 come in groups that need the same work: 9, 10 and 12 are one fold of all
statements. A group is made if any of its numbers is asked for, and what it finds is
reported, asked for or not.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from ledger.audit.finding import CHECKS
from ledger.errors import ParseError

ALL_CHECKS: Final = frozenset(CHECKS)
ALWAYS: Final = frozenset({1, 2, 3, 4, 5})
OF_STATEMENTS: Final = frozenset({8, 9, 10, 11, 12, 13, 14, 15})
ON_REQUEST: Final = frozenset({14, 15})
SAMPLE_MAX: Final = 1_000_000

_RANGE: Final = re.compile(r"([0-9]{1,2})(?:-([0-9]{1,2}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The numbers of the checks that are asked for, and the share that is sampled."""

    checks: AbstractSet[int] = ALL_CHECKS - ON_REQUEST
    sample: int = 1
    seed: bytes = b""

    @property
    def statements(self) -> bool:
        """Whether anything inside the statements is looked at."""
        return bool(self.checks & OF_STATEMENTS)

    def wants(self, *numbers: int) -> bool:
        """Tell whether any of these checks is asked for."""
        return not self.checks.isdisjoint(numbers)

    def draws(self, index: int) -> bool:
        """Tell whether the statement in entry `index` is in the sample."""
        if self.sample == 1:
            return True
        drawn = sha256(self.seed + index.to_bytes(8, "big")).digest()[:8]
        return int.from_bytes(drawn, "big") % self.sample == 0


def parse_checks(text: str) -> frozenset[int]:
    """Return the numbers that a list such as `1-7,11` names, with those made always.

    Raises `ParseError` for another spelling and for a number that is no check.
    """
    numbers: set[int] = set(ALWAYS)
    for item in text.split(","):
        match = _RANGE.fullmatch(item.strip())
        if match is None:
            raise ParseError("checks", f"{item[:40]!r} is no number and no range such as 1-7")
        first, last = int(match[1]), int(match[2] or match[1])
        if first not in CHECKS or last not in CHECKS or last < first:
            raise ParseError("checks", f"{item[:40]!r}: the checks are 1 to {max(CHECKS)}")
        numbers.update(range(first, last + 1))
    return frozenset(numbers)
