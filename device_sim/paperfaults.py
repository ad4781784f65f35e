"""Paper faults: what is wrong with what suppliers and line controllers write down.

* `late_document`, `lost_document`: what a source says of a lot comes `hours` later, or never
* `forged_document`: somebody says of the same lot that it was `share` times larger
* `collusion`: another supplier, `to`, says that a lot is its own, and so do the batches made
  of it; where the goods really came from, no paper says
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
from device_sim.signing import Signing
from device_sim.tags import lgtin
from device_sim.world import HOUR_US, MINUTE_US, Message, Note, World

FORGED_AFTER_US = 5 * MINUTE_US


class PaperFaults:
    """The line messages of a run, with the scenario's faults."""

    def __init__(
        self,
        scenario: Scenario,
        world: World,
        story: Story,
        book: FaultBook,
        signing: Signing,
    ) -> None:
        self.book = book
        self._world = world
        self._signing = signing
        self._lent: dict[str, tuple[int, FaultTable]] = {}
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
                    if fault.kind == "collusion":
                        self._lent[str(note.body["epcClass"])] = (number, fault)
                    else:
                        self._faults.setdefault(id(note), []).append((number, fault))

    def messages(self, note: Note) -> list[Message]:
        """Return what is sent because of one note."""
        if note.body["type"] == "despatch":
            return [self._signing.sign_note(note)]
        messages = [note_message(self._under_another_name(note))]
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

    def _under_another_name(self, note: Note) -> Note:
        """Return what is written of lots for which another supplier lends its name."""
        for epc in _lots(note.body):
            if epc in self._lent:
                number, fault = self._lent[epc]
                lender = self._world.sites[fault.to or ""]
                *_, reference, name = epc.split(".")
                false = lgtin(lender.party.prefix, reference, f"{name}C")
                span = (note.time_us, note.time_us)
                note = replace(note, body=_renamed(note.body, epc, false))
                if note.body["type"] == "line.lot":
                    note = replace(note, station=self._world.station(lender, "produce"))
                self.book.label(number, fault, span, [epc, false])
                self.book.touch(number, [note_message(note)])
        return note


def _renamed(body: Mapping[str, object], epc: str, false: str) -> dict[str, object]:
    """Return a note that names one lot in place of another."""
    changed = dict(body)
    inputs = changed.get("inputs")
    if isinstance(inputs, list):
        changed["inputs"] = [
            {**one, "epcClass": false if one["epcClass"] == epc else one["epcClass"]}
            for one in inputs
        ]
    else:
        changed["epcClass"] = false
    return changed


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
    return [str(body["epcClass"])] if "epcClass" in body else []
