"""What one EPC memory says.

Pure: no I/O, no clock, no randomness.
"""

import re
from dataclasses import dataclass

from ledger.errors import ParseError

_NUMBER = re.compile(r"0|[1-9][0-9]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class TagRead:
    """The EPC of a tag and what its coding adds to it."""

    epc_uri: str  # urn:epc:id:…, a Digital Link (+ and ++ tags), or urn:epc:raw:…
    tag_uri: str | None  # None: a raw tag, or a coding since TDS 2.0
    scheme: str | None  # the coding, such as "sgtin-96" or "sgtin+"; None: a raw tag
    filter_value: int | None
    date: tuple[str, str] | None = None  # of a DSGTIN: application identifier and YYMMDD


def read_of_body(name: str, scheme: str, filter_value: int | None, body: str) -> TagRead:
    """Return what a tag says whose coding `name` has a tag URI."""
    in_tag = body if filter_value is None else f"{filter_value}.{body}"
    return TagRead(
        epc_uri=f"urn:epc:id:{scheme}:{body}",
        tag_uri=f"urn:epc:tag:{name}:{in_tag}",
        scheme=name,
        filter_value=filter_value,
    )


def strip_padding(value: int, bits: int, want: int) -> int | None:
    """Return the first `want` of `bits`, None where there are fewer or the rest is not zero."""
    excess = bits - want
    if excess < 0 or value & (1 << excess) - 1:
        return None
    return value >> excess


def want_number(text: str, end: int) -> int:
    """Return a decimal number below `end` without leading zeros, or raise `ParseError`."""
    if _NUMBER.fullmatch(text) is None or len(text) > len(str(end)) or int(text) >= end:
        raise ParseError("tag", f"{text[:40]!r} is no number below {end} without leading zeros")
    return int(text)
