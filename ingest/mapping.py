"""Mappings: a plan's own description of a payload, so that a new reader needs no code.

    [[mapping]]
    name = "acme"
    topics = ["acme/+/reads"]
    when = "kind == 'tags'"
    items = "payload.tags[]"
    [mapping.read]
    epc = "id"
    encoding = "hex"
    time = "seen.at"
    antenna = "port"
    rssi = "to_number(rssi)"

Each value but the names and the encoding is a JMESPath expression. `when` is asked of the whole
payload: where it is not true, the next mapping is asked, and at last the shapes that are built
in. `items` yields the elements, of which each read, sample or heartbeat is made; the whole
payload is one element where it is left out. `root` is asked of the whole payload instead of
the element: `{root = "reader.time"}`.

An expression has at most `EXPRESSION_CHARS_MAX` characters and is compiled once. It cannot loop
and sees nothing but its element, so that its work is bounded by the payload's size, which is
at most `PAYLOAD_BYTES_MAX` here. What it yields is read as strictly as any other payload.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jmespath
import jmespath.exceptions

from ingest.readers.fields import (
    cdbm,
    collect,
    parse_antenna,
    parse_base64,
    parse_hex,
    parse_number,
    parse_optional_ns,
    parse_text,
)
from ingest.reads import (
    ITEMS_PER_MESSAGE_MAX,
    Item,
    Parsed,
    Sample,
    Sighting,
    Vital,
    not_a_read,
)
from ingest.tomltable import Table
from ingest.topics import check_topic_filter, topic_matches
from ledger.errors import ParseError

EXPRESSION_CHARS_MAX = 500
PAYLOAD_BYTES_MAX = 256 * 1024
MAPPINGS_MAX = 64
VALUES_MAX = 32

Encoding = Literal["hex", "base64", "uri"]


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression; `of_root` asks the whole payload and not the element."""

    text: str
    compiled: Any
    of_root: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMapping:
    """Where a read's fields are; `epc` is required."""

    epc: Expression
    encoding: Encoding
    fields: Mapping[str, Expression]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleMapping:
    """Where a sample's device, time and named values are."""

    device: Expression
    time: Expression | None
    values: Mapping[str, Expression]


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingRule:
    """One mapping of a plan; exactly one of the three kinds of content is set."""

    name: str
    topics: tuple[str, ...]
    when: Expression | None
    items: Expression | None
    read: ReadMapping | None
    sample: SampleMapping | None
    heartbeat: Mapping[str, Expression] | None


_READ_FIELDS = ("time", "antenna", "rssi", "source", "number", "seen", "pc")
_HEARTBEAT_FIELDS = ("source", "time", "dropped")


def parse_mapping(table: Table) -> MappingRule:
    """Return one `[[mapping]]` of a plan; raises `ParseError` with its line."""
    kinds = [name for name in ("read", "sample", "heartbeat") if table.has(name)]
    if len(kinds) != 1:
        raise table.error("read", "set one of read, sample and heartbeat: what a payload is")
    topics = table.texts("topics")
    for topic in topics:
        table.check("topics", lambda text: check_topic_filter(text, "filter"), topic)
    read, sample, beat = (table.table(name) for name in ("read", "sample", "heartbeat"))
    rule = MappingRule(
        name=table.text("name"),
        topics=topics,
        when=_expression(table, "when"),
        items=_expression(table, "items"),
        read=_parse_read(read) if kinds == ["read"] else None,
        sample=_parse_sample(sample) if kinds == ["sample"] else None,
        heartbeat=_fields(beat, _HEARTBEAT_FIELDS) if kinds == ["heartbeat"] else None,
    )
    for one in (read, sample, beat):
        one.close()
    table.close()
    return rule


def find_mappings(rules: Sequence[MappingRule], topic: str) -> tuple[MappingRule, ...]:
    """Return the mappings that take `topic`, in the order of the plan."""
    return tuple(
        rule for rule in rules if any(topic_matches(one, topic) for one in rule.topics)
    )


def read_mapped(rule: MappingRule, payload: object, size: int) -> Parsed | None:
    """Return what `payload` of `size` bytes holds, None where `rule` is not about it.

    Raises `ParseError` where an expression cannot be asked of it.
    """
    if size > PAYLOAD_BYTES_MAX:
        raise ParseError("", f"has {size} bytes, at most {PAYLOAD_BYTES_MAX} are mapped")
    if rule.when is not None and _ask(rule.when, payload, payload, "when") is not True:
        return None
    elements = payload if rule.items is None else _ask(rule.items, payload, payload, "items")
    if not isinstance(elements, list):
        elements = [elements]
    if len(elements) > ITEMS_PER_MESSAGE_MAX:
        raise ParseError("items", f"are over {ITEMS_PER_MESSAGE_MAX}")
    if not elements:
        return Parsed(faults=(not_a_read(f"the mapping {rule.name!r} finds nothing in it"),))
    return collect(
        ((f"{rule.name}[{n}]", one) for n, one in enumerate(elements)),
        lambda one, where: _map_element(rule, one, payload, where),
    )


def _map_element(rule: MappingRule, element: object, root: object, where: str) -> Item:
    if rule.read is not None:
        return _map_read(rule.read, element, root, where)
    if rule.sample is not None:
        return _map_sample(rule.sample, element, root, where)
    assert rule.heartbeat is not None
    found = {name: _ask(one, element, root, where) for name, one in rule.heartbeat.items()}
    time_us, _ = parse_optional_ns(found.get("time"), f"{where}.time")
    return Vital(
        reader=_optional_text(found.get("source"), f"{where}.source") or None,
        time_us=time_us,
        is_heartbeat=True,
        dropped=_whole(found.get("dropped"), f"{where}.dropped"),
        why=rule.name,
    )


def _map_read(mapping: ReadMapping, element: object, root: object, where: str) -> Sighting:
    found = {name: _ask(one, element, root, where) for name, one in mapping.fields.items()}
    value, place = _ask(mapping.epc, element, root, where), f"{where}.epc"
    time_us, ns = parse_optional_ns(found.get("time"), f"{where}.time")
    is_uri = mapping.encoding == "uri"
    epc_hex = None
    if not is_uri:
        parse = parse_hex if mapping.encoding == "hex" else parse_base64
        epc_hex = parse(value, place)
    pc = found.get("pc")
    return Sighting(
        where=where,
        hex=epc_hex,
        uri=parse_text(value, place) if is_uri else None,
        pc=None if pc is None else int(parse_hex(pc, f"{where}.pc")[:4], 16),
        time_us=time_us,
        ns=ns,
        antenna=parse_antenna(found.get("antenna"), f"{where}.antenna"),
        rssi_cdbm=cdbm(found.get("rssi"), 100),
        source=_optional_text(found.get("source"), f"{where}.source"),
        number=_whole(found.get("number"), f"{where}.number"),
        seen=max(_whole(found.get("seen"), f"{where}.seen") or 1, 1),
    )


def _map_sample(mapping: SampleMapping, element: object, root: object, where: str) -> Sample:
    time = None if mapping.time is None else _ask(mapping.time, element, root, where)
    time_us, _ = parse_optional_ns(time, f"{where}.time")
    values = []
    for name, one in mapping.values.items():
        value = _ask(one, element, root, where)
        if value is not None:
            values.append((name, parse_number(value, f"{where}.values.{name}")))
    device = parse_text(_ask(mapping.device, element, root, where), f"{where}.device")
    return Sample(devices=(device,), time_us=time_us, values=tuple(values))


def _ask(one: Expression, element: object, root: object, where: str) -> object:
    """Return what an expression yields; raises `ParseError` where it cannot be asked."""
    try:
        found: object = one.compiled.search(root if one.of_root else element)
    except (jmespath.exceptions.JMESPathError, ValueError, TypeError, RecursionError) as error:
        raise ParseError(
            where, f"{one.text!r:.80} cannot be asked of it: {error!s:.160}"
        ) from None
    return found


def _optional_text(value: object, where: str) -> str:
    return "" if value is None else parse_text(value, where)[:256]


def _whole(value: object, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53:
        raise ParseError(where, f"{value!r:.40} is no whole number from 0 on")
    return value


def _parse_read(table: Table) -> ReadMapping:
    epc = _expression(table, "epc")
    if epc is None:
        raise table.error("epc", "is missing; it says where the tag's identity is")
    fields = _fields(table, _READ_FIELDS)
    match table.text("encoding", "hex"):
        case "hex" | "base64" | "uri" as encoding:
            return ReadMapping(epc=epc, encoding=encoding, fields=fields)
        case other:
            raise table.error("encoding", f"is {other!r:.40}, want hex, base64 or uri")


def _parse_sample(table: Table) -> SampleMapping:
    device = _expression(table, "device")
    if device is None:
        raise table.error("device", "is missing; it says where the sensor's name is")
    values = table.table("values")
    names = tuple(table.mapping("values"))
    if not 0 < len(names) <= VALUES_MAX:
        raise table.error("values", f"has {len(names)} names, want 1 to {VALUES_MAX}")
    found = _fields(values, names)
    values.close()
    return SampleMapping(device=device, time=_expression(table, "time"), values=found)


def _fields(table: Table, names: Sequence[str]) -> dict[str, Expression]:
    found = {name: _expression(table, name) for name in names}
    return {name: one for name, one in found.items() if one is not None}


def _expression(table: Table, key: str) -> Expression | None:
    """Return a key's expression, a text or `{root = "…"}`; None where it is not set."""
    if not table.has(key):
        table.optional_text(key)
        return None
    of_root = table.is_table(key)
    if of_root:
        inner = table.table(key)
        text = inner.text("root")
        inner.close()
    else:
        text = table.text(key)
    if len(text) > EXPRESSION_CHARS_MAX:
        raise table.error(key, f"has over {EXPRESSION_CHARS_MAX} characters")
    try:
        compiled = jmespath.compile(text)
    except (jmespath.exceptions.JMESPathError, ValueError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise table.error(key, f"{text!r:.80} is no JMESPath: {said:.160}") from None
    return Expression(text, compiled, of_root)
