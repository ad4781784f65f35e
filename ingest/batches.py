"""The batches of a line: those that are open, and those that are over but may get late outputs.

A reader that was offline sends its reads when the line has long said that the batch is over,
and its transformation is made. Its outputs are the batch's all the same: it opens again for
them, and they go into a further event under its transformationID, which EPCIS 2.0 section
7.4.6 has for this. Where no event was made yet, for want of an output, the inputs go with them.
A batch without a transformationID whose event is made can take no more.

It may as well be the line that was offline: outputs that came by while no batch was open are
kept, the last `HOMELESS_MAX` of them, until a batch of their time ends.

A batch of hours would grow with each output, and is written with each commit. One that has a
transformationID says what it has once that is `OUTPUTS_MAX` outputs or stands on `MESSAGES_MAX`
messages, in a further event likewise, and goes on with a digest of each.

The last `OVER_MAX` batches are kept for this, and of their outputs a digest each, so that a
tag which was heard twice is an output once.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

from ingest.reads import Quantity

OVER_MAX = 32
HOMELESS_MAX = 2_000
OUTPUTS_MAX = 10_000
MESSAGES_MAX = 50_000
_DIGEST_SIZE = 8


@dataclass(slots=True)
class OpenBatch:
    """A batch that began; `received_us` is when the gateway last heard the line about it.

    One that opened `again` is over, and gathers outputs that came late.
    """

    batch: str
    transformation_id: str | None
    inputs: tuple[Quantity, ...]
    lot: str | None
    start_us: int
    received_us: int
    end_us: int | None = None
    untimed: int = 0
    outputs: dict[str, int] = field(default_factory=dict)
    messages: list[bytes] = field(default_factory=list)
    given: bytes = b""
    again: bool = False


@dataclass(slots=True)
class OverBatch:
    """A batch that is over; `inputs` are those that no event says, `given` its outputs."""

    batch: str
    transformation_id: str | None
    inputs: tuple[Quantity, ...]
    lot: str | None
    start_us: int
    end_us: int
    is_told: bool
    messages: list[bytes]
    given: bytes


@dataclass(frozen=True, slots=True)
class Homeless:
    """An output of which nobody knows the batch yet, and the message that tells of it."""

    epc: str
    at_us: int
    message: bytes


def keep_homeless(homeless: list[Homeless], epc: str, at_us: int, message: bytes) -> None:
    """Keep an output that came by while no batch was open."""
    homeless.append(Homeless(epc, at_us, message))
    del homeless[:-HOMELESS_MAX]


def adopt_homeless(homeless: list[Homeless], one: OpenBatch) -> None:
    """Give a batch that ended the outputs of its time that waited for it."""
    assert one.end_us is not None
    mine = [each for each in homeless if one.start_us <= each.at_us <= one.end_us]
    for each in mine:
        add_output(one, each.epc, each.at_us)
        if each.message not in one.messages[-len(mine) :]:
            one.messages.append(each.message)
    homeless[:] = [each for each in homeless if not one.start_us <= each.at_us <= one.end_us]


def batch_at(batches: list[OpenBatch], at_us: int) -> OpenBatch | None:
    """Return the newest batch in whose time `at_us` lies; a batch includes its end."""
    for one in reversed(batches):
        if one.start_us <= at_us and (one.end_us is None or at_us <= one.end_us):
            return one
    return None


def add_output(one: OpenBatch, epc: str, at_us: int) -> bool:
    """Add an output to its batch, unless an event says it already; return whether it is new."""
    if epc in one.outputs or (one.given and _digest(epc) in _digests(one.given)):
        return False
    one.outputs[epc] = at_us
    return True


def is_full(one: OpenBatch) -> bool:
    """Return whether the batch is to say what it has, so that it stays bounded."""
    if one.transformation_id is None:
        return False
    return len(one.outputs) >= OUTPUTS_MAX or len(one.messages) >= MESSAGES_MAX


def go_on(one: OpenBatch) -> None:
    """Go on with a batch of which an event now says what it had."""
    one.given += b"".join(map(_digest, one.outputs))
    one.inputs, one.outputs, one.messages, one.untimed = (), {}, [], 0


def keep_over(over: list[OverBatch], one: OpenBatch, *, is_told: bool) -> None:
    """Remember a batch of which an event was made now, or none for want of an output."""
    assert one.end_us is not None
    over.append(
        OverBatch(
            batch=one.batch,
            transformation_id=one.transformation_id,
            inputs=() if is_told else one.inputs,
            lot=one.lot,
            start_us=one.start_us,
            end_us=one.end_us,
            is_told=is_told,
            messages=[] if is_told else one.messages,
            given=one.given + b"".join(map(_digest, one.outputs)),
        )
    )
    del over[:-OVER_MAX]


def open_again(
    open_ones: list[OpenBatch], over: list[OverBatch], at_us: int, received_us: int
) -> OpenBatch | None:
    """Open the newest batch that was over by `at_us` and can take more; None if none can."""
    for n in range(len(over) - 1, -1, -1):
        one = over[n]
        if not one.start_us <= at_us <= one.end_us:
            continue
        if one.is_told and one.transformation_id is None:
            return None
        del over[n]
        opened = OpenBatch(
            batch=one.batch,
            transformation_id=one.transformation_id,
            inputs=one.inputs,
            lot=one.lot,
            start_us=one.start_us,
            received_us=received_us,
            end_us=one.end_us,
            messages=list(one.messages),
            given=one.given,
            again=True,
        )
        open_ones.insert(0, opened)
        return opened
    return None


def _digest(epc: str) -> bytes:
    return sha256(epc.encode()).digest()[:_DIGEST_SIZE]


@lru_cache(maxsize=2)  # it is asked for each output, and changes when the batch opens
def _digests(given: bytes) -> frozenset[bytes]:
    return frozenset(given[at : at + _DIGEST_SIZE] for at in range(0, len(given), _DIGEST_SIZE))
