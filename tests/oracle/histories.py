"""Seeded random histories: every kind of event, out of order, corrected, twice, re-used."""

from random import Random
from typing import Any

from tests.ledger.provenance.fakes import (
    AT_DAIRY,
    AT_STORE,
    DAIRY,
    FARM,
    STORE,
    ListSource,
    bolt,
    case,
    commission,
    item,
    lot,
    object_event,
    pack,
    pallet,
    party,
    quantity,
    receive,
    ship,
    trailer,
    transform,
    unpack,
)

Raw = dict[str, Any]

ITEMS = [item(n) for n in range(4)]
CASES = [case(n) for n in range(2)]
PALLETS = [pallet(n) for n in range(2)]
TRAILERS = [trailer(n) for n in range(2)]
LOTS = [lot(code) for code in "AB"]
LEVELS = (ITEMS, CASES, PALLETS, TRAILERS)
THINGS = [*ITEMS, *CASES, *PALLETS, *TRAILERS, *LOTS]
REASONS = ("did_not_occur", "incorrect_data")


def random_time(random: Random) -> str:
    """Return a time in March 2026, often one that another event has; or two years before."""
    year = "2024" if random.random() < 0.03 else "2026"
    day, hour = random.randint(1, 9), random.choice((6, 12, 18))
    minute = random.choice((0, 0, random.randint(0, 59)))
    return f"{year}-03-{day:02d}T{hour:02d}:{minute:02d}:00Z"


def random_event(random: Random) -> Raw:
    """Return one event of any kind."""
    made = _any_event(random)
    if random.random() < 0.3:
        made["eventID"] = f"urn:uuid:{random.getrandbits(128):032x}"
    return made


def _any_event(random: Random) -> Raw:  # noqa: PLR0911 - one for each kind
    at, draw = random_time(random), random.random()
    if draw < 0.38:
        return _packing(random, at)
    if draw < 0.50:
        return _handing_over(random, at)
    if draw < 0.55:
        keys = random.sample(LEVELS[random.randrange(4)], 1)
        fields = {"disposition": random.choice(("in_progress", "damaged", "active"))}
        return object_event(at, *keys, bizStep="holding", **fields)
    if draw < 0.63:
        ilmd = {"ilmd": {"cbvmda:lotNumber": "L1"}} if random.random() < 0.5 else {}
        return commission(at, random.choice(random.choice(LEVELS)), **ilmd)
    if draw < 0.70:
        return _of_lot(random, at)
    if draw < 0.85:
        return _making(random, at)
    if draw < 0.95:
        parent = random.choice(random.choice(LEVELS[1:]))
        children = random.sample(ITEMS, 1)
        return bolt(at, parent, *children, action=random.choice(("ADD", "ADD", "DELETE")))
    return object_event(at, random.choice(ITEMS), action="DELETE", bizStep="decommissioning")


def _packing(random: Random, at: str) -> Raw:
    level = random.randrange(3)
    upper = random.randrange(level + 1, 4) if random.random() < 0.9 else level
    parent = random.choice(LEVELS[upper])
    children = random.sample(LEVELS[level], random.randint(1, 2))
    match random.randrange(8):
        case 0 | 1 | 2 | 3:
            return pack(at, parent, *children)
        case 4 | 5:
            return unpack(at, parent, *children)
        case 6:
            return unpack(at, parent)
        case _:
            return pack(at, parent, *children, action="OBSERVE")


def _handing_over(random: Random, at: str) -> Raw:  # noqa: PLR0911 - one for each kind
    giver, taker = random.sample((DAIRY, FARM, STORE), 2)
    things = [random.choice(random.choice(LEVELS))]
    where = (
        {"bizLocation": random.choice((AT_DAIRY, AT_STORE))} if random.random() < 0.1 else {}
    )
    match random.randrange(12):
        case 0 | 1:
            return ship(at, *things, giver=giver, taker=taker, **where)
        case 2 | 3:
            return receive(at, *things, giver=giver, taker=taker, **where)
        case 4:
            return receive(at, *things, giver=giver, taker=taker, destinations=[])
        case 5:
            return receive(at, *things, giver=giver, taker=taker, sources=[])
        case 6:
            one = random.choice(("owner", "possessor"))
            step = random.choice(("receiving", "accepting", "other"))
            lists = {"sources": party(one, giver), "destinations": party(one, taker)}
            return object_event(at, *things, bizStep=step, **lists, **where)
        case 7 | 8:
            step = random.choice(("unloading", "receiving", "arriving", "departing", "loading"))
            return object_event(at, *things, bizStep=step, **where)
        case 9:
            return object_event(at, *things, bizStep="void_shipping")
        case 10:
            back = {"disposition": "returned"} if random.random() < 0.2 else {}
            return object_event(at, random.choice(ITEMS), bizStep="retail_selling", **back)
        case _:
            return unpack(at, random.choice(TRAILERS), bizStep="unloading")


def _of_lot(random: Random, at: str) -> Raw:
    amount, unit = random.choice(((5, "KGM"), (10, "KGM"), (4000, "GRM"), (7, "LTR")))
    rows = [quantity(random.choice(LOTS), amount, unit)]
    match random.randrange(3):
        case 0:
            return commission(at, quantityList=rows)
        case 1:
            return pack(at, random.choice(TRAILERS), childQuantityList=rows)
        case _:
            return unpack(at, random.choice(TRAILERS), childQuantityList=rows)


def _making(random: Random, at: str) -> Raw:
    used: list[object] = list(random.sample(ITEMS, random.randint(0, 1)))
    used += [(one, 5) for one in random.sample(LOTS, random.randint(0, 1))]
    made: list[object] = list(random.sample(ITEMS, random.randint(0, 2)))
    made += [(one, 5) for one in random.sample(LOTS, random.randint(0, 1))]
    if not used and not made:
        used = [ITEMS[0]]
    named = {"transformationID": f"urn:x:t{random.randrange(3)}"}
    fields = named if random.random() < 0.5 or not (used and made) else {}
    return transform(at, used, made, **fields)


def random_source(random: Random, events: int) -> ListSource:
    """Return a log of about so many events."""
    source, told = ListSource(), []
    while len(told) < events:
        batch = [random_event(random) for _ in range(random.choice((1, 1, 1, 2, 3)))]
        if told and random.random() < 0.15:
            wrong = dict(random.choice(told))
            draw = random.random()
            if draw < 0.5:
                wrong["errorDeclaration"] = {
                    "declarationTime": "2026-04-01T00:00:00Z",
                    "reason": random.choice(REASONS),
                }
            batch = [wrong]  # A declaration, or the same event delivered again.
        told += [one for one in batch if "errorDeclaration" not in one]
        source.capture(*batch, iss=random.choice((DAIRY, DAIRY, FARM, STORE)))
    return source
