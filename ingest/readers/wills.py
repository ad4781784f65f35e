"""Last wills and greetings: what the broker says for a reader that is gone, or it once back.

    connection lost                                    Impinj R700, as it ships; "connected"
    {"smartreader-mqtt-status":"disconnected"}         SmartReader
    {"gw_mac":"C8:25:2D:8E:9C:2C","state":"online"}    Ruuvi Gateway
    Offline   online   {"state":"offline"}   {"status":"connected"}    Tasmota, ESPHome, bridges

The text, or the one field that says the state, is such a word and nothing else, in any case.
It is no read, and is listed so; but the state of its reader is known from it.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Mapping
from typing import Literal

from ingest.readers.fields import first_of, loose_instant, may_name_tag
from ingest.readers.generic import EPC_FIELDS, LIST_FIELDS, NUMBER_FIELDS, SENSOR_FIELDS
from ingest.reads import Parsed, Vital, not_a_read

STATE_FIELDS = (
    *("state", "status", "connection", "connectionStatus", "lwt", "LWT"),
    *("smartreader-mqtt-status", "mqttStatus"),
)
NAME_FIELDS = ("reader", "readerName", "reader_name", "gw_mac", "mac", "hostname", "deviceId")
TIME_FIELDS = ("timestamp", "time", "ts")
FIELDS_MAX = 8

_WORDS: Mapping[str, Literal["online", "offline"]] = {
    "online": "online",
    "connected": "online",
    "offline": "offline",
    "disconnected": "offline",
    "connection lost": "offline",
}
# Who says one of these says more than that it is there.
_CONTENT = frozenset(
    (
        *(*EPC_FIELDS, *LIST_FIELDS, *SENSOR_FIELDS, *NUMBER_FIELDS),
        *("dropped", "type", "data", "gpi", "eventType", "TagId"),
    )
)
_WORD_CHARS_MAX = max(map(len, _WORDS))


def state_of(text: object) -> Literal["online", "offline"] | None:
    """Return the state that `text` is the word for, None for anything else."""
    if not isinstance(text, str) or len(text) > 2 * _WORD_CHARS_MAX:
        return None
    return _WORDS.get(text.strip().lower())


def is_will(obj: Mapping[str, object]) -> bool:
    """Return whether `obj` says whether its sender is there, and hardly anything else."""
    if len(obj) > FIELDS_MAX or not obj.keys().isdisjoint(_CONTENT):
        return False
    if any(isinstance(one, dict | list) for one in obj.values()) or may_name_tag(obj):
        return False
    found = first_of(obj, STATE_FIELDS)
    return found is not None and state_of(found[1]) is not None


def parse_will(obj: Mapping[str, object], where: str) -> Parsed:
    """Return the state that an object says."""
    found, name = first_of(obj, STATE_FIELDS), first_of(obj, NAME_FIELDS)
    assert found is not None
    time = first_of(obj, TIME_FIELDS)
    vital = Vital(
        reader=name[1] if name is not None and isinstance(name[1], str) else None,
        time_us=None if time is None else loose_instant(time[1]),
        state=state_of(found[1]),
        why=f"{found[0]}: {found[1]}",
    )
    fault = not_a_read(f"its sender is {vital.state} ({vital.why})", where)
    return Parsed(items=(vital,), faults=(fault,))


def parse_text(text: str, where: str) -> Parsed | None:
    """Return the state that a text says, None where it is no such word."""
    state = state_of(text)
    if state is None:
        return None
    said = text.strip()
    vital = Vital(state=state, why=said)
    return Parsed(items=(vital,), faults=(not_a_read(f"the text {said!r}", where),))
