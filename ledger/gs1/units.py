"""Units of measure: UN/ECE Recommendation 20 codes, converted without losing a digit.

    KGM kilogram   CEL degree Celsius   LTR litre   P1 percent   C62 one (a piece)

A unit is a straight line onto the base unit of its kind: base = (value + offset) x factor,
both exact fractions. `convert` computes with fractions and gives the exact decimal, or, where
no decimal is exact (FAH to CEL mostly), one of `DIGITS` significant digits.

`ledger.gs1.unit_table` holds the codes of every kind that GS1's vocabulary has a measurement
type for, not all 2,100 of the Recommendation (a barrel per day and psi has no type): an unknown
code is a `ParseError`, never a guess. Codes are case-sensitive, as published. Temperatures are
absolute, 5 CEL is 278.15 KEL; their differences are for `convert_difference`.

Pure: no I/O, no clock, no randomness.
"""

import re
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction

from ledger.errors import ParseError
from ledger.gs1.unit_table import TABLE

DIGITS = 34
"""Significant digits of a result that no decimal spells exactly (IEEE 754 decimal128)."""

_ROUNDING = Context(prec=DIGITS)
_EXACT_DIGITS_MAX = 60
# Kinds are named as GS1 names measurements, but for these.
_OTHER_KINDS = {
    "AbsoluteHumidity": ("density",),
    "Altitude": ("length",),
    "Count": ("number",),
    "Dimensionless": ("number",),
    "MassConcentration": ("density", "number"),
    "RadiantFlux": ("power",),
    "RelativeHumidity": ("number",),
    "Torque": ("torque", "energy"),
    "VolumeFraction": ("number",),
    "VolumetricFlux": ("volumetric flux", "speed"),
}
_CAPITAL = re.compile(r"(?<!^)([A-Z])")


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit: base = (value + offset) x factor, in the base unit of its kind."""

    code: str
    name: str
    kind: str
    factor: Fraction
    offset: Fraction


def _parse_rows() -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    for kind, rows in TABLE.items():
        for row in rows.split(";"):
            code, factor, *rest = row.split()
            offset = "0"
            if rest[0].startswith("+"):
                offset, *rest = rest
            assert code not in units
            units[code] = Unit(code, " ".join(rest), kind, _quotient(factor), Fraction(offset))
    return units


def _quotient(text: str) -> Fraction:
    above, _, below = text.partition("/")
    return Fraction(above) / Fraction(below or 1)


UNITS = _parse_rows()


def parse_unit(code: str, where: str = "uom") -> Unit:
    """Return the unit of a Recommendation 20 code; `ParseError` for one not in the table."""
    unit = UNITS.get(code)
    if unit is None:
        raise ParseError(
            where, f"{code[:20]!r} is no unit code of UN/ECE Recommendation 20 known here"
        )
    return unit


def fits(code: str, measurement: str) -> bool:
    """Say whether a unit can be one of `measurement`, a bare type of GS1's vocabulary.

    Of a type that GS1 does not have nothing is known, so every unit fits. Raises `ParseError`
    for an unknown code.
    """
    kind = parse_unit(code).kind
    kinds = _OTHER_KINDS.get(measurement) or (_CAPITAL.sub(r" \1", measurement).lower(),)
    return kind in kinds or not any(one in TABLE for one in kinds)


def convert(value: Decimal, source: str, target: str) -> Decimal:
    """Return `value` of unit `source` in unit `target`, exact where a decimal can be.

    Raises `ParseError` for an unknown code, for units of different kinds (kilograms are no
    litres) and for a value that is no number.
    """
    one, other = _same_kind(value, source, target)
    if source == target:
        return value
    base = (Fraction(value) + one.offset) * one.factor
    return _decimal(base / other.factor - other.offset)


def _same_kind(value: Decimal, source: str, target: str) -> tuple[Unit, Unit]:
    """Return both units, or raise `ParseError` where `value` cannot be converted."""
    one, other = parse_unit(source), parse_unit(target)
    if one.kind != other.kind:
        raise ParseError(
            "uom", f"{source} is a unit of {one.kind}, {target} one of {other.kind}"
        )
    if not value.is_finite():
        raise ParseError("value", f"{value} is no number")
    return one, other


def convert_difference(value: Decimal, source: str, target: str) -> Decimal:
    """Return a difference, such as a standard deviation, of unit `source` in unit `target`.

    Differences of temperatures have no offset: 9 FAH are 5 CEL. Raises `ParseError` as
    `convert` does.
    """
    one, other = _same_kind(value, source, target)
    return value if source == target else _decimal(Fraction(value) * one.factor / other.factor)


def _decimal(value: Fraction) -> Decimal:
    """Return the exact decimal of `value` where it has one of reasonable length."""
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest == 1 and places <= _EXACT_DIGITS_MAX:
        scaled = value.numerator * 10**places // value.denominator
        return Decimal(scaled).scaleb(-places, Context(prec=len(str(scaled)) + places + 1))
    return _ROUNDING.divide(Decimal(value.numerator), Decimal(value.denominator))
