"""Every key can be spelled as URN, element string and Digital Link, and each leads back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ParseError
from ledger.gs1.epc import parse_epc
from ledger.gs1.keys import FORMS, Form
from ledger.gs1.spelling import format_digital_link, format_element_string, format_urn

CSET82 = "!\"%&'()*+,-./0123456789:;<=>?ABCXYZ_abcxyz"
CSET39 = "#-/0123456789ABCXYZ"
DIGITS = "0123456789"


def text(alphabet: str, most: int, least: int = 1) -> st.SearchStrategy[str]:
    return st.text(st.sampled_from(alphabet), min_size=least, max_size=most)


@st.composite
def urns(draw: st.DrawFn, form: Form) -> tuple[str, int]:
    """Return a URN of `form` and how long its company prefix is."""
    width = draw(st.integers(6, 12))
    prefix = draw(text(DIGITS, width, width))
    if form.digits:
        rest = form.digits - width
        reference = draw(text(DIGITS, rest, rest))
    else:
        alphabet = CSET39 if form.scheme == "cpi" else CSET82
        reference = draw(text(alphabet, form.reference_max - width))
    pieces = [prefix, quoted(reference)]
    pieces += [draw(text(DIGITS, one, one)) for one in form.middle]
    if form.serial_max:
        is_number = form.scheme in ("sgcn", "cpi")
        serial = draw(text(DIGITS if is_number else CSET82, form.serial_max))
        pieces.append(str(int(serial)) if form.scheme == "cpi" else quoted(serial))
    kind = "class" if form.scheme == "lgtin" else "id"
    return f"urn:epc:{kind}:{form.scheme}:{'.'.join(pieces)}", width


def quoted(value: str) -> str:
    return "".join(f"%{ord(c):02X}" if c in '%"&/<>?#' else c for c in value)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.scheme)
@given(data=st.data())
def test_every_spelling_leads_back_to_the_key(form: Form, data: st.DataObject) -> None:
    urn, width = data.draw(urns(form))
    key = parse_epc(urn).key
    assert parse_epc(format_urn(key, width)).key == key
    link = format_digital_link(key, "https://shop.example/milk/")
    assert link.startswith("https://shop.example/milk/")
    assert parse_epc(link).key == key
    if "(" not in urn:  # a bracket in a value reads as the next identifier
        assert parse_epc(format_element_string(key)).key == key


@pytest.mark.parametrize(
    ("key", "digits", "urn", "elements"),
    [
        (
            "https://id.gs1.org/01/09506000134352/21/32a%2Fb",
            7,
            "urn:epc:id:sgtin:9506000.013435.32a%2Fb",
            "(01)09506000134352(21)32a/b",
        ),
        (
            "https://id.gs1.org/01/09506000134352",
            7,
            "urn:epc:idpat:sgtin:9506000.013435.*",
            "(01)09506000134352",
        ),
        (
            "https://id.gs1.org/01/09506000134352/10/L1",
            7,
            "urn:epc:class:lgtin:9506000.013435.L1",
            "(01)09506000134352(10)L1",
        ),
        (
            "https://id.gs1.org/414/9506000000015",
            7,
            "urn:epc:id:sgln:9506000.00001.0",
            "(414)9506000000015",
        ),
        (
            "https://id.gs1.org/8003/095211411234545678",
            7,
            "urn:epc:id:grai:9521141.12345.5678",
            "(8003)095211411234545678",
        ),
        (
            "https://id.gs1.org/8006/095211411234540102/21/981",
            7,
            "urn:epc:id:itip:9521141.012345.01.02.981",
            "(8006)095211411234540102(21)981",
        ),
    ],
)
def test_a_key_is_spelled_as_the_standard_does(
    key: str, digits: int, urn: str, elements: str
) -> None:
    assert format_urn(key, digits) == urn
    assert format_element_string(key) == elements
    assert format_digital_link(key) == key


@pytest.mark.parametrize(
    "key",
    ["urn:uuid:1", "https://shop.example/01/09506000134352", "https://id.gs1.org/99/1", ""],
)
def test_what_is_no_key_is_refused(key: str) -> None:
    for spell in (format_digital_link, format_element_string):
        with pytest.raises(ParseError):
            spell(key)
    with pytest.raises(ParseError):
        format_urn(key, 7)


def test_a_prefix_that_no_company_has_is_refused() -> None:
    for digits in (5, 13):
        with pytest.raises(ParseError):
            format_urn("https://id.gs1.org/01/09506000134352", digits)
    with pytest.raises(ParseError):
        format_digital_link("https://id.gs1.org/01/09506000134352", "shop.example")
