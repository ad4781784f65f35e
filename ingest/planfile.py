"""The text of a capture plan: TOML, parsed whole or refused with line and key.

    plan = "tagtrail/plan/v1"
    name = "dairy"
    [defaults]
    gap_ms = 3000
    [[party]]
    id = "https://id.gs1.org/417/9506000134352"
    name = "Alm Dairy"
    prefixes = ["9506000"]
    [[station]]
    name = "dairy/dock"
    party = "https://id.gs1.org/417/9506000134352"
    topics = ["sites/dairy/dock/#"]
    read_point = "urn:epc:id:sgln:9506000.00001.dock"
    [[station.emit]]
    event = "object"
    action = "OBSERVE"
    biz_step = "shipping"
    [[sensor]]
    device = "C8:25:2D:8E:9C:2C"
    party = "https://id.gs1.org/417/9506000134352"
    asset = "urn:epc:id:grai:9506000.00300.7"

Every key is in docs/reference/plan.md. Refused: unknown keys, a station whose party is not in
the plan, two stations of one name, malformed identifiers, patterns, topic filters and words.

Pure: no I/O, no clock, no randomness.
"""

import re
from collections import Counter
from hashlib import sha256

from ingest.mapping import MAPPINGS_MAX, parse_mapping
from ingest.plan import (
    Action,
    AggregationEmit,
    Emit,
    ObjectEmit,
    Party,
    Plan,
    SensorRule,
    Station,
    TransactionEmit,
    TransformationEmit,
    When,
    Why,
)
from ingest.planfilters import check_station, parse_filters, parse_packing, parse_when
from ingest.planreaders import parse_keys, parse_reader, parse_topics
from ingest.readers.fields import ANTENNA_MAX
from ingest.tomltable import Table, parse_toml
from ledger.epcis.times import parse_offset
from ledger.gs1.cbv import (
    BIZ_STEP,
    DISPOSITION,
    Vocabulary,
    canonical_biz_step,
    canonical_disposition,
    is_known,
)
from ledger.gs1.epc import canonical_key, matches_pattern, parse_epc

FORMAT = "tagtrail/plan/v1"
QUANTITY_NAMES = ("temperature", "humidity", "pressure")
STATIONS_MAX = 10_000
EMITS_MAX = 32

_GAP_MS, _GAP_BOUNDS = 3_000, (1, 3_600_000)
_IDLE_S, _IDLE_BOUNDS = 5, (1, 86_400)
_PASS_S, _PASS_BOUNDS = 900, (1, 86_400)
_READS, _READS_BOUNDS = 1, (1, 10_000)
_BATCH, _BATCH_BOUNDS = 20, (1, 1_000)
_SPAN_S, _SPAN_BOUNDS = 1_800, (1, 86_400)

_PREFIX = re.compile(r"\d{4,12}", re.ASCII)
_MAC = re.compile(r"([0-9A-F]{2}):" * 5 + r"([0-9A-F]{2})", re.ASCII)
_EUI64 = re.compile(r"[0-9A-F]{16}", re.ASCII)
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:\S+", re.ASCII)
_PARTY_TYPES = ("owning_party", "possessing_party", "location")
_ANY = ("*",)


def parse_plan(text: str, where: str = "plan") -> Plan:
    """Return the plan that `text` writes; raises `ParseError` with line and key."""
    root = parse_toml(text, where)
    if root.text("plan") != FORMAT:
        raise root.error("plan", f"is {root.text('plan')!r:.40}, want {FORMAT!r}")
    name = root.text("name")
    defaults = root.table("defaults")
    parties = tuple(_parse_party(table) for table in root.tables("party"))
    known = {canonical_key(party.id): party.id for party in parties}
    if len(known) != len(parties):
        raise root.error("party", "names one party twice")
    stations = tuple(_parse_station(one, defaults, known) for one in root.tables("station"))
    sensors = tuple(_parse_sensor(one, defaults, known) for one in root.tables("sensor"))
    readers = tuple(parse_reader(one) for one in root.tables("reader"))
    mappings = tuple(parse_mapping(one) for one in root.tables("mapping"))
    keys = parse_keys(root)
    _ask_defaults(defaults)
    defaults.close()
    root.close()
    if not stations and not sensors:
        raise root.error("station", "is missing; a plan needs a [[station]] or a [[sensor]]")
    _require_names(root, "station", [one.name for one in stations])
    _require_names(root, "reader", [one.name for one in readers])
    _require_names(root, "mapping", [one.name for one in mappings])
    if len(mappings) > MAPPINGS_MAX:
        raise root.error("mapping", f"there are over {MAPPINGS_MAX}")
    return Plan(
        name=name,
        parties=parties,
        stations=stations,
        sensors=sensors,
        sha256=sha256(text.encode()).digest(),
        readers=readers,
        mappings=mappings,
        device_keys=keys,
    )


def _require_names(root: Table, key: str, names: list[str]) -> None:
    """Refuse two of one name, and more than `STATIONS_MAX`."""
    twice = [one for one, count in Counter(names).items() if count > 1]
    if twice or len(names) > STATIONS_MAX:
        raise root.error(key, f"two are called {twice[:1]}, or over {STATIONS_MAX}")


def _ask_defaults(defaults: Table) -> None:
    """Check the defaults on their own, so that a plan without stations checks them too."""
    defaults.number("gap_ms", _GAP_MS, _GAP_BOUNDS)
    defaults.number("idle_s", _IDLE_S, _IDLE_BOUNDS)
    defaults.number("pass_max_s", _PASS_S, _PASS_BOUNDS)
    defaults.number("min_reads", _READS, _READS_BOUNDS)
    _timezone(defaults, "+00:00")


def _parse_party(table: Table) -> Party:
    party_id = _identifier(table, "id", table.text("id"))
    prefixes = table.texts("prefixes", ())
    for prefix in prefixes:
        if _PREFIX.fullmatch(prefix) is None:
            raise table.error("prefixes", f"{prefix!r:.40} is no GS1 prefix of 4 to 12 digits")
    party = Party(id=party_id, name=table.text("name"), prefixes=prefixes)
    table.close()
    return party


def _parse_station(table: Table, defaults: Table, parties: dict[str, str]) -> Station:
    antennas = table.numbers("antennas", (0, ANTENNA_MAX))
    location = table.optional_text("biz_location")
    gap = defaults.number("gap_ms", _GAP_MS, _GAP_BOUNDS)
    idle = defaults.number("idle_s", _IDLE_S, _IDLE_BOUNDS)
    longest = defaults.number("pass_max_s", _PASS_S, _PASS_BOUNDS)
    reads = defaults.number("min_reads", _READS, _READS_BOUNDS)
    gap = table.number("gap_ms", gap, _GAP_BOUNDS)
    filters = parse_filters(table, gap)
    station = Station(
        name=table.text("name"),
        party=_party(table, parties),
        topics=parse_topics(table, None),
        antennas=None if antennas is None else frozenset(antennas),
        read_point=_identifier(table, "read_point", table.text("read_point")),
        biz_location=None if location is None else _identifier(table, "biz_location", location),
        timezone=_timezone(table, _timezone(defaults, "+00:00")),
        gap_us=filters.cycle_us or gap * 1_000,
        idle_us=table.number("idle_s", idle, _IDLE_BOUNDS) * 1_000_000,
        pass_us=filters.cycle_us
        or table.number("pass_max_s", longest, _PASS_BOUNDS) * 1_000_000,
        min_reads=table.number("min_reads", reads, _READS_BOUNDS),
        emits=tuple(_parse_emit(one) for one in table.tables("emit")),
        gap_least_us=filters.cycle_us or filters.gap_least_us,
        include=filters.include,
        exclude=filters.exclude,
        rssi_least_cdbm=filters.rssi_least_cdbm,
        stray_percent=filters.stray_percent,
        cycle_us=filters.cycle_us,
        direction=filters.direction,
        trigger=filters.trigger,
    )
    check_station(table, station)
    if len(station.emits) > EMITS_MAX:
        raise table.error("emit", f"there are over {EMITS_MAX}")
    if sum(isinstance(one, TransformationEmit) for one in station.emits) > 1:
        raise table.error(
            "emit", "two are transformations; a station makes one batch at a time"
        )
    table.close()
    return station


def _parse_emit(table: Table) -> Emit:
    kind = table.text("event")
    match kind:
        case "object":
            emit: Emit = _parse_object(table)
        case "aggregation" | "association":
            emit = _parse_aggregation(table, kind)
        case "transformation":
            outputs = _patterns(table, "outputs", _ANY)
            emit = TransformationEmit(
                why=_why(table), outputs=outputs, ilmd=table.mapping("ilmd")
            )
        case "transaction":
            emit = TransactionEmit(
                why=_why(table),
                action=_action(table, None),
                epcs=_patterns(table, "epcs", _ANY),
                when=parse_when(table),
            )
            if not emit.why.transactions:
                raise table.error("transactions", "is missing; this event is about them")
        case _:
            known = "object, aggregation, transformation, association and transaction"
            raise table.error("event", f"is {kind!r:.40}; there are {known}")
    table.close()
    return emit


def _parse_object(table: Table) -> ObjectEmit:
    emit = ObjectEmit(
        why=_why(table),
        action=_action(table, "OBSERVE"),
        epcs=_patterns(table, "epcs", _ANY),
        ilmd=table.mapping("ilmd"),
        when=parse_when(table),
    )
    if emit.ilmd and emit.action != "ADD":
        raise table.error("ilmd", "goes with the action ADD alone: it is given at birth")
    return emit


def _parse_aggregation(table: Table, kind: str) -> AggregationEmit:
    action = _action(table, None)
    children = _patterns(table, "children", _ANY) if table.has("children") else None
    if children is None:
        table.optional_text("children")
        if action == "ADD":
            raise table.error("children", "is missing; say what goes into the parent")
    packing = parse_packing(table)
    when = parse_when(table)
    if packing is not None and (action != "ADD" or when != When()):
        raise table.error("packing", "goes with the action ADD alone, without way and report")
    return AggregationEmit(
        type="AggregationEvent" if kind == "aggregation" else "AssociationEvent",
        why=_why(table),
        action=action,
        parent=_patterns(table, "parent", None),
        children=children,
        when=when,
        packing=packing,
    )


def _parse_sensor(table: Table, defaults: Table, parties: dict[str, str]) -> SensorRule:
    device = table.text("device")
    asset, place = table.optional_text("asset"), table.optional_text("place")
    if (asset is None) == (place is None):
        raise table.error("asset", "set either asset or place: what the samples are about")
    values = table.mapping("values")
    for name, quantity in values.items():
        if quantity not in QUANTITY_NAMES:
            raise table.error("values", f"{name!r:.40} is none of {', '.join(QUANTITY_NAMES)}")
    idle = defaults.number("idle_s", _IDLE_S, _IDLE_BOUNDS)
    rule = SensorRule(
        name=f"sensor {device}",
        device=device,
        device_uri=_device_uri(table, device),
        topics=parse_topics(table, ("#",)),
        party=_party(table, parties),
        asset=None if asset is None else _identifier(table, "asset", asset),
        place=None if place is None else _identifier(table, "place", place),
        biz_step=_word(table, "biz_step", table.text("biz_step", "sensor_reporting"), BIZ_STEP),
        timezone=_timezone(table, _timezone(defaults, "+00:00")),
        batch=table.number("batch", _BATCH, _BATCH_BOUNDS),
        span_us=table.number("span_s", _SPAN_S, _SPAN_BOUNDS) * 1_000_000,
        idle_us=table.number("idle_s", idle, _IDLE_BOUNDS) * 1_000_000,
        values={name: str(quantity) for name, quantity in values.items()},
    )
    table.close()
    return rule


def _device_uri(table: Table, device: str) -> str:
    """Return the URI that EPCIS wants for a device: RFC 9039 for an address."""
    given = table.optional_text("device_uri")
    if given is not None:
        if _URI.fullmatch(given) is None:
            raise table.error("device_uri", f"{given!r:.80} is no URI")
        return given
    upper = device.upper()
    mac = _MAC.fullmatch(upper)
    if mac is not None:
        pairs = mac.groups()
        return f"urn:dev:mac:{''.join((*pairs[:3], 'FF', 'FE', *pairs[3:])).lower()}"
    if _EUI64.fullmatch(upper) is not None:
        return f"urn:dev:mac:{device.lower()}"
    if _URI.fullmatch(device) is not None:
        return device
    raise table.error("device_uri", f"is missing; {device!r:.80} is no address and no URI")


def _why(table: Table) -> Why:
    step, disposition = table.optional_text("biz_step"), table.optional_text("disposition")
    transactions = []
    for one in table.tables("transactions"):
        kind = one.optional_text("type")
        transactions.append((kind, _identifier(one, "id", one.text("id"))))
        one.close()
    return Why(
        biz_step=None if step is None else _word(table, "biz_step", step, BIZ_STEP),
        disposition=(
            None
            if disposition is None
            else _word(table, "disposition", disposition, DISPOSITION)
        ),
        sources=_ends(table, "source"),
        destinations=_ends(table, "destination"),
        transactions=tuple(transactions),
    )


def _ends(table: Table, key: str) -> tuple[tuple[str, str], ...]:
    ends = []
    for one in table.tables(key):
        kind = one.text("type")
        if kind not in _PARTY_TYPES and _URI.fullmatch(kind) is None:
            raise one.error("type", f"is {kind!r:.40}, want one of {', '.join(_PARTY_TYPES)}")
        ends.append((kind, _identifier(one, "id", one.text("id"))))
        one.close()
    return tuple(ends)


def _action(table: Table, default: Action | None) -> Action:
    match table.text("action", default):
        case "ADD":
            return "ADD"
        case "OBSERVE":
            return "OBSERVE"
        case "DELETE":
            return "DELETE"
        case other:
            raise table.error("action", f"is {other!r:.40}, want ADD, OBSERVE or DELETE")


def _party(table: Table, parties: dict[str, str]) -> str:
    text = table.text("party")
    found = parties.get(canonical_key(text))
    if found is None:
        raise table.error("party", f"{text!r:.120} is not the id of any [[party]]")
    return found


def _patterns(table: Table, key: str, default: tuple[str, ...] | None) -> tuple[str, ...]:
    patterns = table.texts(key, default)
    for pattern in patterns:
        table.check(key, lambda text: matches_pattern(text, "urn:x:y"), pattern)
    return patterns


def _identifier(table: Table, key: str, text: str) -> str:
    return table.check(key, parse_epc, text)


def _word(table: Table, key: str, text: str, vocabulary: Vocabulary) -> str:
    """Return the bare word for `text`, or a URI of one's own vocabulary as it is."""
    canonical = canonical_biz_step if vocabulary is BIZ_STEP else canonical_disposition
    word = canonical(text)
    if not is_known(vocabulary, word) and _URI.fullmatch(word) is None:
        raise table.error(
            key, f"{text!r:.80} is no word of CBV's {vocabulary.name}, and no URI"
        )
    return word


def _timezone(table: Table, default: str) -> str:
    text = table.text("timezone", default)
    return table.check("timezone", parse_offset, text)
