"""Tags: the identities that things have, and the bits that their labels carry.

An identity is an EPC pure-identity URN (TDS 2.3 section 6), a label a tag URI (section 12),
from which the radio gets its bits (section 14).

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NewType

from ledger.gs1.tds import encode_tag

TagForm = Literal["sgtin-96", "sgtin-198"]
Material = Literal["carton", "plastic", "glass", "liquid", "metal"]

Epc = NewType("Epc", str)

ITEM_FILTER = 1
CASE_FILTER = 2

_RAW = "urn:epc:raw:"


@dataclass(frozen=True, slots=True)
class Tag:
    """A tagged thing; it wears `labels` equal labels and is missed only if all are.

    `material` is what the label sits on and what is behind it. Two tags with one EPC are
    told apart by `chip`, which goes into the chip's serial number.
    """

    epc: Epc
    tag_uri: str
    labels: int = 1
    material: Material = "carton"
    chip: str = ""

    @property
    def memory(self) -> str:
        """The tag's EPC memory after the PC word, in upper-case hex (TDS 2.3 section 14)."""
        return _memory(self.tag_uri)

    @property
    def pc(self) -> str:
        """The protocol control word: the EPC's length in words, no user memory (Gen2)."""
        return f"{len(self.memory) // 4 << 11:04X}"


def item_tag(
    prefix: str, reference: str, serial: int, form: TagForm, material: Material
) -> Tag:
    """Return a serialised item under a label that has room for its serial.

    An SGTIN-198 has up to 20 characters: here a letter and the number to base 36, as a
    brand that counts in its own way would write it.
    """
    if form == "sgtin-96":
        return sgtin_tag(prefix, reference, serial, ITEM_FILTER, material)
    body = f"{prefix}.{reference}.N{_base36(serial)}"
    uri = f"urn:epc:tag:sgtin-198:{ITEM_FILTER}.{body}"
    return Tag(Epc(f"urn:epc:id:sgtin:{body}"), uri, material=material)


def sgtin_tag(
    prefix: str, reference: str, serial: int, filter_value: int, material: Material = "carton"
) -> Tag:
    """Return a serialised trade item under an SGTIN-96 label; `serial` is below 2**38.

    `reference` is the indicator digit and the item reference, 13 digits less the prefix.
    Filter 1 is a point-of-sale item, 2 a full case (TDS 2.3 section 10.2).
    """
    assert 0 <= serial < 1 << 38
    body = f"{prefix}.{reference}.{serial}"
    tag_uri = f"urn:epc:tag:sgtin-96:{filter_value}.{body}"
    return Tag(Epc(f"urn:epc:id:sgtin:{body}"), tag_uri, material=material)


def sscc_tag(prefix: str, number: int) -> Tag:
    """Return a logistic unit under its two SSCC-96 labels (GS1 Logistic Label: two sides)."""
    body = f"{prefix}.{number:0{17 - len(prefix)}d}"
    return Tag(Epc(f"urn:epc:id:sscc:{body}"), f"urn:epc:tag:sscc-96:6.{body}", labels=2)


def grai_tag(prefix: str, asset_type: str, serial: int) -> Tag:
    """Return a returnable asset under its two GRAI-96 labels; `serial` is below 2**38."""
    assert 0 <= serial < 1 << 38
    body = f"{prefix}.{asset_type}.{serial}"
    return Tag(Epc(f"urn:epc:id:grai:{body}"), f"urn:epc:tag:grai-96:0.{body}", labels=2)


def raw_tag(memory: str) -> Tag:
    """Return a tag of 96 bits that nobody wrote on purpose, in hex."""
    uri = f"{_RAW}{4 * len(memory)}.x{memory}"
    return Tag(Epc(uri), uri)


def worn(epc: Epc, chip: str = "") -> Tag:
    """Return a tag that carries the EPC of an item, on a chip of its own if `chip` says so."""
    body = epc.removeprefix("urn:epc:id:sgtin:")
    form = "sgtin-96" if body.rpartition(".")[2].isdecimal() else "sgtin-198"
    return Tag(epc, f"urn:epc:tag:{form}:{ITEM_FILTER}.{body}", chip=chip)


def lgtin(prefix: str, reference: str, lot: str) -> Epc:
    """Return the class of everything of one lot."""
    return Epc(f"urn:epc:class:lgtin:{prefix}.{reference}.{lot}")


def _base36(number: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, 36)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[rest] + digits
    return digits


@lru_cache(maxsize=1 << 16)
def _memory(tag_uri: str) -> str:
    if tag_uri.startswith(_RAW):
        return tag_uri.rpartition(".x")[2]
    return encode_tag(tag_uri)
