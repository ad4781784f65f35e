"""Topic filters after MQTT 5.0 section 4.7."""

import pytest

from ingest.topics import check_topic, check_topic_filter, simplify_filters, topic_matches
from ledger.errors import ParseError


@pytest.mark.parametrize(
    ("pattern", "topic", "fits"),
    [
        ("#", "a/b", True),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("+/b", "a/b", True),
        ("+", "a/b", False),
        ("a/+", "a", False),
        ("a/+", "a/", True),
        ("+/+", "/a", True),
        ("a/b", "a/b", True),
        ("a/b", "a/B", False),
        ("#", "$tick", False),
        ("+/x", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
    ],
)
def test_a_filter_takes_the_topics_of_the_standard(
    pattern: str, topic: str, *, fits: bool
) -> None:
    assert topic_matches(pattern, topic) is fits


@pytest.mark.parametrize("text", ["", "a#", "#/a", "a/b+", "a\0b", "a" * 65_536, "\ud800"])
def test_a_malformed_filter_is_refused(text: str) -> None:
    with pytest.raises(ParseError, match="topics"):
        check_topic_filter(text, "topics")


@pytest.mark.parametrize("text", ["", "a/+", "#", "a\0"])
def test_a_filter_is_no_topic(text: str) -> None:
    with pytest.raises(ParseError):
        check_topic(text, "topic")


def test_filters_that_another_covers_are_left_out() -> None:
    given = ["sites/a/#", "sites/#", "x/+/z", "x/y/z", "sites/a/#", "+/y/z"]
    assert simplify_filters(given) == ["sites/#", "x/+/z", "+/y/z"]
