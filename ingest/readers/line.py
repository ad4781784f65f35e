"""Line messages: what a machine or an execution system says about goods without tags.

    {"type":"line.lot","time":"2026-01-05T06:00:00Z","quantity":1180.5,"uom":"KGM",
     "epcClass":"urn:epc:class:lgtin:9506000.012345.L1","into":"urn:epc:id:grai:9506000.00300.7"}
    {"type":"line.empty","time":"…","container":"urn:epc:id:grai:9506000.00300.7"}
    {"type":"line.batch","phase":"start","time":"…","batch":"B-1","lot":"LOT1",
     "transformationID":"urn:epc:id:gdti:9506000.00001.1","inputs":[{"epcClass":"…",
     "quantity":900,"uom":"KGM"}]}
    {"type":"line.batch","phase":"end","time":"…","batch":"B-1"}

A machine states what it did, so nothing may be missing or beside the point: the time is
required, an unknown field is refused, identifiers are parsed here.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections.abc import Mapping
from decimal import Decimal

from ingest.readers.fields import is_clock_set, kind_of, parse_instant, parse_object, parse_text
from ingest.reads import (
    BatchEnded,
    BatchStarted,
    ContainerEmptied,
    LineMessage,
    LotMade,
    Quantity,
)
from ledger.errors import ParseError
from ledger.gs1.epc import Epc, parse_epc

INPUTS_MAX = 1_000
TEXT_MAX = 256

_PREFIX = "line."
_UOM = re.compile(r"[A-Z0-9]{2,3}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def is_line(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` is a line message, known or not."""
    kind = obj.get("type")
    return isinstance(kind, str) and kind.startswith(_PREFIX)


def parse_line(obj: Mapping[str, object], where: str) -> LineMessage:
    """Return what the machine stated; raises `ParseError`."""
    at = f"{where}.".lstrip(".")
    match obj.get("type"), obj.get("phase"):
        case "line.lot", None:
            return _parse_lot(obj, at)
        case "line.empty", None:
            _check_fields(obj, at, {"type", "time", "container"})
            container = _parse_instance(obj.get("container"), f"{at}container")
            return ContainerEmptied(time_us=_parse_time(obj, at), container=container)
        case "line.batch", "start":
            return _parse_batch(obj, at)
        case "line.batch", "end":
            _check_fields(obj, at, {"type", "phase", "time", "batch"})
            return BatchEnded(time_us=_parse_time(obj, at), batch=_parse_name(obj, "batch", at))
        case "line.batch", phase:
            raise ParseError(f"{at}phase", f"is {phase!r:.40}, want 'start' or 'end'")
        case kind, _:
            known = "line.lot, line.empty and line.batch"
            raise ParseError(f"{at}type", f"{kind!r:.40} is not one of {known}")
    raise AssertionError("the last case takes everything")


def _parse_lot(obj: Mapping[str, object], at: str) -> LotMade:
    _check_fields(obj, at, {"type", "time", "epcClass", "quantity", "uom", "into"})
    into = obj.get("into")
    amount = {name: obj[name] for name in ("epcClass", "quantity", "uom") if name in obj}
    return LotMade(
        time_us=_parse_time(obj, at),
        lot=_parse_quantity(amount, at.removesuffix(".")),
        into=None if into is None else _parse_instance(into, f"{at}into"),
    )


def _parse_batch(obj: Mapping[str, object], at: str) -> BatchStarted:
    known = {"type", "phase", "time", "batch", "transformationID", "inputs", "lot"}
    _check_fields(obj, at, known)
    inputs = obj.get("inputs", [])
    if not isinstance(inputs, list) or len(inputs) > INPUTS_MAX:
        raise ParseError(f"{at}inputs", f"is no array of at most {INPUTS_MAX} amounts")
    transformation = obj.get("transformationID")
    if transformation is not None:
        transformation = _parse_uri(transformation, f"{at}transformationID")
    return BatchStarted(
        time_us=_parse_time(obj, at),
        batch=_parse_name(obj, "batch", at),
        transformation_id=transformation,
        inputs=tuple(
            _parse_quantity(parse_object(one, f"{at}inputs[{n}]"), f"{at}inputs[{n}]")
            for n, one in enumerate(inputs)
        ),
        lot=None if obj.get("lot") is None else _parse_name(obj, "lot", at),
    )


def _parse_quantity(obj: Mapping[str, object], where: str) -> Quantity:
    at = f"{where}.".lstrip(".")
    _check_fields(obj, at, {"epcClass", "quantity", "uom"})
    epc_class = parse_text(obj.get("epcClass"), f"{at}epcClass")
    if not _parse_gs1(epc_class, f"{at}epcClass").is_class:
        raise ParseError(f"{at}epcClass", f"{epc_class:.80} names one thing, want a class")
    amount, uom = obj.get("quantity"), obj.get("uom")
    if uom is not None and (not isinstance(uom, str) or _UOM.fullmatch(uom) is None):
        raise ParseError(f"{at}uom", f"{uom!r:.40} is no unit of UN/ECE Recommendation 20")
    if amount is None and uom is not None:
        raise ParseError(f"{at}uom", "is a unit without a quantity")
    quantity = None if amount is None else _parse_amount(amount, f"{at}quantity")
    return Quantity(epc_class=epc_class, quantity=quantity, uom=uom)


def _parse_amount(value: object, where: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e15:  # noqa: PLR2004
        raise ParseError(where, f"{value!r:.40} is no amount above zero and below 10^15")
    return Decimal(repr(value))


def _parse_instance(value: object, where: str) -> str:
    text = parse_text(value, where)
    if _parse_gs1(text, where).is_class:
        raise ParseError(where, f"{text:.80} is a class of things, want one thing")
    return text


def _parse_gs1(text: str, where: str) -> Epc:
    try:
        return parse_epc(text)
    except ParseError as error:
        raise ParseError(where, f"{error.where}: {error.why}") from None


def _parse_uri(value: object, where: str) -> str:
    text = parse_text(value, where)
    if ":" not in text or len(text) > TEXT_MAX or _CONTROL.search(text) or " " in text:
        raise ParseError(where, f"{text!r:.80} is no URI")
    return text


def _parse_time(obj: Mapping[str, object], at: str) -> int:
    at_us = parse_instant(obj.get("time"), f"{at}time")
    if not is_clock_set(at_us):
        raise ParseError(f"{at}time", "is before the year 2000: that clock is not set")
    return at_us


def _parse_name(obj: Mapping[str, object], field: str, at: str) -> str:
    text = parse_text(obj.get(field), f"{at}{field}")
    if len(text) > TEXT_MAX or _CONTROL.search(text):
        raise ParseError(f"{at}{field}", f"is over {TEXT_MAX} characters or has control ones")
    return text


def _check_fields(obj: Mapping[str, object], at: str, known: set[str]) -> None:
    unknown = sorted(obj.keys() - known)
    if unknown:
        raise ParseError(
            f"{at}{unknown[0]:.40}",
            f"is {kind_of(obj[unknown[0]])} nobody asked for; "
            f"the fields are {', '.join(sorted(known))}",
        )
