"""Units: exact where a decimal can be, refused where kinds differ."""

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ParseError
from ledger.gs1.cbv import MEASUREMENTS
from ledger.gs1.unit_table import TABLE
from ledger.gs1.units import UNITS, convert, convert_difference, fits, parse_unit


@pytest.mark.parametrize(
    ("value", "source", "target", "want"),
    [
        ("41", "FAH", "CEL", "5"),
        ("5", "CEL", "FAH", "41"),
        ("0.1", "CEL", "KEL", "273.25"),
        ("-40", "FAH", "CEL", "-40"),
        ("1180.5", "KGM", "TNE", "1.1805"),
        ("1180.10", "KGM", "GRM", "1180100"),
        ("1", "LBR", "GRM", "453.59237"),
        ("1013.25", "A97", "ATM", "1"),
        ("36", "KMH", "MTS", "10"),
        ("2.5", "DZN", "H87", "30"),
        ("12.50", "P1", "C62", "0.125"),
        ("0.0000000000000000000000000000000000001", "KGM", "GRM", "1E-34"),
        ("12345678901234567890123456789012345678901", "GRM", "KGM",
         "12345678901234567890123456789012345678.901"),
    ],
)  # fmt: skip
def test_a_conversion_is_exact(value: str, source: str, target: str, want: str) -> None:
    assert convert(Decimal(value), source, target) == Decimal(want)


def test_what_no_decimal_spells_is_rounded_to_34_digits() -> None:
    third = convert(Decimal(1), "FAH", "CEL")
    assert str(third) == "-17.22222222222222222222222222222222"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**9),
                   max_value=10**9), st.sampled_from(sorted(UNITS)))  # fmt: skip
def test_there_and_back_is_where_it_began(value: Decimal, code: str) -> None:
    base = next(one for one in UNITS.values() if one.kind == UNITS[code].kind)
    there = convert(value, code, base.code)
    back = convert(there, base.code, code)
    assert abs(Fraction(back) - Fraction(value)) <= Fraction(1, 10**18)


def test_the_temperatures_agree_with_the_recommendation(shared_data: Path) -> None:
    path = shared_data / "epcis" / "unece-rec20" / "Rec20-extract.jsonld"
    for row in json.loads(path.read_text(), parse_float=Decimal)["@graph"]:
        unit = parse_unit(row["rdf:value"])
        factor = Fraction(
            row["uncefact:conversionMultiplier"], row["uncefact:conversionDivisor"]
        )
        assert unit.name == row["rdfs:label"]
        assert unit.factor == factor
        assert unit.offset == Fraction(row["uncefact:conversionOffset"])


@pytest.mark.parametrize(
    ("value", "source", "target"),
    [("1", "KGM", "LTR"), ("1", "kgm", "KGM"), ("1", "KGM", ""), ("NaN", "CEL", "KEL"),
     ("Infinity", "KGM", "KGM")],
)  # fmt: skip
def test_what_cannot_be_converted_is_refused(value: str, source: str, target: str) -> None:
    with pytest.raises(ParseError):
        convert(Decimal(value), source, target)


def test_a_difference_of_temperatures_has_no_offset() -> None:
    assert convert_difference(Decimal(9), "FAH", "CEL") == 5
    assert convert_difference(Decimal(5), "CEL", "KEL") == 5
    assert convert_difference(Decimal(5), "CEL", "CEL") == 5
    assert convert_difference(Decimal(2), "KGM", "GRM") == 2000


# As UN/ECE Recommendation 20 prints them: rounded to seven digits, in the SI unit.
PUBLISHED = """
    PS 6894.757 PAL; UA 133.3224 PAL; HN 133.3224 PAL; F79 3386.389 PAL; 84 6894757 PAL;
    K85 47.88026 PAL; F78 249.0889 PAL; C78 4.448222 NEW; L40 0.2780139 NEW; M76 0.1382550 NEW;
    M92 1.355818 NU; F21 0.1129848 NU; BTU 1055.056 JOU; 85 1.355818 JOU; 2I 0.2930711 WTT;
    J89 1333.224 PAL; 87 16.01846 KMQ; LA 27679.90 KMQ; GE 119.8264 KMQ; K71 99.77637 KMQ;
    F13 14.59390 KGM; BUA 0.03523907 MTQ; BUI 0.03636872 MTQ; GLD 0.004404884 MTQ;
    QTD 0.001101221 MTQ; PTI 0.0005682613 MTQ; BLD 0.1156271 MTQ; M68 3.624556 MTQ;
    G24 0.00001478676 MTQ; KNT 0.5144444 MTS; FR 0.00508 MTS; MIK 2589988 MTK; ACR 4046.856 MTK;
    2L 0.0004719474 MQS; G2 0.00006309020 MQS; G3 0.00007576820 MQS; N29 0.06242796 A39;
    P25 10.76391 LUX; P28 1550.003 A24; 2C 0.000258 CKG; M51 0.3048006 MTR; A12 149597870700 MTR
"""


@pytest.mark.parametrize("row", [" ".join(one.split()) for one in PUBLISHED.split(";")])
def test_the_definitions_agree_with_what_the_recommendation_prints(row: str) -> None:
    code, factor, base = row.split()
    digits = len(factor.replace(".", "").lstrip("0"))
    found = convert(Decimal(1), code, base)
    assert abs(found / Decimal(factor) - 1) <= Decimal(10) ** (1 - max(digits, 6))


@pytest.mark.parametrize(
    ("degrees", "radians"), [("180", "3.141592653589793238462643383279503")]
)
def test_angles_lead_to_the_radian_without_losing_a_digit(degrees: str, radians: str) -> None:
    assert convert(Decimal(degrees), "DD", "C81") == Decimal(radians)
    assert convert(Decimal(1), "M44", "D62") == 1296000


def test_every_measurement_that_gs1_names_has_a_unit() -> None:
    for measurement in MEASUREMENTS:
        fitting = [code for code in UNITS if fits(code, measurement)]
        assert 0 < len(fitting) < len(UNITS) / 2, measurement
    for kind in TABLE:
        code = next(unit.code for unit in UNITS.values() if unit.kind == kind)
        assert any(fits(code, one) for one in MEASUREMENTS), kind


@pytest.mark.parametrize(
    ("code", "measurement", "is_fitting"),
    [
        ("CEL", "Temperature", True),
        ("KGM", "Temperature", False),
        ("P1", "RelativeHumidity", True),
        ("A93", "AbsoluteHumidity", True),
        ("MTR", "Altitude", True),
        ("SMI", "https://example.com/Sourness", True),
        ("4T", "Capacitance", True),
    ],
)
def test_a_unit_fits_what_is_measured(code: str, measurement: str, *, is_fitting: bool) -> None:
    assert fits(code, measurement) is is_fitting
    with pytest.raises(ParseError):
        fits("XXX", measurement)
