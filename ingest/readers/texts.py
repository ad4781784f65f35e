"""Payloads that are no single JSON value: streams of lines, and texts that are no reads.

    {"epc":"AAAA"}⏎{"epc":"BBBB"}      a stream, where one of its lines is whole by itself
    data: {"epc":"AAAA"}               server-sent events
    connected                          a will, or another text that is clearly no read
    30364433400D1EC000000007,1,-50     may be a read: nothing is guessed, but it is missing

Pure: no I/O, no clock, no randomness.
"""

import msgspec

from ingest.readers import wills
from ingest.readers.fields import may_name_tag
from ingest.reads import Fault, Parsed, not_a_read

BOM = b"\xef\xbb\xbf"
SSE_STARTS = (b"data:", b"event:", b"id:", b"retry:", b":")
LINES_LOOKED_AT = 100
_TEXT_SHOWN = 80


def is_stream(payload: bytes) -> bool:
    """Return whether a payload that is no JSON has lines of which one is, among the first."""
    lines = payload.strip().splitlines()
    return len(lines) > 1 and any(_is_whole(one) for one in lines[:LINES_LOOKED_AT])


def read_text(payload: bytes, error: str) -> Parsed:
    """Return the will that a text is, or why a payload that is no JSON cannot be taken."""
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        shown = payload[: _TEXT_SHOWN // 2].hex()
        why = f"not a tag read: {len(payload)} bytes that are no text and no JSON ({shown}…)"
        return Parsed(faults=(Fault(where="", why=why),))
    if text.lstrip().startswith(("{", "[", '"')):
        return Parsed(faults=(Fault(where="", why=f"is broken JSON: {error}"),))
    if may_name_tag(text) or '":' in text:
        why = f"is no JSON, and may name a tag: {text[:_TEXT_SHOWN]!r}"
        return Parsed(faults=(Fault(where="", why=why),))
    will = wills.parse_text(text, "")
    return will or Parsed(faults=(not_a_read(f"the text {text[:_TEXT_SHOWN]!r}"),))


def _is_whole(line: bytes) -> bool:
    """Return whether a line holds a whole JSON value of its own."""
    if not line.lstrip().startswith((b"{", b"[", b'"')):
        return False
    try:
        msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return False
    return True
