"""Draws a provenance answer for people: a timeline with its tiers, and the gaps in it.

It reads the JSON of an answer (docs/reference/provenance.md), so that a folder and a
server look the same. Where it is no terminal it is plain text, a line for each fact.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Mapping[str, Any]

DOMAIN = "https://id.gs1.org/"
UNKNOWN = "unknown"
TEMPERATURE = "Temperature"
EVENTS_SHOWN_MAX = 400
ENTRIES_SHOWN_MAX = 4

_VIA = {
    "direct": "itself",
    "contained": "in",
    "associated": "bolted to",
    "located": "at",
    "transformed": "made from",
    "lot": "of lot",
}
_RELATIONS = {"aggregation": "contained", "association": "associated"}
_TIER_STYLES = ("green", "cyan", "blue", "magenta", "yellow")


def draw_answer(answer: Row, names: Mapping[str, str], console: Console) -> None:
    """Print `answer` with the names of parties and places where `names` has them."""
    drawing = _Drawing(answer, names, console)
    drawing.head()
    drawing.inputs()
    drawing.descendants()
    drawing.timeline()
    drawing.containment()
    drawing.custody()
    drawing.conditions()
    drawing.corrections()
    drawing.gaps()


class _Drawing:
    def __init__(self, answer: Row, names: Mapping[str, str], console: Console) -> None:
        self.answer = answer
        self.names = names
        self.console = console

    def head(self) -> None:
        answer, state = self.answer, self.answer["state"]
        as_of = answer["as_of"]
        self.console.print(Text(short(answer["epc"]), style="bold"))
        when = f"at {_when(as_of['time'])}" if as_of["time"] else "now"
        self._line("as of", f"{when}, known from {as_of['size']} entries")
        place = self._name(state["place"])
        self._line("place", f"{place} (in transit)" if state["in_transit"] else place)
        self._line("possessor", self._name(state["possessor"]))
        self._line("owner", self._name(state["owner"]))
        self._line("disposition", state["disposition"] or UNKNOWN)
        if state["persistent"]:
            self._line("marked", ", ".join(state["persistent"]))
        inside = " in ".join(short(one) for one in state["containers"])
        self._line("inside", inside or "nothing")
        if answer["truncated"]:
            self._line("cut", "the answer is longer than one answer may be")

    def inputs(self) -> None:
        rows = self.answer["derivation"]["inputs"]
        if not rows:
            return
        table = self._table("Made from")
        for row in rows:
            _add(
                table,
                _when(row["time"]),
                short(row["input"]),
                _amount(row),
                row["precision"],
                f"into {short(row['output'])}",
                _entries(row["entries"]),
            )
        self.console.print(table)

    def descendants(self) -> None:
        rows = self.answer.get("descendants", [])
        if not rows:
            return
        table = self._table("Went into")
        for row in rows[:EVENTS_SHOWN_MAX]:
            place = self._name(row["place"]) if row.get("place") else UNKNOWN
            way = " > ".join(short(one) for one in row["path"][1:-1])
            _add(table, row["certainty"], short(row["epc"]), way, place)
        self.console.print(table)
        if len(rows) > EVENTS_SHOWN_MAX:
            self.console.print(f"  … and {len(rows) - EVENTS_SHOWN_MAX} more (--json has all)")

    def timeline(self) -> None:
        table = self._table("Timeline")
        told = list(self._moments())
        for moment in told[:EVENTS_SHOWN_MAX]:
            _add(table, *moment)
        self.console.print(table)
        if len(told) > EVENTS_SHOWN_MAX:
            self.console.print(f"  … and {len(told) - EVENTS_SHOWN_MAX} more (--json has all)")

    def _moments(self) -> Iterator[tuple[Text | str, ...]]:
        """Yield the rows of events and of gaps with a time, in order of time."""
        gaps = [
            (one["from"] or one["to"], 1, (one, 1))
            for one in self.answer["gaps"]
            if one["from"] or one["to"]
        ]
        events = [(one["event_time"], 0, (one, n)) for one, n in self._runs()]
        for at, is_gap, (row, n) in sorted(events + gaps, key=lambda one: one[:2]):
            yield self._gap_moment(at, row) if is_gap else self._event_moment(at, row, n)

    def _runs(self) -> Iterator[tuple[Row, int]]:
        """Yield the first event of each run of like events, and how many they are."""
        for _, run in groupby(self.answer["events"], key=_likeness):
            first, *others = run
            yield first, 1 + len(others)

    def _event_moment(self, at: str, row: Row, n: int) -> tuple[Text | str, ...]:
        style = _TIER_STYLES[row["tier"] % len(_TIER_STYLES)]
        what = row["biz_step"] or row["type"].removesuffix("Event")
        flags = f" [{', '.join(row['flags'])}]" if row["flags"] else ""
        times = f" x{n}" if n > 1 else ""
        sure = " possibly" if row["precision"] == "possible" else ""
        return (
            _when(at),
            Text(f"tier {row['tier']}{'+' if row['tier_at_least'] else ''}", style=style),
            Text(self._name(row["party"]), style=style),
            f"{what}{flags}{times}",
            self._name(row["place"]) if row["place"] else "",
            self._way(row) + sure,
            f"entry {row['entry']}, grade {row['grade']}",
        )

    def _gap_moment(self, at: str, row: Row) -> tuple[Text | str, ...]:
        until = f"to {_when(row['to'])}" if row["from"] and row["to"] != row["from"] else ""
        return (
            _when(at),
            Text("gap", style="red"),
            Text(row["kind"].replace("_", " "), style="red"),
            Text(until if row["to"] or not row["from"] else "to this day", style="red"),
            "",
            Text(short(row["epc"]), style="red"),
            "",
        )

    def _way(self, row: Row) -> str:
        via = str(_VIA.get(row["via"], row["via"]))
        if row["via"] == "direct":
            return via
        return f"{via} {short(row['path'][-1])}"

    def containment(self) -> None:
        rows = self.answer["containment"]
        if not rows:
            return
        table = self._table("Inside")
        for row in rows:
            amount = _amount(row)
            flags = ", ".join(one.replace("_", " ") for one in row["flags"])
            _add(
                table,
                _when(row["from"]),
                self._end(row),
                f"{short(row['child'])} {amount}".strip(),
                f"{_VIA[_RELATIONS[row['kind']]]} {short(row['parent'])}",
                Text(flags, style="red"),
            )
        self.console.print(table)

    def custody(self) -> None:
        rows = self.answer["custody"]
        if not rows:
            return
        table = self._table("Custody")
        for row in rows:
            _add(
                table,
                _when(row["from"]),
                self._end(row),
                row["role"],
                self._name(row["party"]),
                short(row["epc"]),
                f"{row['basis']}, {_entries(row['evidence'])}",
            )
        self.console.print(table)

    def conditions(self) -> None:
        rows = self.answer["conditions"]
        if not rows:
            return
        table = self._table("Conditions")
        for row in rows:
            itself = row["epc"] == self.answer["epc"]
            if not itself and row["type"] != TEMPERATURE:
                continue
            unit = {"CEL": "°C"}.get(row["unit"], row["unit"] or "")
            span = f"{row['min']:.1f} to {row['max']:.1f} {unit}, mean {row['mean']:.1f}"
            _add(
                table,
                _when(row["first"]),
                _when(row["last"]),
                row["type"],
                span + (" (partly outside)" if row["partial"] else ""),
                f"{row['readings']} readings",
                f"{_VIA.get(row['via'], row['via'])} {self._name(row['container'])}",
                "" if itself else f"for {short(row['epc'])}",
            )
        self.console.print(table)

    def corrections(self) -> None:
        rows = self.answer["corrections"]
        if not rows:
            return
        table = self._table("Corrected")
        for row in rows:
            _add(
                table,
                _when(row["event_time"]),
                row["reason"] or UNKNOWN,
                f"declared wrong {_when(row['declared_at'])}",
                _entries(row["originals"]) or "its original is not here",
                f"in entry {row['declared_in'][0]}",
            )
        self.console.print(table)

    def gaps(self) -> None:
        rows = self.answer["gaps"]
        if not rows:
            self.console.print("\n[green]No gaps.[/green]")
            return
        table = self._table("Not known")
        for row in rows:
            between = " → ".join(self._name(one) for one in row["between"])
            _add(
                table,
                Text(row["kind"].replace("_", " "), style="red"),
                f"{_when(row['from'])} to {_when(row['to'])}",
                between,
                row["why"],
            )
        self.console.print(table)

    def _end(self, row: Row) -> str:
        """Return the end of a span; what went into the item was looked at up to then only."""
        itself = row["epc"] == self.answer["epc"]
        return _when(row["to"], "to this day" if itself else "to its use")

    def _line(self, name: str, value: str) -> None:
        self.console.print(Text(f"  {name:<12}{value}"))

    def _name(self, key: str | None) -> str:
        if key is None:
            return UNKNOWN
        return self.names.get(key, short(key))

    def _table(self, title: str) -> Table:
        self.console.print(Text(f"\n{title}", style="bold"))
        return Table(box=None, show_header=False, pad_edge=True, padding=(0, 1))


def _add(table: Table, *cells: Text | str) -> None:
    """Add a row; what came from outside is never read as markup."""
    table.add_row(*(Text(one) if isinstance(one, str) else one for one in cells))


def short(key: str) -> str:
    """Return a key without the domain that all keys share."""
    return key.removeprefix(DOMAIN)


def _likeness(row: Row) -> tuple[object, ...]:
    fields = ("biz_step", "type", "action", "tier", "party", "place", "via", "path", "flags")
    return tuple(str(row[one]) for one in fields)


def _when(text: str | None, otherwise: str = UNKNOWN) -> str:
    return otherwise if text is None else text[:19].replace("T", " ")


def _amount(row: Row) -> str:
    if row["quantity"] is None:
        return ""
    return f"{row['quantity']:g} {row['uom'] or 'pieces'}"


def _entries(pins: Iterable[tuple[int, int]]) -> str:
    entries = sorted({pin[0] for pin in pins})
    if not entries:
        return ""
    shown = ", ".join(str(one) for one in entries[:ENTRIES_SHOWN_MAX])
    more = len(entries) - ENTRIES_SHOWN_MAX
    return f"entry {shown}" + (f" +{more}" if more > 0 else "")
