"""Tags: the standard's own examples, random values of every coding, and hostile bits."""

import json
import string
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import ParseError
from ledger.gs1 import urn
from ledger.gs1.bits import BitReader, BitWriter
from ledger.gs1.epc import canonical_key, check_digit, parse_epc
from ledger.gs1.hostname import put_hostname, take_hostname
from ledger.gs1.keys import quote_urn
from ledger.gs1.partitioned import ENCODINGS
from ledger.gs1.plus import PLUS
from ledger.gs1.tds import TAG_NAMES, decode_epc_memory, encode_plus, encode_tag

CSET82 = string.ascii_letters + string.digits + "!\"%&'()*+,-./:;<=>?_"
CSET6 = string.ascii_uppercase + string.digits + "-/"
CAGE = string.digits + "ABCDEFGHJKLMNPQRSTUVWXYZ"


@pytest.fixture(scope="module")
def vectors(shared_data: Path) -> list[dict[str, Any]]:
    path = shared_data / "epcis" / "tds" / "tds-2.3-annex-E3.json"
    found: list[dict[str, Any]] = json.loads(path.read_text())["vectors"]
    assert len(found) == 45
    return found


def same_memory(one: str, other: str) -> bool:
    """Say whether two memories differ in nothing but the zeros that fill them up."""
    return one.rstrip("0") == other.rstrip("0")


def test_every_example_of_the_standard_decodes(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        read = decode_epc_memory(vector["hex"])
        link = vector["digital_link"]
        assert read.scheme == vector["scheme"].lower()
        assert read.tag_uri == vector["epc_tag_uri"]
        assert read.epc_uri == (vector["epc_uri"] or link.partition("?")[0])
        if "filter" in vector:
            assert read.filter_value == vector["filter"]
        if vector["gs1_element_string"]:
            assert canonical_key(read.epc_uri) == parse_epc(vector["gs1_element_string"]).key
            assert canonical_key(read.epc_uri) == parse_epc(link).key


def test_every_example_of_the_standard_encodes(vectors: list[dict[str, Any]]) -> None:
    for vector in vectors:
        if vector["epc_tag_uri"]:
            memory = encode_tag(vector["epc_tag_uri"])
        else:
            name, link = vector["scheme"].lower(), vector["digital_link"]
            memory = encode_plus(name, link, filter_value=vector["filter"])
        assert same_memory(memory, vector["hex"])
        assert len(memory) % 4 == 0


def test_a_dated_tag_keeps_its_date_out_of_the_identity(vectors: list[dict[str, Any]]) -> None:
    (vector,) = (one for one in vectors if one["scheme"] == "DSGTIN+")
    read = decode_epc_memory(vector["hex"])
    assert read.date == ("17", "220630")
    assert "17" not in canonical_key(read.epc_uri).split("/")


def test_old_and_new_coding_of_one_carton_have_one_key() -> None:
    old = decode_epc_memory(encode_tag("urn:epc:tag:sgtin-198:1.9506000.013435.32a%2Fb"))
    link = "https://id.gs1.org/01/09506000134352/21/32a%2Fb"
    new = decode_epc_memory(encode_plus("sgtin+", link))
    named = decode_epc_memory(
        encode_plus("sgtin++", "https://id.dairy.example/01/09506000134352/21/32a%2Fb")
    )
    assert named.epc_uri.startswith("https://id.dairy.example/")
    assert {canonical_key(one.epc_uri) for one in (old, new, named)} == {link}


def test_every_tag_uri_is_an_epc_urn() -> None:
    assert set(TAG_NAMES) == set(urn.TAG_NAMES)


@st.composite
def tag_uris(draw: st.DrawFn, name: str) -> str:
    """Draw a tag URI of the coding `name`, any value that it can hold."""
    encoding = next(one for one in ENCODINGS if one.name == name)
    row = draw(st.sampled_from(encoding.rows))
    prefix = draw(
        st.text(string.digits, min_size=row.prefix_digits, max_size=row.prefix_digits)
    )
    if encoding.reference == "digits":
        n = row.reference_digits
        reference = draw(st.text(string.digits, min_size=n, max_size=n))
    elif encoding.reference == "number":
        reference = str(draw(st.integers(0, row.reference_mask)))
    else:
        size = row.reference_digits
        reference = quote_urn(draw(st.text(CSET82, min_size=1, max_size=size)))
    components = [str(draw(st.integers(0, 7))), prefix, reference]
    tail = encoding.tail
    bits = tail.bits
    if tail.components == 3:
        components += [f"{draw(st.integers(0, 99)):02d}" for _ in range(2)]
        bits -= 14
    if name in ("gdti-113", "sgcn-96"):
        longest = 17 if name == "gdti-113" else 12
        components.append(draw(st.text(string.digits, min_size=1, max_size=longest)))
    elif tail.components and bits > 64:
        text = draw(st.text(CSET82, min_size=1, max_size=bits // 7))
        components.append(quote_urn(text))
    elif tail.components:
        components.append(str(draw(st.integers(0, (1 << bits) - 1))))
    return f"urn:epc:tag:{name}:{'.'.join(components)}"


@pytest.mark.parametrize("name", [one.name for one in ENCODINGS])
@given(data=st.data())
def test_every_partitioned_coding_round_trips(name: str, data: st.DataObject) -> None:
    uri = data.draw(tag_uris(name))
    memory = encode_tag(uri)
    read = decode_epc_memory(memory)
    assert read.tag_uri == uri
    assert read.scheme == name
    assert parse_epc(uri) == parse_epc(read.epc_uri)
    assert decode_epc_memory(memory + "0000") == read
    assert decode_epc_memory(memory.lower()) == read


@given(
    st.text(string.digits, min_size=6, max_size=12),
    st.text(CSET6 + "#", min_size=1, max_size=18),
    st.integers(0, 10**12 - 1),
)
def test_a_part_with_letters_round_trips(prefix: str, part: str, serial: int) -> None:
    written = part.replace("#", "%23").replace("/", "%2F")
    uri = f"urn:epc:tag:cpi-var:0.{prefix}.{written}.{serial}"
    read = decode_epc_memory(encode_tag(uri))
    assert read.tag_uri == uri
    assert parse_epc(read.epc_uri).scheme == "cpi"


@given(
    st.text(CAGE, min_size=5, max_size=6),
    st.text(CSET6, max_size=32),
    st.text(CSET6, min_size=1, max_size=29),
    st.booleans(),
)
def test_an_aircraft_part_round_trips(cage: str, part: str, serial: str, marked: bool) -> None:  # noqa: FBT001
    mark = "%23" if marked else ""
    body = f"{cage}.{part}.{mark}{serial}".replace("/", "%2F")
    uri = f"urn:epc:tag:adi-var:9.{body}"
    read = decode_epc_memory(encode_tag(uri))
    assert read.tag_uri == uri
    assert parse_epc(read.epc_uri).key == f"urn:epc:id:adi:{body}"


@given(st.text(CAGE, min_size=5, max_size=6), st.integers(0, 2**36 - 1), st.integers(0, 15))
def test_a_military_tag_round_trips(cage: str, serial: int, filter_value: int) -> None:
    uri = f"urn:epc:tag:usdod-96:{filter_value}.{cage}.{serial}"
    assert decode_epc_memory(encode_tag(uri)).tag_uri == uri


@given(st.integers(0, 2**28 - 1), st.integers(0, 2**24 - 1), st.integers(0, 2**36 - 1))
def test_a_general_identifier_round_trips(manager: int, kind: int, serial: int) -> None:
    uri = f"urn:epc:tag:gid-96:{manager}.{kind}.{serial}"
    assert decode_epc_memory(encode_tag(uri)).tag_uri == uri


@st.composite
def links(draw: st.DrawFn, ai: str) -> str:
    """Draw the path of a Digital Link below the application identifier `ai`."""
    digits = {"01": 13, "00": 17, "414": 12, "8003": 12, "8018": 17, "8017": 17, "253": 12}
    digits |= {"255": 12, "8006": 13}
    if ai in ("8004", "8010"):
        chars = CSET82 if ai == "8004" else CSET6 + "#"
        head = draw(st.text(string.digits, min_size=6, max_size=12))
        value = head + draw(st.text(chars, min_size=1, max_size=18))
    else:
        value = draw(st.text(string.digits, min_size=digits[ai], max_size=digits[ai]))
        value += check_digit(value)
    value = "0" + value if ai == "8003" else value
    value += "0102" if ai == "8006" else ""
    inline = {"8003": 16, "253": 17}
    if ai in inline:
        value += draw(st.text(CSET82, min_size=1, max_size=inline[ai]))
    if ai == "255":
        value += draw(st.text(string.digits, min_size=1, max_size=12))
    path = f"{ai}/{percent(value)}"
    if ai == "8010":
        return f"{path}/8011/{draw(st.integers(0, 10**12 - 1))}"
    qualifier = {"01": "21", "8006": "21", "414": "254"}.get(ai)
    serial = draw(st.text(CSET82, min_size=1, max_size=20))
    return f"{path}/{qualifier}/{percent(serial)}" if qualifier else path


def percent(text: str) -> str:
    return "".join(c if c.isalnum() or c in "-._" else f"%{ord(c):02X}" for c in text)


@pytest.mark.parametrize("plus", PLUS, ids=lambda one: one.name)
@given(data=st.data(), filter_value=st.integers(0, 7))
def test_every_plus_coding_round_trips(
    plus: Any, data: st.DataObject, filter_value: int
) -> None:
    host = "id.dairy.example.co.uk" if plus.has_host else "id.gs1.org"
    link = f"https://{host}/{data.draw(links(plus.ai))}"
    query = "?15=240229" if plus.is_dated else ""
    read = decode_epc_memory(encode_plus(plus.name, link + query, filter_value=filter_value))
    assert read.scheme == plus.name
    assert read.epc_uri == link
    assert read.filter_value == filter_value
    assert read.date == (("15", "240229") if plus.is_dated else None)


@given(
    st.from_regex(
        r"[A-Za-z0-9]([A-Za-z0-9.\-]{0,60}[A-Za-z0-9])?(:[0-9]{1,2})?", fullmatch=True
    )
)
def test_every_host_name_round_trips(host: str) -> None:
    if len(host) > 63:
        return
    writer = BitWriter()
    put_hostname(writer, host)
    memory = writer.to_hex()
    assert take_hostname(BitReader(int(memory, 16), 4 * len(memory))) == host


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        (".ac", 0x0000),
        (".fi", 0x0045),
        (".li", 0x007F),
        (".lk", 0x0080),
        (".tr", 0x00DD),
        (".zw", 0x00F4),
        (".com.au", 0x0100),
        (".co.uk", 0x0119),
        (".gov.cn", 0x011F),
        (".tech", 0x0180),
    ],
)
def test_a_domain_has_the_bits_that_the_standard_lists(ending: str, code: int) -> None:
    writer = BitWriter()
    put_hostname(writer, f"x{ending}")
    reader = BitReader(int(writer.to_hex(), 16), 4 * len(writer.to_hex()))
    assert reader.take(7) == 0x43  # seven-bit text, three times seven bits
    assert chr(reader.take(7)) == "x"
    assert reader.take(14) == code


@given(st.text("0123456789abcdefABCDEF", min_size=1, max_size=128))
def test_any_hex_decodes_and_nothing_is_guessed(memory: str) -> None:
    read = decode_epc_memory(memory)
    if read.tag_uri is not None:
        assert same_memory(encode_tag(read.tag_uri), memory.upper())
    elif read.scheme is None:
        assert read.epc_uri == f"urn:epc:raw:{4 * len(memory)}.x{memory.upper()}"
    assert (parse_epc(read.epc_uri).scheme == "raw") is (read.scheme is None)


@given(
    st.sampled_from(
        [*(one.header for one in ENCODINGS), *(one.header for one in PLUS), 0x3B, 0x3D]
    ),
    st.binary(min_size=1, max_size=40),
)
def test_a_known_header_before_noise_is_an_epc_or_raw(header: int, noise: bytes) -> None:
    memory = bytes((header,)).hex() + noise.hex()
    read = decode_epc_memory(memory)
    epc = parse_epc(read.epc_uri)
    if read.tag_uri is not None:
        assert same_memory(encode_tag(read.tag_uri), memory.upper())
        assert parse_epc(read.tag_uri) == epc
    assert epc.scheme == "raw" or read.scheme is not None


@pytest.mark.parametrize(
    "memory",
    [
        "E28011700000020F9D5A4C1B",  # a TID, whose header is reserved
        "00",
        "000000000000000000000000",
        "3066C4409047E140075BCD1",  # four bits short
        "3066C4409047E140075BCD15F",  # bits after the end
        "307EC4409047E140075BCD15",  # partition 7
        "3043FFFFFFFFFFFFFFFFFFFF",  # company prefix of 13 digits
        "311BA1B300CE0A6A83000001",  # reserved bits of an SSCC
        "F90095201234567891236",  # wrong check digit
        "F9009520123456789123A",  # no digit
        "FB37CDE795211411234538566CB0AFC4",  # reserved date type
        "F73795211411234538000000000",  # serial number of no characters
    ],
)
def test_what_is_no_gs1_epc_is_kept_as_it_is(memory: str) -> None:
    read = decode_epc_memory(memory)
    assert read.epc_uri == f"urn:epc:raw:{4 * len(memory)}.x{memory}"
    assert (read.tag_uri, read.scheme, read.filter_value) == (None, None, None)


def test_data_after_a_plus_tag_is_ignored_where_the_tag_announces_it() -> None:
    memory = encode_plus("sscc+", "https://id.gs1.org/00/095201234567891235")
    announced = memory[:2] + "8" + memory[3:21] + "ABC"
    assert decode_epc_memory(announced).epc_uri.endswith("/00/095201234567891235")
    assert decode_epc_memory(memory[:21] + "ABC").scheme is None


def test_a_host_name_cannot_smuggle_in_another_identity() -> None:
    writer = BitWriter()
    writer.put(0xEF0, 12)
    for digit in "095201234567891235":
        writer.put(int(digit), 4)
    host = "a/00/395060001343520001?"
    writer.put(1, 1)
    writer.put(len(host), 6)
    for char in host:
        writer.put(ord(char), 7)
    assert decode_epc_memory(writer.to_hex()).scheme is None


def test_the_pc_word_cuts_the_memory_and_tells_iso_from_gs1() -> None:
    memory = "3066C4409047E140075BCD15"
    assert decode_epc_memory(memory + "FFFF", pc=0x3000).scheme == "sgtin-96"
    assert decode_epc_memory(memory, pc=0x3000) == decode_epc_memory(memory)
    assert decode_epc_memory(memory, pc=0x31A1).epc_uri == f"urn:epc:raw:96.xA1.x{memory}"


@pytest.mark.parametrize("memory", ["", "xyz", "30 66", "0x30", "3" * 129, "٣٠"])
def test_what_is_no_memory_is_refused(memory: str) -> None:
    with pytest.raises(ParseError):
        decode_epc_memory(memory)


@pytest.mark.parametrize(
    "uri",
    [
        "urn:epc:tag:sgtin-96:3.9506000.013435",
        "urn:epc:tag:sgtin-96:8.9506000.013435.1",
        "urn:epc:tag:sgtin-96:3.9506000.013435.01",
        "urn:epc:tag:sgtin-96:3.9506000.013435.274877906944",
        "urn:epc:tag:sgtin-96:3.9506000.13435.1",
        "urn:epc:tag:sgtin-96:3.95060.01343500.1",
        "urn:epc:tag:sgtin-198:3.9506000.013435.a b",
        "urn:epc:tag:sgtin-198:3.9506000.013435.",
        "urn:epc:tag:giai-202:3.9506000." + "A" * 24,
        "urn:epc:tag:sgcn-96:3.9521141.67890.1234567890123",
        "urn:epc:tag:itip-110:3.9521141.012345.1.02.981",
        "urn:epc:tag:gid-96:952056.2718",
        "urn:epc:tag:usdod-96:3.CAGI.1",
        "urn:epc:tag:adi-var:3.35962.A%23.1",
        "urn:epc:tag:cpi-var:3.9521141..1",
        "urn:epc:tag:sgtin-97:3.9506000.013435.1",
        "urn:epc:id:sgtin:9506000.013435.1",
        "sgtin-96:3.9506000.013435.1",
    ],
)
def test_a_tag_uri_that_does_not_fit_is_refused(uri: str) -> None:
    with pytest.raises(ParseError):
        encode_tag(uri)


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("sgtin+", "https://id.gs1.org/01/09506000134352"),
        ("sgtin+", "https://id.gs1.org/00/095201234567891235"),
        ("sgtin+", "https://id.dairy.example/01/09506000134352/21/1"),
        ("sgtin+", "https://id.gs1.org/01/09506000134353/21/1"),
        ("sgtin+++", "https://id.gs1.org/01/09506000134352/21/1"),
        ("dsgtin+", "https://id.gs1.org/01/09506000134352/21/1"),
        ("dsgtin+", "https://id.gs1.org/01/09506000134352/21/1?17=220631"),
        ("sscc++", "https://id_dairy.example/00/095201234567891235"),
        ("grai+", "https://id.gs1.org/8003/09521141123454"),
    ],
)
def test_a_link_that_does_not_fit_a_plus_tag_is_refused(name: str, link: str) -> None:
    with pytest.raises(ParseError):
        encode_plus(name, link)


def test_a_location_without_extension_fits_a_plus_tag() -> None:
    link = "https://id.gs1.org/414/9521141123454"
    read = decode_epc_memory(encode_plus("sgln+", link))
    assert read.epc_uri == f"{link}/254/0"
    assert canonical_key(read.epc_uri) == link
