"""Vectors of entries: the usual one, the unusual ones, and those that are refused."""

from collections.abc import Iterator

from ledger.cose import encode_cbor
from ledger.entry import Entry, encode_entry, entry_leaf
from ledger.statement import NO_HASH
from ledger.tlog.merkle import Hash, leaf_hash
from tests.ledger.memory_log import TIME_S, full_cast

Vector = tuple[str, dict[str, object]]
PREV, KEY = leaf_hash(b"prev"), leaf_hash(b"key")
TIME_US = TIME_S * 1_000_000


def accepted() -> dict[str, tuple[str, Entry]]:
    """Return (says, entry) by name."""
    statement = full_cast().log.statements[2].raw
    return {
        "usual": ("A party is admitted.", Entry(TIME_US, PREV, KEY, statement)),
        "first": ("Both links are zero.", Entry(TIME_US, NO_HASH, NO_HASH, statement)),
        "time_0": ("The shortest time.", Entry(0, PREV, KEY, statement)),
        "time_of_32_bits": (
            "The greatest in five bytes.",
            Entry(2**32 - 1, PREV, KEY, statement),
        ),
        "time_greatest": ("2^63 - 1.", Entry(2**63 - 1, PREV, KEY, statement)),
        "statement_of_255_bytes": (
            "A length in two bytes.",
            Entry(TIME_US, PREV, KEY, bytes(255)),
        ),
        "statement_of_0_bytes": (
            "An entry parses by itself; what it holds is the statement's own matter.",
            Entry(TIME_US, PREV, KEY, b""),
        ),
        "statement_of_65400_bytes": ("The longest.", Entry(TIME_US, PREV, KEY, bytes(65_400))),
    }


def refused() -> Iterator[tuple[str, str, bytes]]:
    """Yield (name, says, entry)."""
    statement = full_cast().log.statements[2].raw
    good = encode_entry(Entry(TIME_US, PREV, KEY, statement))

    def spell(*items: object) -> bytes:
        return encode_cbor(list(items))

    yield "version_2", "Version 1.", spell(2, TIME_US, PREV, KEY, statement)
    yield "version_0", "Version 1.", spell(0, TIME_US, PREV, KEY, statement)
    yield "six_elements", "Five.", spell(1, TIME_US, PREV, KEY, statement, None)
    yield "four_elements", "Five.", spell(1, TIME_US, PREV, statement)
    yield "time_negative", "From 0.", spell(1, -1, PREV, KEY, statement)
    yield "time_of_bytes", "A number.", spell(1, b"", PREV, KEY, statement)
    time = b"\x1b" + bytes(4) + b"\xff" * 4
    yield "time_of_32_bits_in_nine_bytes", "The long form.", good[:2] + time + good[11:]
    time = b"\x1b\x80" + bytes(7)
    yield "time_2_to_the_63", "Below 2^63.", good[:2] + time + good[11:]
    yield "prev_of_31_bytes", "32.", spell(1, TIME_US, PREV[:31], KEY, statement)
    yield "prev_null", "Zeros stand for nothing.", spell(1, TIME_US, None, KEY, statement)
    yield "key_leaf_of_33_bytes", "32.", spell(1, TIME_US, PREV, KEY + b"\0", statement)
    yield "statement_of_text", "Bytes.", spell(1, TIME_US, PREV, KEY, "statement")
    yield (
        "statement_of_65401_bytes",
        "At most 65,400.",
        spell(1, TIME_US, PREV, KEY, bytes(65_401)),
    )
    yield "of_65536_bytes", "At most 65,535.", spell(1, TIME_US, PREV, KEY, bytes(65_454))
    long_form = good[:79] + b"\x5a\0\0" + good[80:]
    yield "statement_length_in_five_bytes", "The long form.", long_form
    long_form = encode_entry(Entry(TIME_US, PREV, KEY, bytes(255)))
    long_form = long_form[:79] + b"\x59\0" + long_form[80:]
    yield "statement_length_in_three_bytes", "The long form.", long_form
    yield "array_of_indefinite_length", "Definite.", b"\x9f" + good[1:] + b"\xff"
    yield "byte_after_the_end", "Nothing follows.", good + b"\0"
    yield "cut_short", "The statement is cut off.", good[:-1]
    yield "cut_in_a_hash", "The links are cut off.", good[:50]
    yield "cut_before_the_time", "All but the start is cut off.", good[:2]
    yield "nothing", "An entry, not none.", b""


def vectors() -> Iterator[Vector]:
    """Yield (name, content) of each vector of this module."""
    for name, (says, entry) in accepted().items():
        data = encode_entry(entry)
        yield (
            f"entry/{name}",
            {
                "says": says,
                "accepted": True,
                "entry": data.hex(),
                "record_time_us": entry.record_time_us,
                "prev_leaf_hash": entry.prev_leaf_hash.hex(),
                "key_leaf_hash": entry.key_leaf_hash.hex(),
                "statement_size": len(entry.statement),
                "leaf": entry_leaf(data).hex(),
            },
        )
    for name, says, data in refused():
        yield f"entry/{name}", {"says": says, "accepted": False, "entry": data.hex()}
    yield _log_vector()


def _log_vector() -> Vector:
    log = full_cast().log
    return "entry/a_log_of_five", {
        "says": "Each entry names the leaf before it and the newest key entry about its kid.",
        "accepted": True,
        "entries": [data.hex() for data in log.entries],
        "leaves": [Hash(leaf).hex() for leaf in log.leaves],
        "root": log.root_at(log.size).hex(),
    }
