"""Where deliveries may go, what they are signed with, and tokens of pages."""

import hmac
from hashlib import sha256

import pytest

from ledger.api.page_token import (
    ReleasedTokens,
    check_token,
    digest_question,
    format_token,
    parse_token,
)
from ledger.errors import ParseError
from ledger.store.query_reader import Position
from ledger.subscriptions.guard import allowed_addresses, parse_destination, parse_networks
from ledger.subscriptions.post import sign_delivery

LOOPBACK = parse_networks(("127.0.0.0/8",))


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "2130706433", "0x7f.1", "127.1"),
        *("[::1]", "[::]", "[fe80::1]", "[fc00::1]", "[ff02::1]", "[::ffff:127.0.0.1]"),
        *("[64:ff9b::7f00:1]", "[2002:7f00:1::]", "localhost"),
    ],
)
def test_no_delivery_goes_to_an_address_of_our_own(host: str) -> None:
    destination = parse_destination(f"http://{host}/")
    with pytest.raises((ParseError, OSError)):
        allowed_addresses(destination, ())


def test_a_network_is_admitted_by_name_and_no_other() -> None:
    here = parse_destination("http://127.0.0.1:9/x?y=1")
    assert allowed_addresses(here, LOOPBACK) == ("127.0.0.1",)
    assert (here.target, here.authority) == ("/x?y=1", "127.0.0.1:9")
    mapped = parse_destination("http://[::ffff:127.0.0.1]/")
    assert allowed_addresses(mapped, LOOPBACK)
    with pytest.raises(ParseError):
        allowed_addresses(parse_destination("http://10.0.0.1/"), LOOPBACK)
    assert allowed_addresses(parse_destination("http://93.184.216.34/"), ()) == (
        "93.184.216.34",
    )
    with pytest.raises(ParseError):
        parse_networks(("10.0.0.1/8",))


@pytest.mark.parametrize(
    "url",
    ["ftp://a.example/", "a.example", "http://", "http://u@a.example/", "http://a b/",
     "http://a.example/\r\nX: y", "http://a.example:99999/", "http://ä.example/", "x" * 3000],
)  # fmt: skip
def test_what_is_no_destination_is_refused(url: str) -> None:
    with pytest.raises(ParseError):
        parse_destination(url)


def test_a_signature_is_an_hmac_over_time_and_body() -> None:
    wanted = hmac.new(b"token", b"17.body", sha256).hexdigest()
    assert sign_delivery("token", b"body", 17) == f"t=17,v1={wanted}"


def test_a_token_belongs_to_its_question() -> None:
    mine, other = digest_question([("a", "1")]), digest_question([("a", "2")])
    position = Position(1 << 40, (-5, 77), 30)
    token = format_token(position, mine)
    assert parse_token(token, mine) == position
    with pytest.raises(ParseError):
        parse_token(token, other)
    for bad in ("", "x", token[:-2], token + "A", token + "=", "é", "A" * 500):
        with pytest.raises(ParseError):
            check_token(bad)
    released = ReleasedTokens()
    released.refuse_released(token)
    released.release(token)
    with pytest.raises(ParseError):
        released.refuse_released(token)


def test_the_digest_of_a_question_does_not_confuse_names_and_values() -> None:
    assert digest_question([("a", "b"), ("c", "d")]) == digest_question(
        [("c", "d"), ("a", "b")]
    )
    assert digest_question([("a", "b\n1 c d")]) != digest_question([("a", "b"), ("c", "d")])
