"""EPC memory of a tag: bits to EPC and back, after GS1 TDS 2.3 sections 12, 14 and 15.

The first eight bits, the header, say which coding table follows. The tables before TDS 2.0
(`partitioned`, `unpartitioned`) lead to a tag URI; those since (`plus`), whose names
end in + or ++, lead to a GS1 Digital Link:

    3066C4409047E140075BCD15       urn:epc:id:sgtin:95060001343.05.123456789, filter 3
    F73795211411234538566CB0AFC4   https://id.gs1.org/01/79521141123453/21/32a%2Fb, filter 3

A tag that is no GS1 EPC is kept as it is and never guessed: `urn:epc:raw:<bits>.x<HEX>`.
That is a header which is unknown or of another number of bits, a partition value of 7, a
number with more digits than its field may have, a character or a check digit that GS1 does
not have, bits after the end which are not zero (but for the data that a + tag announces),
and a tag whose PC word says that it holds an ISO application family: its AFI goes in front,
`urn:epc:raw:<bits>.x<AFI>.x<HEX>`. Zero bits after the end are padding, however many.

Pure: no I/O, no clock, no randomness.
"""

import re

from ledger.errors import ParseError
from ledger.gs1 import partitioned, unpartitioned
from ledger.gs1.bits import BitReader
from ledger.gs1.plus import PLUS_OF_HEADER, decode_plus, encode_plus
from ledger.gs1.tagread import TagRead

__all__ = [
    "EPC_BITS_MAX",
    "TAG_NAMES",
    "TagRead",
    "decode_epc_memory",
    "encode_plus",
    "encode_tag",
]

EPC_BITS_MAX = 512

_HEX = re.compile(r"[0-9A-Fa-f]+")
_HEADER_BITS = 8
_WORD_BITS = 16
_PC_LENGTH_SHIFT = 11
_PC_TOGGLE = 0x100
_PC_AFI = 0xFF
_TAG = "urn:epc:tag:"
_DECODERS = partitioned.DECODERS | unpartitioned.DECODERS
_ENCODERS = partitioned.ENCODERS | unpartitioned.ENCODERS
TAG_NAMES = tuple(_ENCODERS)


def decode_epc_memory(hex_text: str, *, pc: int | None = None) -> TagRead:
    """Return what the EPC memory bank `hex_text` says, from the header on.

    `pc` is the protocol control word in front of it where the reader gives it: it says how
    many words hold the EPC and whether it is a GS1 one. Raises `ParseError` only for what is
    not hex, is empty or has more than `EPC_BITS_MAX` bits.
    """
    if _HEX.fullmatch(hex_text) is None:
        raise ParseError("EPC memory", f"{hex_text[:80]!r} is not hex")
    bits = 4 * len(hex_text)
    if bits > EPC_BITS_MAX:
        raise ParseError("EPC memory", f"has {bits} bits, at most {EPC_BITS_MAX} are read")
    if pc is not None:
        held = (pc >> _PC_LENGTH_SHIFT) * _WORD_BITS
        if 0 < held < bits:
            hex_text, bits = hex_text[: held // 4], held
        if pc & _PC_TOGGLE:
            return _raw(bits, f"x{pc & _PC_AFI:02X}.x{hex_text.upper()}")
    read = _decode(int(hex_text, 16), bits)
    return read if read is not None else _raw(bits, f"x{hex_text.upper()}")


def _raw(bits: int, rest: str) -> TagRead:
    uri = f"urn:epc:raw:{bits}.{rest}"
    return TagRead(epc_uri=uri, tag_uri=None, scheme=None, filter_value=None)


def _decode(value: int, bits: int) -> TagRead | None:
    """Return the EPC in `value`, or None where it is no GS1 EPC."""
    if bits <= _HEADER_BITS:
        return None
    header = value >> bits - _HEADER_BITS
    decoder = _DECODERS.get(header)
    try:
        if decoder is not None:
            return decoder(value, bits)
        plus = PLUS_OF_HEADER.get(header)
        if plus is None:
            return None
        return decode_plus(plus, BitReader(value, bits))
    except ParseError:
        return None


def encode_tag(tag_uri: str) -> str:
    """Return the EPC memory, as upper-case hex in whole words, that holds `urn:epc:tag:…`.

    Raises `ParseError` where the URI is malformed or does not fit the encoding it names.
    """
    name, _, body = tag_uri.removeprefix(_TAG).partition(":")
    encoder = _ENCODERS.get(name)
    if encoder is None or not tag_uri.startswith(_TAG):
        known = ", ".join(TAG_NAMES)
        raise ParseError(f"tag URI {tag_uri[:80]!r}", f"names no encoding; want one of {known}")
    try:
        return encoder(body)
    except ParseError as error:
        raise ParseError(f"tag URI {tag_uri[:80]!r}", error.why) from None
