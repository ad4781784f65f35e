"""Payloads: a story's signals as the messages that its devices send.

Readers are in `device_sim.readers`, loggers in `device_sim.loggers`, what signs for itself
in `device_sim.signing`; here are the line controllers: `line.lot`, `line.empty`,
`line.batch` (docs/reference/line-messages.md).

Pure: no I/O, no clock, no randomness.
"""

import json

from device_sim.world import Message, Note, format_time


def note_message(note: Note) -> Message:
    """Return what a line controller publishes for one note."""
    kind = note.body["type"]
    body = {"type": kind, "time": format_time(note.time_us), **dict(note.body)}
    payload = json.dumps(body, separators=(",", ":")).encode()
    return Message(note.time_us, f"{note.station.topic}/line", payload)
