"""Units: exact where a decimal can be, refused where kinds differ."""

import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ParseError
from ledger.gs1.units import UNITS, convert, convert_difference, parse_unit


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
