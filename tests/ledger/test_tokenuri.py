"""PKCS#11 URIs: what RFC 7512 lets them say, and no PIN in any refusal."""

import pytest

from ledger.errors import ParseError
from ledger.tokenuri import TokenUri, parse_token_uri

QUERY = "?module-path=/usr/lib/p11.so&pin-source=env:PIN"
SECRET = "31415926"


def test_a_uri_names_a_token_a_key_a_driver_and_a_pin() -> None:
    text = f"pkcs11:token=The%20Log;serial=97b6;id=%01%fF;object=key;type=private{QUERY}"
    assert parse_token_uri(text) == TokenUri(
        token="The Log",
        serial="97b6",
        id=b"\x01\xff",
        object="key",
        module_path="/usr/lib/p11.so",
        pin_source="env:PIN",
    )


def test_values_may_hold_all_that_section_2_3_lets_them() -> None:
    path = "pkcs11:manufacturer=a:b[c]@!$'()*+,=&-._~;model=%3B%3F%2F;object=%C3%A9"
    uri = parse_token_uri(f"{path}?pin-source=/a?b|c/d&module-path=C:%5Cp11.dll")
    assert (uri.manufacturer, uri.model) == ("a:b[c]@!$'()*+,=&-._~", ";?/")
    assert (uri.object, uri.pin_source, uri.module_path) == ("é", "/a?b|c/d", "C:\\p11.dll")


@pytest.mark.parametrize("source", ["/run/pin", "file:/run/pin", "file:///run/pin"])
def test_a_file_with_the_pin_has_three_spellings(source: str) -> None:
    text = f"pkcs11:token=t;object=k?module-path=/p&pin-source={source}"
    assert parse_token_uri(text).pin_source == "/run/pin"


def test_messages_say_which_token_and_which_key() -> None:
    uri = parse_token_uri(f"pkcs11:serial=9;token=t;object=k;id=%0a{QUERY}")
    assert uri.describe_token() == "token=t;serial=9"
    assert uri.describe_key() == "object=k;id=0a"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("token=t;object=k" + QUERY, "does not start"),
        ("PKCS11:token=t;object=k" + QUERY, "does not start"),
        ("pkcs11:", "none of token"),
        ("pkcs11:object=k" + QUERY, "none of token, serial"),
        ("pkcs11:token=t" + QUERY, "none of object, id"),
        ("pkcs11:token=t;object=k", "no module-path"),
        ("pkcs11:token=t;object=k?module-path=/p", "no pin-source"),
        ("pkcs11:token=t;object=k?pin-source=env:PIN", "no module-path"),
        ("pkcs11:token=t;object=k?module-path=p11.so&pin-source=env:P", "not absolute"),
        ("pkcs11:token=t;token=t;object=k" + QUERY, "token twice"),
        (f"pkcs11:token=t;object=k{QUERY}&pin-source=/x", "pin-source twice"),
        ("pkcs11:token=;object=k" + QUERY, "empty"),
        ("pkcs11:token;object=k" + QUERY, "empty"),
        ("pkcs11:token=t;;object=k" + QUERY, "as ;-attribute 2 none of id, man"),
        ("pkcs11:token=t;object=k;" + QUERY, "attribute 3 none"),
        (f"pkcs11:token=t;object=k{QUERY}&", "as &-attribute 3 none of mod"),
        ("pkcs11:token=a b;object=k" + QUERY, "escaped"),
        ("pkcs11:token=a/b;object=k" + QUERY, "escaped"),
        ("pkcs11:token=%4;object=k" + QUERY, "escaped"),
        ("pkcs11:token=%G0;object=k" + QUERY, "escaped"),
        ("pkcs11:token=é;object=k" + QUERY, "escaped"),
        ("pkcs11:token=%FF;object=k" + QUERY, "UTF-8"),
        ("pkcs11:token=t%00;object=k" + QUERY, "nobody can see"),
        ("pkcs11:token=t;object=k;type=public" + QUERY, "type other than private"),
        ("pkcs11:token=t;object=k;slot-id=0" + QUERY, "attribute 3 none"),
        ("pkcs11:token=t;object=k;x-vendor=0" + QUERY, "attribute 3 none"),
        ("pkcs11:token=t;object=k?module-name=p11&pin-source=env:P", "attribute 1 none"),
        ("pkcs11:token=t;object=k?module-path=/p&pin-source=|cat", "neither env:NAME"),
        ("pkcs11:token=t;object=k?module-path=/p&pin-source=env:", "neither env:NAME"),
        ("pkcs11:token=t;object=k?module-path=/p&pin-source=file:pin", "neither env:NAME"),
        ("pkcs11:token=t;object=k?module-path=/p&pin-source=file://host/pin", "neither env"),
        ("pkcs11:object=k;token=" + "t" * 4096 + QUERY, "longer than 4096"),
    ],
)
def test_other_uris_are_refused(text: str, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        parse_token_uri(text)


@pytest.mark.parametrize(
    "query",
    [
        f"{QUERY}&pin-value={SECRET}",
        f"?pin-value={SECRET}&module-path=/p",
        f"?module-path=/p&pin-source={SECRET}",
        f"?module-path=/p&{SECRET}",
        f"?module-path=/p&pin={SECRET}",
        f"?module-path=/p&pin-source=%{SECRET}%",
        f"?module-path={SECRET}&pin-source=env:PIN",
    ],
)
def test_a_pin_that_gets_into_a_uri_is_refused_and_not_repeated(query: str) -> None:
    with pytest.raises(ParseError) as refusal:
        parse_token_uri(f"pkcs11:token=t;object=k{query}")
    assert SECRET not in str(refusal.value)
