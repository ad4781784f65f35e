"""Amounts of a lot, as far as two of them can be compared.

    amount_in(Decimal(2), "KGM", "GRM") == Decimal(2000)
    amount_in(Decimal(2), "KGM", "LTR") is None

Amounts are compared in one unit (UN/ECE Recommendation 20); without a unit they are pieces.
What cannot be converted is not compared: nothing is guessed.

Pure: no I/O, no clock, no randomness.
"""

from decimal import Decimal

from ledger.errors import ParseError
from ledger.gs1.units import convert


def amount_in(amount: Decimal | None, uom: str | None, unit: str | None) -> Decimal | None:
    """Return `amount` of `uom` in `unit`; None where it is unknown or of another kind."""
    if amount is None or uom == unit:
        return amount
    if uom is None or unit is None:
        return None
    try:
        return convert(amount, uom, unit)
    except ParseError:
        return None
