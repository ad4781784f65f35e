"""Who has a thing and who owns it, replayed over its events as plain JSON, one role at a time.

It shares no code with `ledger`: what the rules say is read here a second time.
"""

from collections.abc import Iterable, Iterator
from typing import Any

Raw = dict[str, Any]

GOING = {
    "shipping", "departing", "consigning", "transporting", "staging_outbound", "loading",
    "picking", "reserving",
}  # fmt: skip
COMING = {"receiving", "arriving", "accepting", "unloading"}
TYPES = {"owner": "owning_party", "possessor": "possessing_party"}
SALES = {"retail_selling", "dispensing"}
SHELF = {"returned", "sellable_accessible", "sellable_not_accessible"}


def party(key: str) -> str:
    """Return the party that a location stands for."""
    if "/414/" not in key:
        return key
    return key.partition("/254/")[0].replace("/414/", "/417/")


def named(raw: Raw, list_name: str, one: str, role: str) -> list[str]:
    rows = raw.get(list_name, [])
    return [party(row[one]) for row in rows if row["type"] == TYPES[role]]


class Hand:
    """One role of one thing: who, whether it is on its way to somebody, and come there."""

    def __init__(self, role: str) -> None:
        self.role = role
        self.who: str | None = None
        self.meant: list[str] | None = None
        self.come = False

    def give(self, raw: Raw) -> None:
        """Take whoever gives as the one who had it before."""
        givers = named(raw, "sourceList", "source", self.role)
        if givers and self.who not in givers and raw.get("bizStep") != "void_shipping":
            self.meant = None if self.who is not None else self.meant
            self.who = givers[0]

    def moves(self, raw: Raw) -> bool:
        """Tell whether it says who has the thing and nothing of who owns it."""
        ends = (("sourceList", "source"), ("destinationList", "destination"))
        return self.role == "owner" and any(named(raw, *one, "possessor") for one in ends)

    def take(self, raw: Raw, iss: str, has_it: str | None) -> None:
        """Take one event; `has_it` is who had the thing before it."""
        word = raw.get("bizStep")
        givers = named(raw, "sourceList", "source", self.role)
        takers = named(raw, "destinationList", "destination", self.role)
        if word == "void_shipping":
            self.meant = None
            return
        if word in GOING:
            if takers and not (not givers and self.who in takers):
                self.meant = takers
            self.come = False
        elif takers:
            self.who, self.meant, self.come = takers[0], None, True
        elif word in COMING and not self.come:
            if self.meant is not None and iss in self.meant:
                self.who, self.meant, self.come = iss, None, True
            elif iss not in (has_it, self.who) and not self.moves(raw):
                self.who = None


def hands(events: Iterable[tuple[Raw, str]], origin: Raw | None) -> dict[str, str | None]:
    """Return owner and possessor after `events`, each with who signed it, in order."""
    owner, possessor = Hand("owner"), Hand("possessor")
    for raw, iss in events:
        if raw is origin:
            possessor.who, possessor.meant = iss, None
        for hand in (possessor, owner):
            hand.give(raw)
        had = possessor.who
        for hand in (possessor, owner):
            hand.take(raw, iss, had)
    return {"owner": owner.who, "possessor": possessor.who}


def born(raw: Raw) -> bool:
    return raw["type"] == "ObjectEvent" and raw.get("action") == "ADD"


def sold_twice(events: Iterable[Raw], key: str) -> Iterator[tuple[Raw, Raw]]:
    """Yield each two sales of `key` between which nothing brings it back."""
    last: Raw | None = None
    for raw in events:
        if key not in raw.get("epcList", []):
            continue
        word, kept = raw.get("bizStep"), raw.get("disposition")
        if word in SALES and kept != "partially_dispensed":
            if last is not None and last != raw:
                yield last, raw
            last = raw
        elif word in COMING or raw.get("destinationList") or kept in SHELF or born(raw):
            last = None
