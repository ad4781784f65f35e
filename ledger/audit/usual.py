"""Reads the statement that nearly every entry holds, a capture, in one match.

    d2 84 ‖ 58 ‖ n ‖ protected ‖ a0 ‖ 58 ‖ n ‖ payload ‖ 58 40 ‖ signature
    payload  85 ‖ epoch ‖ seq ‖ 58 20 ‖ prev ‖ f6 or 82 ‖ size ‖ 58 20 ‖ root
             ‖ 83 ‖ grade ‖ count ‖ 58 20 ‖ root

What matches is spelled as `ledger.statement.parse_statement` wants it and means the same;
whatever does not match goes there. An audit reads a million of these.

Pure: no I/O, no clock, no randomness.
"""

import re
from hashlib import sha256
from typing import Any, Final

from ledger.disclosure import EVENTS_MAX
from ledger.statement import Capture, Seen, Statement, parse_header, parse_statement
from ledger.tlog.merkle import EMPTY_ROOT, Hash

CAPTURE_SUB: Final = "tagtrail/capture/v1"

_START: Final = b"\xd2\x84\x58"
_MESSAGE_START: Final = b"\x84\x6aSignature1"
_NO_EXTERNAL_AAD: Final = b"\x40"
_SIGNATURE_HEAD: Final = b"\x58\x40"
_END_BYTES: Final = 66  # The signature and its head.
_UNPROTECTED_HEAD: Final = b"\xa0\x58"
# A number below 2^63 in its shortest form.
_UINT: Final = (
    rb"([\x00-\x17]|\x18[\x18-\xff]|\x19(?!\x00)..|\x1a(?!\x00\x00)....|"
    rb"\x1b(?!\x00\x00\x00\x00)[\x00-\x7f].......)"
)
_HASH: Final = rb"\x58\x20(.{32})"
_PAYLOAD: Final = re.compile(
    rb"\x85" + _UINT + _UINT + _HASH + rb"(?:\xf6|\x82" + _UINT + _HASH + rb")"
    rb"\x83([\x00-\x03])" + _UINT + _HASH,
    re.DOTALL,
)


def read_statement(raw: bytes) -> Statement:
    """Return what `parse_statement` returns for `raw`, or raise `ParseError` as it does."""
    end = len(raw) - _END_BYTES
    if end > 0 and raw[:3] == _START:
        middle = 4 + raw[3]
        if (
            middle + 3 <= end
            and raw[middle : middle + 2] == _UNPROTECTED_HEAD
            and end == middle + 3 + raw[middle + 2]
            and raw[end : end + 2] == _SIGNATURE_HEAD
        ):
            match = _PAYLOAD.fullmatch(raw, middle + 3, end)
            if match is not None:
                statement = _read_capture(raw, middle, end, match)
                if statement is not None:
                    return statement
    return parse_statement(raw)


def _read_capture(
    raw: bytes, middle: int, end: int, match: re.Match[bytes]
) -> Statement | None:
    kid, iss, sub, aud, iat = parse_header(raw[4:middle])
    groups: tuple[Any, ...] = match.groups()
    epoch, seq, prev, size, seen_root, grade, many, root = groups
    count = many[0] if len(many) == 1 else int.from_bytes(many[1:], "big")
    if sub != CAPTURE_SUB or count > EVENTS_MAX or (count == 0) != (root == EMPTY_ROOT):
        return None
    message = b"".join((_MESSAGE_START, raw[2:middle], _NO_EXTERNAL_AAD, raw[middle + 1 : end]))
    return Statement(
        kid,
        iss,
        sub,
        aud,
        iat,
        epoch[0] if len(epoch) == 1 else int.from_bytes(epoch[1:], "big"),
        seq[0] if len(seq) == 1 else int.from_bytes(seq[1:], "big"),
        prev,
        None if size is None else Seen(_number(size), seen_root),
        Capture(grade[0], count, root),
        Hash(sha256(message).digest()),
        raw,
        message,
        raw[-64:],
    )


def _number(spelled: bytes) -> int:
    return spelled[0] if len(spelled) == 1 else int.from_bytes(spelled[1:], "big")
