"""What the doctor finds: how bad it is, of which part, what it saw, and what mends it."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, and whether it is well; `mend` is what to do where it is not."""

    level: Level
    part: str
    said: str
    mend: str = ""


def well(part: str, said: str) -> Finding:
    """Return that a part is well."""
    return Finding("ok", part, said)


def warning(part: str, said: str, mend: str) -> Finding:
    """Return that a part may lose something one day."""
    return Finding("warning", part, said, mend)


def fault(part: str, said: str, mend: str) -> Finding:
    """Return that a part does lose something, or stops the gateway."""
    return Finding("fault", part, said, mend)
