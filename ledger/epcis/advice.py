"""What a careful receiver tells the sender of an event, beyond what `rules` demands.

`parse_event` takes an event that breaks these, because evidence is kept as it came. A
capture refuses an event for a **grave** fault, which makes it mean another thing or nothing,
and reports the others. What an example of GS1 itself does is never grave.

Pure: no I/O, no clock, no randomness.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache

from ledger.epcis.fields import check_fields, is_own_name, own_terms
from ledger.epcis.rules import Fault, check_structure
from ledger.epcis.shape import pointer
from ledger.epcis.values import Event, Report, SensorElement
from ledger.errors import ParseError
from ledger.gs1 import cbv
from ledger.gs1.digital_link import is_web_uri
from ledger.gs1.epc import canonical_key, parse_epc
from ledger.gs1.units import fits, parse_unit

OWN_FIELDS_MAX = 10_000
"""Fields of one event that EPCIS does not know."""

_IDENTITIES = ("epcList", "childEPCs", "inputEPCList", "outputEPCList")
_QUANTITIES = ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList")
_ITEMS = ("urn:epc:id:sgtin:", "urn:epc:id:sscc:")
_PAIRED = (
    ("bizTransactionList", "bizTransaction"),
    ("sourceList", "source"),
    ("destinationList", "destination"),
)
# What a sensor's metadata and its reports may both say, but should say only once.
_SHARED = ("time", "deviceID", "deviceMetadata", "rawData", "dataProcessingMethod", "bizRules")
_VALUES = ("value", "minValue", "maxValue", "meanValue", "percValue", "sDev")


def check_event(event: Event) -> Iterator[Fault]:
    """Yield every rule that `event` breaks, structure first; nothing for a clean event."""
    yield from check_structure(event)
    yield from _check_subject(event)
    yield from check_fields(event)
    yield from _check_identities(event)
    yield from _check_words(event)
    yield from _check_containment(event)
    yield from _check_extensions(event)
    yield from _check_error(event)
    for n, element in enumerate(event.sensors):
        yield from _check_element(event, element, f"/sensorElementList/{n}")


def _check_subject(event: Event) -> Iterator[Fault]:
    """Yield what EPCIS 2.0 section 7.4 asks of a type beyond what gives it a meaning at all."""
    if event.type == "ObjectEvent":
        is_named = "epcList" in event.raw or event.quantities
        if not is_named and event.sensors and event.read_point is None:
            mend = "say where it was measured, or name the things"
            yield Fault("/readPoint", "is missing beside sensor data about nothing else", mend)
        if "ilmd" in event.raw and event.action in ("OBSERVE", "DELETE"):
            mend = "give it with ADD, when things begin"
            why = f"comes with {event.action}"
            yield Fault("/ilmd", why, mend, grave=False)  # one of GS1's drafts has it
    elif event.type == "TransactionEvent":
        is_named = "epcList" in event.raw or event.quantities
        if not is_named and event.action != "DELETE":
            mend = "name the things; only DELETE may omit them, and then means all"
            yield Fault("/epcList", "is missing, and quantityList", mend)


def _items(event: Event, field: str) -> Iterable[object]:
    value = event.raw.get(field)
    return value if isinstance(value, list) else ()


def _check_identities(event: Event) -> Iterator[Fault]:
    """Yield each identifier that is malformed or of the wrong level."""
    for field in _IDENTITIES:
        for n, text in enumerate(_items(event, field)):
            yield from _check_epc(f"/{field}/{n}", str(text), is_class=False)
    for field in _QUANTITIES:
        for n, item in enumerate(_items(event, field)):
            if isinstance(item, Mapping):
                text = str(item.get("epcClass"))
                yield from _check_epc(f"/{field}/{n}/epcClass", text, is_class=True)
    if event.parent_id is not None:
        yield from _check_epc("/parentID", str(event.raw["parentID"]), is_class=False)
    for place, text in _uris(event):
        yield from _check_uri(place, text)


def _uris(event: Event) -> Iterator[tuple[str, str]]:
    for field in ("readPoint", "bizLocation"):
        place = event.raw.get(field)
        if isinstance(place, Mapping):
            yield f"/{field}/id", str(place.get("id"))
    for field in ("eventID", "transformationID"):
        if field in event.raw:
            yield f"/{field}", str(event.raw[field])
    for field, name in _PAIRED:
        for n, item in enumerate(_items(event, field)):
            if isinstance(item, Mapping):
                yield f"/{field}/{n}/{name}", str(item.get(name))


def _check_epc(place: str, text: str, *, is_class: bool) -> Iterator[Fault]:
    # Nearly every item: that it has a key (which is remembered) says that it parses.
    if not is_class and text.startswith(_ITEMS) and canonical_key(text) != text:
        return
    try:
        epc = parse_epc(text)
    except ParseError as error:
        mend = "write the identifier as GS1 TDS or Digital Link says"
        # A link whose check digit is wrong names something all the same, if only to itself.
        yield Fault(place, error.why, mend, grave=not is_web_uri(text))
        return
    if text.startswith("("):
        yield Fault(place, "is an element string, no URI", f"write it as {epc.key}")
    is_instance = not epc.is_class and epc.scheme != "other"
    if epc.is_class and not is_class:
        mend = "name the instance, or put the class into a quantity list"
        yield Fault(place, f"{text[:80]!r} is a class", mend, grave=False)
    elif is_instance and is_class:
        yield Fault(
            place, f"{text[:80]!r} is one instance", "put it into an EPC list", grave=False
        )


def _check_uri(place: str, text: str) -> Iterator[Fault]:
    why = _why_no_uri(text)
    if why is not None:
        yield Fault(place, why, "write an absolute URI")


@lru_cache(maxsize=4096)  # places are few, and each is in thousands of events
def _why_no_uri(text: str) -> str | None:
    try:
        parse_epc(text)
    except ParseError as error:
        return error.why
    return None


def _check_words(event: Event) -> Iterator[Fault]:
    """Yield each bare word that the Core Business Vocabulary does not have."""
    if event.biz_step is not None:
        yield from _check_word("/bizStep", cbv.BIZ_STEP, event.biz_step)
    if event.disposition is not None:
        yield from _check_word("/disposition", cbv.DISPOSITION, event.disposition)
    both = {"set": event.persistent_set, "unset": event.persistent_unset}
    for field, words in both.items():
        for n, word in enumerate(words):
            place = f"/persistentDisposition/{field}/{n}"
            yield from _check_word(place, cbv.DISPOSITION, word)
            if field == "set" and word in event.persistent_unset:
                yield Fault(place, f"{word!r} is set and unset", "say one of them")
    for field, pairs in (
        ("sourceList", event.sources),
        ("destinationList", event.destinations),
    ):
        for n, (kind, _) in enumerate(pairs):
            yield from _check_word(f"/{field}/{n}/type", cbv.SOURCE_DEST_TYPE, kind)
    for n, (kind, _) in enumerate(event.biz_transactions):
        if kind:
            place = f"/bizTransactionList/{n}/type"
            yield from _check_word(place, cbv.BIZ_TRANSACTION_TYPE, kind)


def _check_word(place: str, vocabulary: cbv.Vocabulary, word: str) -> Iterator[Fault]:
    if ":" not in word and not cbv.is_known(vocabulary, word):
        mend = "use a CBV word, or a URI for a word of your own"
        yield Fault(place, f"{word[:40]!r} is no CBV {vocabulary.name}", mend)


def _check_containment(event: Event) -> Iterator[Fault]:
    """Yield what is named twice, and a parent among its own children."""
    for field, keys in (
        ("epcList", event.epc_list),
        ("childEPCs", event.child_epcs),
        ("inputEPCList", event.input_epcs),
        ("outputEPCList", event.output_epcs),
    ):
        if len(set(keys)) == len(keys):
            continue
        for key, count in Counter(keys).items():
            if count > 1:
                place = f"/{field}/{keys.index(key)}"
                yield Fault(place, f"is named {count} times", "name it once", grave=False)
    if event.parent_id is not None and event.parent_id in event.child_epcs:
        place = f"/childEPCs/{event.child_epcs.index(event.parent_id)}"
        yield Fault(place, "is its own parent", "leave it out of the children")


def _check_extensions(event: Event) -> Iterator[Fault]:
    if len(event.extensions) > OWN_FIELDS_MAX:
        why = f"has {len(event.extensions)} fields of its own"
        yield Fault("", why, f"have at most {OWN_FIELDS_MAX}, or lists and objects in them")
        return
    terms = own_terms(event) if event.extensions or event.ilmd else frozenset()
    for field in event.extensions:
        if not is_own_name(field, terms):
            mend = "prefix your own field and say in @context what the prefix means"
            yield Fault(pointer("", field), "is no field of EPCIS", mend)
    for field in event.ilmd:
        if not is_own_name(field, terms):
            mend = "prefix it, as in cbvmda:lotNumber"
            yield Fault(pointer("/ilmd", field), "has no prefix", mend, grave=False)


def _check_error(event: Event) -> Iterator[Fault]:
    error = event.error
    if error is None:
        return
    if error.reason is not None:
        yield from _check_word("/errorDeclaration/reason", cbv.ERROR_REASON, error.reason)
    if error.reason == "did_not_occur" and error.corrective_ids:
        place = "/errorDeclaration/correctiveEventIDs"
        mend = "leave them out, or give the reason incorrect_data"
        yield Fault(place, "correct what did not occur", mend)
    for n, text in enumerate(error.corrective_ids):
        yield from _check_uri(f"/errorDeclaration/correctiveEventIDs/{n}", text)


def _check_element(event: Event, element: SensorElement, base: str) -> Iterator[Fault]:
    metadata = element.raw.get("sensorMetadata")
    start, end = element.start_us, element.end_us
    if start is not None and end is not None and start > end:
        yield Fault(f"{base}/sensorMetadata/endTime", "is before startTime", "swap them")
    for n, report in enumerate(element.reports):
        place = f"{base}/sensorReport/{n}"
        yield from _check_report(report, place)
        if isinstance(metadata, Mapping):
            yield from _check_shared(metadata, report, place)
        if (
            report.time_us is not None
            and event.is_timed
            and report.time_us > event.event_time_us
        ):
            mend = "an event reports what was measured before it"
            yield Fault(f"{place}/time", "is after eventTime", mend, grave=False)
    if element.time_us is not None and event.is_timed and element.time_us > event.event_time_us:
        mend = "an event reports what was measured before it"
        yield Fault(f"{base}/sensorMetadata/time", "is after eventTime", mend, grave=False)


def _check_shared(
    metadata: Mapping[str, object], report: Report, place: str
) -> Iterator[Fault]:
    for field in _SHARED:
        if field in metadata and field in report.raw:
            mend = "say it once, in the metadata where it holds for all readings"
            yield Fault(f"{place}/{field}", "is in sensorMetadata too", mend, grave=False)


def _check_report(report: Report, place: str) -> Iterator[Fault]:
    if not report.type:
        mend = "say what was measured, such as Temperature"
        yield Fault(f"{place}/type", "is missing", mend, grave=False)
    if report.uom is None and any(field in report.raw for field in _VALUES):
        mend = "give the unit's UN/ECE Recommendation 20 code, such as CEL"
        yield Fault(f"{place}/uom", "is missing beside a number", mend, grave=False)
    yield from _check_unit(report, place)
    low, high = report.min, report.max
    if low is not None and high is not None and low > high:
        yield Fault(f"{place}/minValue", f"{low} is above maxValue {high}", "swap them")
    if report.mean is not None and not _is_between(report.mean, low, high):
        mend = "give the mean of the same readings"
        yield Fault(
            f"{place}/meanValue", "lies outside of minValue to maxValue", mend, grave=False
        )
    kind = report.type
    if kind and ":" not in kind and kind not in cbv.MEASUREMENTS:
        mend = "use a measurement type of GS1's vocabulary, or a URI"
        yield Fault(f"{place}/type", f"{kind[:40]!r} is unknown", mend, grave=False)
    if report.component is not None:
        yield from _check_word(f"{place}/component", cbv.COMPONENT, report.component)


def _check_unit(report: Report, place: str) -> Iterator[Fault]:
    if report.uom is None:
        return
    try:
        is_fitting = fits(report.uom, report.type)
    except ParseError as error:
        mend = "check the UN/ECE Recommendation 20 code"
        yield Fault(f"{place}/uom", error.why, mend, grave=False)
        return
    if not is_fitting:
        why = f"{report.uom} is a unit of {parse_unit(report.uom).kind}, not of {report.type}"
        yield Fault(f"{place}/uom", why, "check the type and the unit", grave=False)


def _is_between(value: Decimal, low: Decimal | None, high: Decimal | None) -> bool:
    return (low is None or low <= value) and (high is None or value <= high)
