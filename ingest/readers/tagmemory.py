"""A tag's memory as the EPC that it holds, after the GS1 tag data standard.

Pure: no I/O, no clock, no randomness.
"""

from functools import lru_cache

from ledger.errors import ParseError
from ledger.gs1.tds import decode_epc_memory

KEPT_MAX = 65_536
_PC_LENGTH_SHIFT = 11
_PC_EXTENDED = 0x0200


@lru_cache(maxsize=KEPT_MAX)
def epc_of_memory(hex_text: str, pc: int | None) -> str:
    """Return the EPC in memory, `urn:epc:raw:…` for what is no GS1 EPC.

    Raises `ParseError` where the protocol control word `pc` announces another length.
    """
    if pc is not None and not pc & _PC_EXTENDED:
        announced = (pc >> _PC_LENGTH_SHIFT) * 16
        if announced != 4 * len(hex_text):
            raise ParseError(
                "EPC",
                f"{hex_text} has {4 * len(hex_text)} bits, its protocol control word "
                f"{pc:04X} announces {announced}",
            )
    return decode_epc_memory(hex_text, pc=pc).epc_uri
