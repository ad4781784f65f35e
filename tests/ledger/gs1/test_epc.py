"""One identity whatever the spelling."""

import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ParseError
from ledger.gs1.epc import canonical_key, check_digit, matches_pattern, parse_epc

SERIAL_CHARS = string.ascii_letters + string.digits + "!\"%&'()*+,-./:;<=>?_"
MILK = "https://id.gs1.org/01/09506000134352/21/123"

serials = st.text(SERIAL_CHARS, min_size=1, max_size=20)
prefixes = st.integers(6, 12).flatmap(
    lambda n: st.text(string.digits, min_size=n, max_size=n),
)


@pytest.mark.parametrize(
    "text",
    [
        "urn:epc:id:sgtin:9506000.013435.123",
        "URN:EPC:id:sgtin:9506000.013435.123",
        "urn:epc:id:sgtin:95060001343.05.123",
        "urn:epc:tag:sgtin-96:3.9506000.013435.123",
        "urn:epc:tag:sgtin-198:0.9506000.013435.123",
        "https://id.gs1.org/01/09506000134352/21/123",
        "http://example.com/01/09506000134352/21/123",
        "https://dairy.example/shop/milk/01/09506000134352/21/123",
        "https://id.gs1.org/01/9506000134352/21/123",
        "https://id.gs1.org/01/09506000134352/22/2A/10/LOT1/21/123",
        "https://id.gs1.org/01/09506000134352/10/LOT1/21/123?17=261231&x=y#top",
        "https://id.gs1.org/01/09506000134352/21/%31%32%33/",
        "https://id.gs1.org/gtin/9506000134352/lot/LOT1/ser/123",  # codespell:ignore ser
        "(01)09506000134352(21)123",
        "(01)9506000134352(10)LOT1(21)123(17)261231",
    ],
)
def test_every_spelling_of_one_carton_has_one_key(text: str) -> None:
    assert canonical_key(text) == MILK
    assert parse_epc(text).scheme == "sgtin"


@pytest.mark.parametrize(
    ("text", "scheme", "key"),
    [
        ("urn:epc:id:sscc:9506000.1234567890", "sscc", "00/195060002345678901"),
        ("urn:epc:id:sgln:9506000.00001.0", "sgln", "414/9506000000015"),
        ("urn:epc:id:sgln:9506000.00001.dock1", "sgln", "414/9506000000015/254/dock1"),
        ("urn:epc:id:sgln:950600000001..0", "sgln", "414/9506000000015"),
        ("urn:epc:id:pgln:9506000.00001", "pgln", "417/9506000000015"),
        ("urn:epc:id:grai:9521141.12345.5678", "grai", "8003/095211411234545678"),
        ("urn:epc:id:giai:9521141.32a%2Fb", "giai", "8004/952114132a%2Fb"),
        ("urn:epc:id:gsrn:9521141.1234567890", "gsrn", "8018/952114112345678906"),
        ("urn:epc:id:gsrnp:9521141.1234567890", "gsrnp", "8017/952114112345678906"),
        ("urn:epc:id:gdti:9521141.12345.5678", "gdti", "253/95211411234545678"),
        ("urn:epc:id:cpi:9521141.5PQ7%2FZ43.12345", "cpi", "8010/95211415PQ7%2FZ43/8011/12345"),
        ("urn:epc:id:sgcn:9521141.67890.04711", "sgcn", "255/952114167890904711"),
        ("urn:epc:id:ginc:9521141.abc", "ginc", "401/9521141abc"),
        ("urn:epc:id:gsin:9521141.123456789", "gsin", "402/95211411234567892"),
        ("urn:epc:id:itip:9521141.012345.01.02.981", "itip", "8006/095211411234540102/21/981"),
        ("urn:epc:id:upui:9521141.089456.51qIg", "upui", "01/09521141894569/235/51qIg"),
        ("urn:epc:class:lgtin:9506000.013435.LOT1", "lgtin", "01/09506000134352/10/LOT1"),
        ("urn:epc:idpat:sgtin:9506000.013435.*", "gtin", "01/09506000134352"),
        ("urn:epc:idpat:grai:9521141.12345.*", "grai", "8003/09521141123454"),
    ],
)
def test_a_urn_has_its_digital_link_as_key(text: str, scheme: str, key: str) -> None:
    epc = parse_epc(text)
    assert epc.scheme == scheme
    assert epc.key == f"https://id.gs1.org/{key}"
    assert epc.urn == text
    assert canonical_key(epc.key) == epc.key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("urn:epc:id:sgtin:9506000.013435.007", "urn:epc:id:sgtin:9506000.013435.7"),
        ("urn:epc:id:sgln:9506000.00001.0", "urn:epc:id:pgln:9506000.00001"),
        ("urn:epc:class:lgtin:9506000.013435.7", "urn:epc:id:sgtin:9506000.013435.7"),
        (
            "https://id.gs1.org/01/09506000134352/21/a",
            "https://id.gs1.org/01/09506000134352/21/A",
        ),
    ],
)
def test_different_things_have_different_keys(one: str, other: str) -> None:
    assert canonical_key(one) != canonical_key(other)


def test_extension_zero_is_no_extension() -> None:
    link = "https://id.gs1.org/414/9506000000015"
    assert canonical_key(f"{link}/254/0") == link
    assert canonical_key("urn:epc:id:sgln:9506000.00001.0") == link
    assert canonical_key(f"{link}/254/00") == f"{link}/254/00"


def test_a_digital_link_does_not_know_its_company_prefix() -> None:
    assert parse_epc(MILK).urn is None


@pytest.mark.parametrize(
    "text",
    [
        "https://id.gs1.org/01/09506000134352",
        "https://id.gs1.org/01/09506000134352/10/LOT1",
        "https://id.gs1.org/8003/09521141123454",
        "https://id.gs1.org/8006/095211411234540102",
        "https://id.gs1.org/8010/95211415PQ7%2FZ43",
        "urn:epc:idpat:sgtin:9506000.*.*",
    ],
)
def test_a_class_is_no_instance(text: str) -> None:
    assert parse_epc(text).is_class


@pytest.mark.parametrize(
    "text",
    [
        "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "http://transaction.acme.com/po/12345678",
        "https://example.com/00/12345",
        "https://example.com/01/09506000134352/99/x",
        "geo:50.94,6.92",
        "urn:epc:raw:96.xE28011700000020F9D5A4C1B",
        "urn:epc:id:gid:952056.2718.1414",
        "urn:epcglobal:cbv:bt:0614141073467:1152",
    ],
)
def test_what_is_no_gs1_key_is_its_own_key(text: str) -> None:
    assert parse_epc(text).key == text
    assert canonical_key(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("urn:epc:id:sgtin:9506000.01343x.1", "character 26"),
        ("urn:epc:id:sgtin:9506000.013435", "3 components"),
        ("urn:epc:id:sgtin:95060.01343500.1", "character 18"),
        ("urn:epc:id:sgtin:9506000.013435.", "character 33"),
        ("urn:epc:id:sgtin:9506000.013435.a b", "bad character"),
        ("urn:epc:id:sgtin:9506000.013435.1%2", "without two hex digits"),
        ("urn:epc:id:sgtin:9506000.013435.1%00", "not printable"),
        ("urn:epc:id:sgtin:9506000.013435." + "1" * 21, "over 20"),
        ("urn:epc:id:sgtin:9506000.٠١٣٤٣٥.1", "is not 6 digits"),
        ("urn:epc:id:gizmo:1.2", "unknown"),
        ("urn:epc:tag:sgtin-97:3.9506000.013435.1", "unknown"),
        ("urn:epc:tag:sgtin-96:8.9506000.013435.1", "filter value"),
        ("urn:epc:raw:96", "raw tag"),
        ("https://id.gs1.org/01/09506000134353/21/1", "it should be 2"),
        ("https://example.com/00/195060002345678900", "it should be 1"),
        ("(01)09506000134353(21)1", "it should be 2"),
        ("(414)9506000000010", "it should be 5"),
        ("https://id.gs1.org/milk/09506000134352", "no primary identifier"),
        ("(21)1", "no primary identifier"),
        ("hello", "no URI"),
        ("", "no URI"),
        ("x" * 2000, "at most 1024"),
    ],
)
def test_what_is_malformed_is_named(text: str, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        parse_epc(text)
    assert canonical_key(text) == text


common = st.one_of(
    st.from_regex(
        r"urn:epc:id:sgtin:[0-9]{5,13}\.[0-9]{0,8}\.[A-Za-z0-9.~%\-]{0,21}", fullmatch=True
    ),
    st.from_regex(r"urn:epc:id:sscc:[0-9]{5,13}\.[0-9]{3,12}", fullmatch=True),
    st.from_regex(r"https://id\.gs1\.org/01/[0-9]{13,14}/21/[a-z0-9~]{0,21}", fullmatch=True),
    st.builds(
        lambda digits, serial: (
            f"https://id.gs1.org/01/{digits}{check_digit(digits)}/21/{serial}"
        ),
        st.text(string.digits, min_size=13, max_size=13),
        st.text(string.ascii_letters + "-._~", min_size=1, max_size=21),
    ),
    st.builds(
        lambda digits, n, serial: f"urn:epc:id:sgtin:{digits[:n]}.{digits[n:]}.{serial}",
        st.text(string.digits, min_size=13, max_size=13),
        st.integers(6, 12),
        st.text(string.ascii_letters + "-._~", min_size=1, max_size=21),
    ),
)


@given(common)
def test_the_short_way_to_a_key_leads_to_the_same_key(text: str) -> None:
    try:
        want = parse_epc(text).key
    except ParseError:
        want = text
    assert canonical_key(text) == want


@given(st.text())
def test_a_key_never_raises_and_is_its_own_key(text: str) -> None:
    key = canonical_key(text)
    assert canonical_key(key) == key


@given(st.sampled_from(["urn:epc:id:", "urn:epc:", "https://id.gs1.org/", "("]), st.text())
def test_nothing_but_parse_error_leaves_the_parser(start: str, rest: str) -> None:
    try:
        epc = parse_epc(start + rest)
    except ParseError:
        return
    assert canonical_key(epc.key) == epc.key


@given(prefixes, st.text(string.digits, min_size=7, max_size=7), serials)
def test_urn_link_and_element_string_agree(prefix: str, rest: str, serial: str) -> None:
    reference = rest[: 13 - len(prefix)]
    escaped = "".join(f"%{ord(c):02x}" if c in '"%&/<>?' else c for c in serial)
    epc = parse_epc(f"urn:epc:id:sgtin:{prefix}.{reference}.{escaped}")
    assert epc.urn is not None
    assert parse_epc(epc.urn) == epc
    digits = reference[0] + prefix + reference[1:]
    gtin = digits + check_digit(digits)
    hexed = "".join(f"%{ord(c):02x}" for c in serial)
    assert canonical_key(f"https://any.example/01/{gtin}/21/{hexed}") == epc.key
    assert canonical_key(epc.key) == epc.key
    if "(" not in serial:
        assert canonical_key(f"(01){gtin}(21){serial}") == epc.key


@given(st.text(string.digits, min_size=1, max_size=17), st.integers(0, 16), st.integers(1, 9))
def test_a_check_digit_catches_every_single_wrong_digit(digits: str, at: int, by: int) -> None:
    at %= len(digits)
    wrong = digits[:at] + str((int(digits[at]) + by) % 10) + digits[at + 1 :]
    assert check_digit(wrong) != check_digit(digits)


def test_the_check_digit_of_the_general_specifications() -> None:
    assert check_digit("629104150021") == "3"
    assert check_digit("0950600013435") == "2"
    with pytest.raises(ParseError):
        check_digit("12a")


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("*", "anything", True),
        ("urn:epc:idpat:sgtin:9506000.013435.*", MILK, True),
        ("urn:epc:idpat:sgtin:9506000.*.*", "urn:epc:id:sgtin:9506000.013435.1", True),
        ("urn:epc:idpat:sgtin:*.*.*", MILK, True),
        ("urn:epc:idpat:sgtin:9506001.*.*", MILK, False),
        ("urn:epc:idpat:sgtin:9506000.113435.*", MILK, False),
        ("urn:epc:idpat:sgtin:9506000.013435.*", "urn:epc:id:sscc:9506000.0134351234", False),
        ("urn:epc:idpat:sgtin:9506000.013435.*", "urn:epc:idpat:sgtin:9506000.013435.*", True),
        ("urn:epc:idpat:sscc:9506000.*", "https://a.example/00/195060002345678901", True),
        ("urn:epc:idpat:sscc:9506000.*", "urn:epc:id:sscc:9506001.1234567890", False),
        ("urn:epc:idpat:grai:9521141.12345.*", "urn:epc:id:grai:9521141.12345.5678", True),
        ("urn:epc:idpat:grai:9521141.*.*", "urn:epc:id:grai:9521141.12345.5678", True),
        ("urn:epc:idpat:sgln:9506000.00001.*", "urn:epc:id:sgln:9506000.00001.0", True),
        ("urn:epc:idpat:sgln:9506000.00001.*", "urn:epc:id:sgln:9506000.00001.x", True),
        ("urn:epc:idpat:giai:9521141.*", "urn:epc:id:giai:9521141.5678", True),
        (
            "urn:epc:idpat:itip:9521141.012345.*.*.*",
            "urn:epc:id:itip:9521141.012345.01.02.9",
            True,
        ),
        ("urn:epc:idpat:cpi:9521141.*.*", "urn:epc:id:cpi:9521141.98765.12345", True),
        ("urn:epc:idpat:gid:952056.2718.*", "urn:epc:id:gid:952056.2718.1414", True),
        ("urn:epc:idpat:gid:952056.2718.*", "urn:epc:id:gid:952056.27181.1414", False),
        ("urn:epc:id:sgtin:9506000.013435.123", MILK, True),
        ("urn:epc:idpat:sgtin:9506000.013435.*", "urn:epc:raw:96.xE28011", False),
    ],
)
def test_a_pattern_matches_by_identity(pattern: str, text: str, fits: bool) -> None:  # noqa: FBT001
    assert matches_pattern(pattern, text) is fits


@pytest.mark.parametrize(
    "pattern",
    [
        "urn:epc:idpat:sgtin:9506000.*",
        "urn:epc:idpat:sgtin:*.013435.*",
        "urn:epc:idpat:x:*",
        "a b",
    ],
)
def test_a_malformed_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ParseError):
        matches_pattern(pattern, MILK)


def test_the_examples_of_the_reference_page_are_true() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "identifiers.md"
    rows = re.findall(r"\| `(urn:epc:[^`]+)` \| `(/[^`…]+)` \|", page.read_text())
    assert len(rows) > 10
    for urn, path in rows:
        assert canonical_key(urn) == f"https://id.gs1.org{path}"
