"""Paper faults: what is wrong with what suppliers and line controllers write down.

* `late_document`, `lost_document`: what a source says of a lot comes `hours` later, or never
* `forged_document`: somebody says of the same lot that it was `share` times larger
* `mass_imbalance`: a batch claims `share` more of each lot than went into it, so that a
  blend passes for more certified goods than there were

Notes count from 0 at their site: the lots of a source, the batches of a plant.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from dataclasses import replace

from device_sim.chronicle import Story
from device_sim.faults import FaultBook
from device_sim.payloads import note_message
from device_sim.scenario import FaultTable, Scenario
from device_sim.world import HOUR_US, MINUTE_US, Message, Note

FORGED_AFTER_US = 5 * MINUTE_US


class PaperFaults:
    """The line messages of a run, with the scenario's faults."""

    def __init__(self, scenario: Scenario, story: Story, book: FaultBook) -> None:
        self.book = book
        self._faults: dict[int, list[tuple[int, FaultTable]]] = {}
        for number, fault in enumerate(scenario.fault):
            kind = "line.batch" if fault.kind == "mass_imbalance" else "line.lot"
            if fault.site is not None:
                own = [
                    one
                    for one in story.notes
                    if one.station.site.name == fault.site
                    and one.body["type"] == kind
                    and one.body.get("phase") != "end"
                ]
                for note in own[fault.number : fault.number + 1]:
                    self._faults.setdefault(id(note), []).append((number, fault))

    def messages(self, note: Note) -> list[Message]:
        """Return what is sent because of one note."""
        messages = [note_message(note)]
        for number, fault in self._faults.get(id(note), ()):
            span = (note.time_us, note.time_us)
            changed = messages
            match fault.kind:
                case "late_document":
                    late_us = fault.hours * HOUR_US
                    changed = [replace(one, time_us=one.time_us + late_us) for one in messages]
                    span = (note.time_us, note.time_us + late_us)
                case "lost_document":
                    changed = []
                case "forged_document":
                    forged = replace(note, body=_scaled(note.body, fault.share))
                    message = note_message(forged)
                    late = replace(message, time_us=message.time_us + FORGED_AFTER_US)
                    changed = [*messages, late]
                case "mass_imbalance":
                    more = replace(note, body=_scaled(note.body, 1 + fault.share))
                    changed = [note_message(more)]
                case _:
                    raise AssertionError("only faults of paper are kept")
            self.book.label(number, fault, span, _lots(note.body))
            self.book.touch(number, changed or messages)
            messages = changed
        return messages


def _scaled(body: Mapping[str, object], times: float) -> dict[str, object]:
    """Return a note with its quantities multiplied, to a tenth."""
    changed = dict(body)
    quantity, inputs = changed.get("quantity"), changed.get("inputs")
    if isinstance(quantity, float):
        changed["quantity"] = round(quantity * times, 1)
    if isinstance(inputs, list):
        changed["inputs"] = [
            {**one, "quantity": round(one["quantity"] * times, 1)} for one in inputs
        ]
    return changed


def _lots(body: Mapping[str, object]) -> list[str]:
    inputs = body.get("inputs")
    if isinstance(inputs, list):
        return [str(one["epcClass"]) for one in inputs]
    return [str(body["epcClass"])]
