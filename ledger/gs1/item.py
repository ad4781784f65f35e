"""The item that a text names, in whatever spelling somebody has it.

    urn:epc:id:sgtin:9506000.013435.7            EPC URN, pure identity or tag
    https://example.org/01/09506000134352/21/7   Digital Link on any domain
    (01)09506000134352(21)7                      element string
    3034257BF400D1C000000007                     the EPC memory of the tag, in hex

Pure: no I/O, no clock, no randomness.
"""

import re

from ledger.gs1.epc import parse_epc
from ledger.gs1.tds import decode_epc_memory

_HEX = re.compile(r"[0-9A-Fa-f]{16,128}")
_HEX_WORD = 4


def parse_item(text: str) -> str:
    """Return the key of the item, or raise `ParseError` that names the character."""
    if _HEX.fullmatch(text) and len(text) % _HEX_WORD == 0:
        return parse_epc(decode_epc_memory(text).epc_uri).key
    return parse_epc(text).key
