"""What an audit of a whole ledger has seen, for the report.

Pure: no I/O, no clock, no randomness.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from ledger.audit.events import EventCounts


@dataclass(slots=True, kw_only=True)
class LogSummary:
    """What an audit has seen; complete when it has ended."""

    origin: str = ""
    size: int = 0
    checkpoint_size: int = 0
    checkpoint_note: bytes = b""
    witnessed_size: int = 0
    witnesses: Sequence[str] = ()
    resumed_at: int = 0
    story_left_out: int = 0
    erasures_left_out: int = 0
    documents_left_out: bool = False
    documents_uncited: int = 0
    unread: int = 0
    signed_apart: bool = False
    """Whether what the log signed at most is kept where this audit did not look."""
    signed_size: int | None = None
    statements: Counter[str] = field(default_factory=Counter)
    keys: int = 0
    suspect_keys: list[str] = field(default_factory=list)
    signatures: int = 0
    unjudged: int = 0
    events: EventCounts = field(default_factory=EventCounts)

    @property
    def unsigned(self) -> int:
        """The number of entries after the newest signed checkpoint."""
        return self.size - self.checkpoint_size
