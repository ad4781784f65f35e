"""The physical story: goods that cannot have moved so are remarks, honest goods are none."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from ledger.audit.finding import Finding, Result
from ledger.audit.scope import ALL_CHECKS, Scope
from ledger.audit.story import PhysicalStory
from ledger.cli.auditing import Options, audit_target
from ledger.epcis.parts import split_event
from ledger.projection import ShownEvent
from tests.attacks.ledgers import build_ledger

CASE, OTHER, PALLET, TRAILER, SECOND = (
    f"urn:epc:id:sgtin:9506000.134352.{n}" for n in (1, 2, 3, 4, 5)
)
LOT = "urn:epc:class:lgtin:9506000.013435.L1"
GATE, DOCK = ({"id": f"urn:epc:id:sgln:9506000.00001.{name}"} for name in ("gate", "dock"))


def at(minute: int, **fields: Any) -> dict[str, Any]:
    """Return an event at a minute past ten."""
    return {
        "type": "ObjectEvent",
        "action": "OBSERVE",
        "eventTime": f"2026-01-01T10:{minute:02}:00Z",
        "eventTimeZoneOffset": "+00:00",
    } | fields


def packed(minute: int, parent: str, *children: str, action: str = "ADD") -> dict[str, Any]:
    fields: dict[str, Any] = {"type": "AggregationEvent", "parentID": parent, "action": action}
    if children:
        fields["childEPCs"] = list(children)
    else:
        fields["childEPCs"] = []
    return at(minute, **fields)


def tell(*events: dict[str, Any], story: PhysicalStory | None = None) -> list[Finding]:
    story = story or PhysicalStory()
    for index, event in enumerate(events):
        story.take_events(index, [ShownEvent(b"", split_event(event))])
    return list(story.finish())


def honest() -> Iterator[dict[str, Any]]:
    yield at(1, action="ADD", bizStep="commissioning", epcList=[CASE], readPoint=GATE)
    yield packed(2, PALLET, CASE)
    yield packed(3, TRAILER, PALLET)
    yield at(4, epcList=[PALLET], readPoint=GATE)
    yield packed(5, TRAILER, action="DELETE")
    yield packed(6, SECOND, PALLET)
    yield packed(7, SECOND, PALLET, action="DELETE")
    yield packed(8, PALLET, CASE, action="DELETE")
    yield at(9, epcList=[CASE], readPoint=DOCK, bizStep="retail_selling")
    yield at(10, action="DELETE", epcList=[CASE], bizStep="destroying")


def test_an_honest_story_has_no_remark_in_whatever_order_it_was_logged() -> None:
    events = list(honest())
    assert tell(*events) == []
    assert tell(*reversed(events)) == []


@pytest.mark.parametrize(
    ("events", "what"),
    [
        ([packed(1, PALLET, CASE), packed(2, TRAILER, CASE)], "nobody took it out"),
        (
            [packed(1, PALLET, CASE), packed(2, TRAILER, CASE, action="DELETE")],
            "something else",
        ),
        ([at(1, epcList=[CASE], readPoint=GATE), at(1, epcList=[CASE], readPoint=DOCK)], "two"),
        ([at(1, epcList=[CASE]), at(2, action="ADD", epcList=[CASE])], "before it begins"),
        ([at(1, action="ADD", epcList=[CASE]), at(2, action="ADD", epcList=[CASE])], "second"),
        ([at(1, action="DELETE", epcList=[CASE]), at(2, epcList=[CASE])], "after its end"),
        (
            [
                at(
                    1,
                    action="ADD",
                    quantityList=[{"epcClass": LOT, "quantity": 10, "uom": "KGM"}],
                ),
                at(
                    2,
                    type="TransformationEvent",
                    action=None,
                    inputQuantityList=[{"epcClass": LOT, "quantity": 10.5, "uom": "KGM"}],
                    outputEPCList=[OTHER],
                ),
            ],
            "More of",
        ),
    ],
    ids=range(7),
)
def test_what_cannot_have_been_is_a_remark(events: Sequence[dict[str, Any]], what: str) -> None:
    events = [{k: v for k, v in event.items() if v is not None} for event in events]
    (found,) = tell(*events)
    assert what in found.what, found
    assert found.check == 15
    assert found.weight.value == "note"


def test_an_event_that_was_declared_wrong_is_left_out() -> None:
    wrong = at(2, eventID="urn:uuid:1", epcList=[CASE], readPoint=DOCK)
    declared = wrong | {"errorDeclaration": {"declarationTime": "2026-01-01T11:00:00Z"}}
    right = at(2, epcList=[CASE], readPoint=GATE)
    assert len(tell(right, wrong)) == 1
    assert tell(right, wrong, declared) == []


def test_what_is_too_much_is_counted() -> None:
    story = PhysicalStory(events_max=2)
    tell(*honest(), story=story)
    assert story.left_out == len(list(honest())) - 2


def test_an_audit_tells_the_story_on_request(tmp_path: Path) -> None:
    build_ledger(tmp_path / "ledger", entries=20).close()
    asked = Options(scope=Scope(checks=ALL_CHECKS - {14}), processes=1)
    report = audit_target(str(tmp_path / "ledger"), asked)
    assert report.result is Result.VERIFIED
    assert not any("Check 15" in text for text in report.not_checked)
