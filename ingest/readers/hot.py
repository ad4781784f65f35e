"""The hot shapes in one step: what a busy gate sends, typed, straight into reads.

These are the shapes of the other readers here in the form in which they nearly always come:
each field of its type, each time in ISO 8601 or in microseconds, no field that is not known.
Whatever is otherwise yields None and goes the long way, which says what is wrong with it. Both
ways give the same reads; a test holds them together.

Instants share their second, tags come again and again: both are kept, up to `KEPT_MAX` each.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from ingest.readers.fields import (
    ANTENNA_MAX,
    CLOCK_SET_US,
    COUNT_MAX,
    TIME_US_MAX,
    cdbm,
    parse_base64,
    parse_hex,
    parse_instant_ns,
    parse_pc,
)
from ingest.readers.tagmemory import epc_of_memory
from ingest.readers.zebra import SEEN_MAX
from ingest.reads import ITEMS_PER_MESSAGE_MAX, Read, TimeSource
from ledger.errors import ParseError

KEPT_MAX = 65_536
_SNIFFED = 400
_READER = TimeSource.READER
_FRACTION = 20
_ZULU = frozenset({"Z", "+0000"})
_MODES = frozenset({"CUSTOM", "SIMPLE", "INVENTORY", "PORTAL", "CONVEYOR", "SimpleTagEvent"})

Found = tuple[list[Read], list[int] | None]
Number = int | float | None


class _ZebraTag(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    idHex: str  # noqa: N815  # the maker's name
    format: str = "epc"
    PC: str | None = None
    CRC: str | None = None
    XPC: str | None = None
    TID: str | None = None
    USER: str | None = None
    antenna: int | None = None
    channel: Number = None
    peakRssi: Number = None  # noqa: N815  # the maker's name
    phase: Number = None
    reads: int = 1
    eventNum: int | None = None  # noqa: N815  # the maker's name


class _Zebra(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    data: _ZebraTag
    timestamp: str
    type: str


class _ImpinjTag(msgspec.Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    epc_hex: str
    epc: str | None = None
    pc: str | None = None
    tid: str | None = None
    tid_hex: str | None = None
    antenna_port: int | None = None
    antenna_name: str | None = None
    peak_rssi_cdbm: Number = None
    frequency: Number = None
    transmit_power_cdbm: Number = None
    last_seen_time: str | None = None
    phase_angle: Number = None


class _Impinj(msgspec.Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    timestamp: str
    event_type: str
    tag_inventory_event: _ImpinjTag
    hostname: str = ""


class _SmartTag(msgspec.Struct, gc=False, forbid_unknown_fields=True, rename="camel"):
    epc: str
    first_seen_timestamp: str
    is_heart_beat: bool = False
    tid: str | None = None
    antenna_port: int | None = None
    peak_rssi: Number = None
    frequency: Number = None
    rf_phase: Number = None


class _Smart(msgspec.Struct, forbid_unknown_fields=True):
    reader_name: str
    tag_reads: list[_SmartTag]
    mac_address: str | None = None


class _LlrpTag(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    epc: str = msgspec.field(name="EPC-96")
    last_us: int = msgspec.field(name="LastSeenTimestampUTC")
    first_us: int = msgspec.field(name="FirstSeenTimestampUTC")
    antenna: int | None = msgspec.field(name="AntennaID", default=None)
    rssi: Number = msgspec.field(name="PeakRSSI", default=None)
    pc: int | None = msgspec.field(name="C1G2PC", default=None)
    channel: int | None = msgspec.field(name="ChannelIndex", default=None)
    seen: int = msgspec.field(name="TagSeenCount", default=1)


class _Llrp(msgspec.Struct, forbid_unknown_fields=True):
    message: str
    tags: list[_LlrpTag] = msgspec.field(name="TagReportData")
    reader: str = ""


class _Plain(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    epc: str
    timestamp: int | str
    antenna: int | None = None
    rssi: Number = None


def read_hot(payload: bytes) -> Found | None:
    """Return the reads of a hot shape and the numbers of its events, None for any other.

    The numbers are None where the reader does not count, or says the number of some only.
    """
    head = payload[:_SNIFFED]
    for mark, one, many, read in _SHAPES:
        if mark in head:
            decoder = many if payload[:1] == b"[" else one
            if decoder is None:
                return None
            try:
                found = decoder.decode(payload)
                reads = read(found if payload[:1] == b"[" else [found])
            except (msgspec.DecodeError, ParseError, RecursionError, UnicodeDecodeError):
                return None
            is_whole = reads is not None and 0 < len(reads[0]) <= ITEMS_PER_MESSAGE_MAX
            return reads if is_whole else None
    return None


def _zebra(events: Sequence[_Zebra]) -> Found | None:
    reads, numbers = [], []
    for one in events:
        tag = one.data
        seen, rssi, port = tag.reads, tag.peakRssi, tag.antenna
        if tag.format != "epc" or not 1 <= seen <= SEEN_MAX or one.type not in _MODES:
            return None
        if port is not None and not 0 <= port <= ANTENNA_MAX:
            return None
        at, ns = _instant(one.timestamp)
        dbm = None if rssi is None else _dbm(rssi)
        reads.append(Read(_epc(tag.idHex, tag.PC), at, _READER, port, dbm, ns, seen))
        if tag.eventNum is not None:
            numbers.append(tag.eventNum)
    if not numbers:
        return reads, None
    is_counted = len(numbers) == len(reads) and min(numbers) >= 0 and max(numbers) <= COUNT_MAX
    return (reads, numbers) if is_counted else None


def _impinj(events: Sequence[_Impinj]) -> Found | None:
    reads = []
    for one in events:
        tag = one.tag_inventory_event
        if one.event_type != "tagInventory" or not _is_port(tag.antenna_port):
            return None
        time_us, ns = _instant(tag.last_seen_time or one.timestamp)
        rssi = tag.peak_rssi_cdbm
        reads.append(
            Read(
                _impinj_epc(tag.epc_hex, tag.epc, tag.pc),
                time_us,
                _READER,
                tag.antenna_port,
                None if rssi is None else cdbm(rssi, 1),
                ns,
                source=one.hostname,
            )
        )
    return reads, None


def _smart(batches: Sequence[_Smart]) -> Found | None:
    reads = []
    for batch in batches:
        for tag in batch.tag_reads:
            if tag.is_heart_beat or not _is_port(tag.antenna_port) or not tag.epc[:1].isalnum():
                return None
            time_us, ns = _instant(tag.first_seen_timestamp)
            rssi = tag.peak_rssi
            reads.append(
                Read(
                    _epc(tag.epc, None),
                    time_us,
                    _READER,
                    tag.antenna_port,
                    None if rssi is None else _dbm(rssi),
                    ns,
                    source=batch.reader_name,
                )
            )
    return (reads, None) if reads else None


def _llrp(messages: Sequence[_Llrp]) -> Found | None:
    reads = []
    for message in messages:
        if message.message != "RO_ACCESS_REPORT":
            return None
        for tag in message.tags:
            at, since = tag.last_us, tag.first_us
            is_time = CLOCK_SET_US <= since <= TIME_US_MAX and CLOCK_SET_US <= at < TIME_US_MAX
            if not is_time or not _is_port(tag.antenna) or not 1 <= tag.seen <= 0xFFFF:  # noqa: PLR2004  # 16 bits
                return None
            rssi = tag.rssi
            reads.append(
                Read(
                    epc=_epc(tag.epc, tag.pc),
                    time_us=at,
                    time_source=_READER,
                    antenna=tag.antenna,
                    rssi_cdbm=None if rssi is None else _dbm(rssi),
                    seen=tag.seen,
                    since_us=since,
                    source=message.reader,
                )
            )
    return (reads, None) if reads else None


def _plain(tags: Sequence[_Plain]) -> Found | None:
    reads = []
    for tag in tags:
        if not _is_port(tag.antenna) or not tag.epc[:1].isalnum():
            return None
        time_us, ns = _instant(tag.timestamp)
        rssi = tag.rssi
        reads.append(
            Read(
                epc=_epc(tag.epc, None),
                time_us=time_us,
                time_source=_READER,
                antenna=tag.antenna,
                rssi_cdbm=None if rssi is None else _dbm(rssi),
                ns=ns,
            )
        )
    return reads, None


def _is_port(antenna: int | None) -> bool:
    return antenna is None or 0 <= antenna <= ANTENNA_MAX


def _instant(text: int | str) -> tuple[int, int]:
    """Return an instant in microseconds, and the nanoseconds beyond; of a clock that is set."""
    if isinstance(text, str):
        if text[23:] in _ZULU:
            digits, scale = text[_FRACTION:23], 1_000
        else:
            digits, scale = text[_FRACTION:26] if text[26:] == "Z" else "", 1
        if digits.isdigit() and digits.isascii():
            return _second(text[:_FRACTION]) + int(digits) * scale, 0
    time_us, ns = divmod(parse_instant_ns(text, ""), 1_000)
    if time_us < CLOCK_SET_US:
        raise ParseError("", "a clock that was never set goes the long way")
    return time_us, ns


@lru_cache(maxsize=KEPT_MAX)
def _second(text: str) -> int:
    """Return the instant of a time that is cut off behind its point.

    Without the marks between, the place where the point should be is one of its digits.
    """
    if text[-1] not in ".,":
        raise ParseError("", "a time in another spelling goes the long way")
    time_us = parse_instant_ns(f"{text}0Z", "") // 1_000
    if time_us < CLOCK_SET_US:
        raise ParseError("", "a clock that was never set goes the long way")
    return time_us


@lru_cache(maxsize=KEPT_MAX)
def _epc(text: str, pc: str | int | None) -> str:
    word = parse_pc(parse_hex(pc, ""), "") if isinstance(pc, str) else pc
    if word is not None and not 0 <= word <= 0xFFFF:  # noqa: PLR2004  # 16 bits
        raise ParseError("", "is no protocol control word")
    return epc_of_memory(parse_hex(text, ""), word)


@lru_cache(maxsize=KEPT_MAX)
def _impinj_epc(epc_hex: str, epc: str | None, pc: str | None) -> str:
    text = parse_hex(epc_hex, "")
    if epc is not None and parse_base64(epc, "") != text:
        raise ParseError("", "the spellings disagree")
    return epc_of_memory(text, None if pc is None else parse_pc(parse_base64(pc, ""), ""))


@lru_cache(maxsize=KEPT_MAX)
def _dbm(value: float) -> int | None:
    return cdbm(value, 100)


_Decoder = msgspec.json.Decoder
_SHAPES: tuple[
    tuple[bytes, _Decoder[Any], _Decoder[Any] | None, Callable[..., Found | None]], ...
] = (
    (b'"idHex"', _Decoder(_Zebra), _Decoder(list[_Zebra]), _zebra),
    (b'"tagInventoryEvent"', _Decoder(_Impinj), _Decoder(list[_Impinj]), _impinj),
    (b'"tag_reads"', _Decoder(_Smart), None, _smart),
    (b'"TagReportData"', _Decoder(_Llrp), None, _llrp),
    (b'"epc"', _Decoder(_Plain), _Decoder(list[_Plain]), _plain),
)
