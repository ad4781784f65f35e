"""Units of measure: UN/ECE Recommendation 20 codes, converted without losing a digit.

    KGM kilogram   CEL degree Celsius   LTR litre   P1 percent   C62 one (a piece)

A unit is a straight line onto the base unit of its kind: base = (value + offset) x factor,
both exact fractions. `convert` computes with fractions and gives the exact decimal, or, where
no decimal is exact (FAH to CEL mostly), one of `DIGITS` significant digits.

The table holds the codes of supply chains (mass, volume, length, area, time, temperature,
pressure, humidity, speed, acceleration, electricity, light, energy, counts and shares), not
all 2,100 of the Recommendation: an unknown code is a `ParseError`, never a guess. Codes are
case-sensitive, as published. Temperatures are absolute: 5 CEL is 278.15 KEL, so a difference
of temperatures must not be converted here.

Pure: no I/O, no clock, no randomness.
"""

from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction

from ledger.errors import ParseError

DIGITS = 34
"""Significant digits of a result that no decimal spells exactly (IEEE 754 decimal128)."""

_ROUNDING = Context(prec=DIGITS)
_EXACT_DIGITS_MAX = 60


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit: base = (value + offset) x factor, in the base unit of its kind."""

    code: str
    name: str
    kind: str
    factor: Fraction
    offset: Fraction


_TABLE = {
    "mass": """
        KGM 1 kilogram; GRM 0.001 gram; MGM 0.000001 milligram; MC 0.000000001 microgram;
        TNE 1000 tonne; DTN 100 decitonne; HGM 0.1 hectogram; DG 0.0001 decigram;
        CGM 0.00001 centigram; LBR 0.45359237 pound; ONZ 0.028349523125 ounce;
        APZ 0.0311034768 troy ounce; STI 6.35029318 stone (UK);
        STN 907.18474 short ton (US); LTN 1016.0469088 long ton (UK);
        CWA 45.359237 hundred pound (US); CWI 50.80234544 hundredweight (UK)
    """,
    "volume": """
        MTQ 1 cubic metre; LTR 0.001 litre; DMQ 0.001 cubic decimetre; MLT 0.000001 millilitre;
        CMQ 0.000001 cubic centimetre; MMQ 0.000000001 cubic millimetre; CLT 0.00001 centilitre;
        DLT 0.0001 decilitre; HLT 0.1 hectolitre; K6 1 kilolitre; 4G 0.000000001 microlitre;
        GLL 0.003785411784 gallon (US); GLI 0.00454609 gallon (UK);
        QTL 0.000946352946 liquid quart (US); PTL 0.000473176473 liquid pint (US);
        OZA 0.0000295735295625 fluid ounce (US); OZI 0.0000284130625 fluid ounce (UK);
        FTQ 0.028316846592 cubic foot; INQ 0.000016387064 cubic inch;
        YDQ 0.764554857984 cubic yard; BLL 0.158987294928 barrel (US) of petroleum
    """,
    "length": """
        MTR 1 metre; CMT 0.01 centimetre; MMT 0.001 millimetre; DMT 0.1 decimetre;
        KMT 1000 kilometre; 4H 0.000001 micrometre; C45 0.000000001 nanometre;
        INH 0.0254 inch; FOT 0.3048 foot; YRD 0.9144 yard; SMI 1609.344 statute mile;
        NMI 1852 nautical mile
    """,
    "area": """
        MTK 1 square metre; CMK 0.0001 square centimetre; MMK 0.000001 square millimetre;
        DMK 0.01 square decimetre; KMK 1000000 square kilometre; HAR 10000 hectare;
        ARE 100 are; FTK 0.09290304 square foot; INK 0.00064516 square inch;
        YDK 0.83612736 square yard; ACR 4046.8564224 acre
    """,
    "time": """
        SEC 1 second; C26 0.001 millisecond; B98 0.000001 microsecond; MIN 60 minute;
        HUR 3600 hour; DAY 86400 day; WEE 604800 week
    """,
    "temperature": """
        KEL 1 kelvin; CEL 1 +273.15 degree Celsius; FAH 5/9 +459.67 degree Fahrenheit;
        A48 5/9 degree Rankine
    """,
    "pressure": """
        PAL 1 pascal; KPA 1000 kilopascal; A97 100 hectopascal; MPA 1000000 megapascal;
        BAR 100000 bar; MBR 100 millibar; ATM 101325 standard atmosphere; 74 0.001 millipascal
    """,
    "number": """
        C62 1 one; H87 1 piece; EA 1 each; PR 2 pair; DZN 12 dozen; GRO 144 gross;
        CEN 100 hundred; MIL 1000 thousand; P1 1/100 percent; NX 1/1000 part per thousand;
        59 1/1000000 part per million; 61 1/1000000000 part per billion
    """,
    "speed": "MTS 1 metre per second; KMH 5/18 kilometre per hour; HM 0.44704 mile per hour",
    "acceleration": """
        MSK 1 metre per second squared; K40 9.80665 standard acceleration of free fall;
        A76 0.01 gal
    """,
    "density": """
        KMQ 1 kilogram per cubic metre; A93 0.001 gram per cubic metre;
        GP 0.000001 milligram per cubic metre; GL 1 gram per litre; 23 1000 gram per cubic
        centimetre; M1 0.001 milligram per litre
    """,
    "energy": """
        JOU 1 joule; KJO 1000 kilojoule; 3B 1000000 megajoule; WHR 3600 watt hour;
        KWH 3600000 kilowatt hour; MWH 3600000000 megawatt hour
    """,
    "power": """
        WTT 1 watt; KWT 1000 kilowatt; MAW 1000000 megawatt; C31 0.001 milliwatt;
        D80 0.000001 microwatt
    """,
    "voltage": "VLT 1 volt; 2Z 0.001 millivolt; KVT 1000 kilovolt",
    "current": "AMP 1 ampere; 4K 0.001 milliampere",
    "charge": "COU 1 coulomb; AMH 3600 ampere hour; E09 3.6 milliampere hour",
    "illuminance": "LUX 1 lux; KLX 1000 kilolux",
    "frequency": """
        HTZ 1 hertz; KHZ 1000 kilohertz; MHZ 1000000 megahertz; A86 1000000000 gigahertz
    """,
    "substance concentration": "C35 1 mole per cubic decimetre; C38 1 mole per litre",
    "angle": "DD 1 degree [unit of angle]",
    "information": "A99 1 bit; AD 8 byte; 2P 8000 kilobyte; 4L 8000000 megabyte",
}


def _parse_rows() -> dict[str, Unit]:
    units: dict[str, Unit] = {}
    for kind, rows in _TABLE.items():
        for row in rows.split(";"):
            code, factor, *rest = row.split()
            offset = "0"
            if rest[0].startswith("+"):
                offset, *rest = rest
            assert code not in units
            units[code] = Unit(code, " ".join(rest), kind, Fraction(factor), Fraction(offset))
    return units


UNITS = _parse_rows()


def parse_unit(code: str, where: str = "uom") -> Unit:
    """Return the unit of a Recommendation 20 code; `ParseError` for one not in the table."""
    unit = UNITS.get(code)
    if unit is None:
        raise ParseError(
            where, f"{code[:20]!r} is no unit code of UN/ECE Recommendation 20 known here"
        )
    return unit


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
