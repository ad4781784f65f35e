"""How a sender wants faults to be treated: what is captured beside them, and what counts.

rollback   one fault and nothing of the document is captured (EPCIS 2.0, the default)
proceed    what has no fault is captured, the faults are listed
strict     a remark counts as a fault (RFC 7240: `Prefer: handling=strict`)
"""

from dataclasses import dataclass
from typing import Literal

from ledger.errors import ParseError

Behaviour = Literal["rollback", "proceed"]
BEHAVIOURS: tuple[Behaviour, ...] = ("rollback", "proceed")

_STRICT = "strict"


@dataclass(frozen=True, slots=True)
class Handling:
    """What is done about faults; as text `rollback` or `proceed strict`."""

    behaviour: Behaviour = "rollback"
    strict: bool = False

    def __str__(self) -> str:
        return f"{self.behaviour} {_STRICT}" if self.strict else self.behaviour


def parse_handling(text: str) -> Handling:
    """Return the handling that a text says; `ParseError` for any other."""
    name, _, rest = text.partition(" ")
    for behaviour in BEHAVIOURS:
        if name == behaviour and rest in ("", _STRICT):
            return Handling(behaviour, bool(rest))
    raise ParseError("behaviour", f"{text[:40]!r} is none of {', '.join(BEHAVIOURS)}")
