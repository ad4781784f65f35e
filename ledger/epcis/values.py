"""What an EPCIS event says, as values: identities are keys, words are bare, times are instants.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

QuantityRole = Literal["quantity", "child", "input", "output"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """So much of one class: EPCIS 2.0 section 7.3.3.3."""

    role: QuantityRole
    epc_class: str  # key
    quantity: Decimal | None  # None: some, unknown how much
    uom: str | None  # UN/ECE Recommendation 20; None: pieces


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One sensor reading or aggregate of readings: EPCIS 2.0 section 7.3.7.2."""

    type: str  # bare word of GS1's vocabulary, or a URI
    value: Decimal | None = None
    uom: str | None = None
    min: Decimal | None = None
    max: Decimal | None = None
    mean: Decimal | None = None
    time_us: int | None = None
    device_id: str | None = None  # key
    exception: str | None = None
    component: str | None = None
    string_value: str | None = None
    boolean_value: bool | None = None
    uri_value: str | None = None
    hex_binary_value: str | None = None
    raw: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorElement:
    """The readings of one device, with what they share: EPCIS 2.0 section 7.3.7."""

    device_id: str | None  # key
    time_us: int | None
    start_us: int | None
    end_us: int | None
    reports: tuple[Report, ...]
    raw: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorDeclaration:
    """The claim that an earlier event with these fields is wrong: section 7.4.1.2."""

    declaration_time_us: int
    reason: str | None  # bare word or a URI
    corrective_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One EPCIS event of any of the five types; why not five: docs/adr/0012-one-event-value.md.

    Lists keep the order of the document. What an event of its type does not have is empty
    or None. Where the source withholds the part that a required field is in, `type` and
    `event_time` are "" and `event_time_us` is 0: ask `is_timed` before using it.
    """

    type: str
    action: str | None
    event_id: str | None
    event_time_us: int
    event_time: str
    offset: str
    epc_list: tuple[str, ...]
    parent_id: str | None
    child_epcs: tuple[str, ...]
    input_epcs: tuple[str, ...]
    output_epcs: tuple[str, ...]
    quantities: tuple[Quantity, ...]
    transformation_id: str | None
    read_point: str | None
    biz_location: str | None
    biz_step: str | None
    disposition: str | None
    persistent_set: tuple[str, ...]
    persistent_unset: tuple[str, ...]
    sources: tuple[tuple[str, str], ...]
    destinations: tuple[tuple[str, str], ...]
    biz_transactions: tuple[tuple[str, str], ...]
    sensors: tuple[SensorElement, ...]
    error: ErrorDeclaration | None
    ilmd: Mapping[str, object]
    certification: tuple[str, ...]
    extensions: Mapping[str, object]
    raw: Mapping[str, object]

    @property
    def is_timed(self) -> bool:
        """Say whether the source shows when the event happened."""
        return bool(self.event_time)
