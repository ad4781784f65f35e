"""Finds all that is wrong with an event that cannot be read, not just the first of it.

`parse_event` stops at the first fault. Here what it complains about is taken out of a copy and
the rest read again, as an event of which parts are withheld, until nothing is left to complain
about or `FAULTS_MAX` are found. Pointers lead into the event as it came.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ledger.epcis.advice import check_event
from ledger.epcis.event import REQUIRED_FIELDS, read_event
from ledger.epcis.rules import Fault
from ledger.errors import ParseError

FAULTS_MAX = 20

_MEND = "write it as EPCIS 2.0 says"


def list_faults(raw: Mapping[str, object]) -> list[Fault]:
    """Return what is gravely wrong with `raw`, the first `FAULTS_MAX` faults."""
    rest = _Rest(raw)
    faults = {
        f"/{field}": Fault(f"/{field}", "is missing", "every EPCIS event has one")
        for field in REQUIRED_FIELDS
        if field not in raw
    }
    while len(faults) < FAULTS_MAX:
        try:
            event = read_event(rest.event, partial=True)
        except ParseError as error:
            fault = describe_error(error)
            place = rest.place_of(fault.pointer)
            _add(faults, [Fault(place, fault.why, fault.mend)])
            if not rest.take_out(fault.pointer):
                break
            continue
        _add(faults, rest.judge(check_event(event)))
        break
    return list(faults.values())[:FAULTS_MAX]


def describe_error(error: ParseError) -> Fault:
    """Return a refusal as a fault; its reason says how to mend it after the semicolon."""
    why, _, mend = error.why.partition("; ")
    where = error.where if error.where.startswith("/") else ""
    if not where and error.where != "event":
        why = f"{error.where} {why}"
    return Fault(where, why, mend or _MEND)


def _add(faults: dict[str, Fault], found: Iterable[Fault]) -> None:
    for fault in found:
        faults.setdefault(fault.pointer, fault)


class _Rest:
    """What is left of an event, and which items of its lists were taken out."""

    def __init__(self, raw: Mapping[str, object]) -> None:
        self.event: dict[str, Any] = dict(raw)
        self._gone: dict[str, list[int]] = {}  # list (pointer as left) → original indexes
        self._places: set[str] = set()  # what was taken out, and all that it was in
        self._records: set[str] = set()  # records that miss a field now

    def judge(self, found: Iterable[Fault]) -> list[Fault]:
        """Return the grave faults of what is left, but for what only the taking out made."""
        moved = [Fault(self.place_of(f.pointer), f.why, f.mend) for f in found if f.grave]
        return [
            one
            for one in moved
            if one.pointer not in self._places
            and one.pointer.rpartition("/")[0] not in self._records
        ]

    def place_of(self, pointer: str) -> str:
        """Return the place in the event as it came that `pointer` leads to in the rest."""
        base = place = ""
        for token in pointer.split("/")[1:]:
            index = token
            if base in self._gone:
                index = str(_original(int(token), self._gone[base]))
            base, place = f"{base}/{token}", f"{place}/{index}"
        return place

    def take_out(self, pointer: str) -> bool:
        """Take out what is at `pointer`, or the record that misses it; False: nothing is."""
        tokens = [one.replace("~1", "/").replace("~0", "~") for one in pointer.split("/")[1:]]
        holder: Any = self.event
        path: list[tuple[Any, Any]] = []  # holder and key, from the event down
        for token in tokens:
            key: Any = int(token) if isinstance(holder, list) else token
            if isinstance(holder, dict) and key not in holder:
                break
            path.append((holder, key))
            holder[key] = _copy(holder[key])
            holder = holder[key]
            if not isinstance(holder, dict | list):
                break
        if not path:
            return False
        holder, key = path[-1]
        names = self.place_of("/".join(pointer.split("/")[: len(path) + 1])).split("/")
        self._places.update("/".join(names[:n]) for n in range(2, len(names) + 1))
        if isinstance(holder, dict) and len(path) > 1:
            self._records.add("/".join(names[:-1]))
        if isinstance(holder, list):
            base = "".join(f"/{one}" for one in pointer.split("/")[1 : len(path)])
            gone = self._gone.setdefault(base, [])
            gone.append(_original(key, gone))
            gone.sort()
        del holder[key]
        return True


def _copy(value: object) -> object:
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list) else value


def _original(index: int, gone: Iterable[int]) -> int:
    """Return the index that an item had before the items `gone` (ascending) were taken out."""
    for one in gone:
        if one <= index:
            index += 1
    return index
