"""What the ledger refused is a hole, and whoever still has a key that it takes says so."""

import json
import shutil
from pathlib import Path

import msgspec

from ingest.drafts import Notice
from ingest.pipeline import Processor
from ingest.reads import MESSAGE_BYTES_MAX, Arrival
from ingest.refusals import (
    PLACES_MAX,
    RefusedMessage,
    Stuck,
    encode_refused,
    refusal_notices,
)
from ingest.sealing import gap_of
from ledger.disclosure import (
    Submission,
    WholeEvent,
    commitment,
    encode_submission,
    events_root,
    withhold,
)
from ledger.epcis.event import split_event
from ledger.gs1.epc import canonical_key
from ledger.statement import NO_HASH, Capture, Claims, Gap, Link, sign_statement
from tests.ingest.scene import DAIRY, FARM, OBSERVE, ORIGIN, STATION, T0, make_folder, plan_of
from tests.ingest.test_pipeline import TWO_PARTIES, Line, arrival, line
from tests.ingest.test_signed import DEVICE, EVENT, payload, submission

READ_POINT = "urn:epc:id:sgln:9506000.00001.gate"
WHEN = 3
PLACE = canonical_key(READ_POINT)
PLACED = EVENT | {"readPoint": {"id": READ_POINT}}


def gaps_in(one: Line) -> list[tuple[str, Gap]]:
    """Return who admits what in the ledger."""
    found = one.ledger.statements
    return [(said.iss, said.body) for said in found if isinstance(said.body, Gap)]


def tell(one: Line) -> bool:
    """Do once what the gateway does every few seconds."""
    one.clock_us += 1
    with Processor(one.settings, one.plan, clock_us=lambda: one.clock_us) as processor:
        found = processor.tell_refused()
        while processor.process():
            pass
    return found


def signed_by_device(n: int) -> Arrival:
    data = submission(seq=n, event=PLACED)
    return Arrival("gate/signed", json.dumps(payload(data)).encode(), T0 + n)


def test_the_gateway_says_what_a_suspended_device_saw_and_nobody_took(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.ledger.refuse = {DEVICE.kid}
        one.keep(signed_by_device(0), signed_by_device(1))
        one.process()
        assert one.deliver().refused == 1
        assert gaps_in(one) == []
        assert tell(one)
        one.deliver()
        [(party, gap)] = gaps_in(one)
        assert (party, gap.source, gap.what, gap.count) == (DAIRY, PLACE, 4, 2)
        assert gap.start == gap.end == T0
        assert DEVICE.kid.hex()[:16] in gap.why
        assert "does not take the statements 0 to 1" in gap.why

        assert not tell(one), "once is enough"
        one.keep(signed_by_device(2))
        one.process()
        assert tell(one)
        one.deliver()
        assert [gap.count for _, gap in gaps_in(one)] == [2, 1]


def test_a_key_of_which_nothing_is_taken_leaves_it_to_the_next(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.ledger.refuse = {one.kid_of(0)}
        one.keep(arrival(7, 0))
        one.process()
        one.deliver()
        assert not tell(one)
        other = make_folder(tmp_path / "other", FARM, DAIRY)
        shutil.copy(other.folder / "keys" / "1.key", one.settings.folder / "keys" / "0.key")
        assert tell(one)
        one.deliver()
        [(party, gap)] = gaps_in(one)
        assert (party, gap.source, gap.count) == (DAIRY, PLACE, 1)
        assert gap.start <= T0 <= gap.end
        assert not tell(one)


def test_nothing_is_said_for_a_party_that_the_gateway_does_not_sign_for(tmp_path: Path) -> None:
    plan = plan_of(STATION.replace(DAIRY, FARM), OBSERVE)
    with line(tmp_path, plan, FARM) as one:
        one.ledger.refuse = {DEVICE.kid}
        one.keep(signed_by_device(0))
        one.process()
        one.deliver()
        assert not tell(one)
        one.process()
        assert gaps_in(one) == []


def test_what_one_party_is_refused_is_no_gap_of_another(tmp_path: Path) -> None:
    with line(tmp_path, TWO_PARTIES, DAIRY, FARM) as one:
        one.ledger.refuse = {one.kid_of(0)}
        one.keep(arrival(1, 0), arrival(1, 0, "farm/r"))
        one.process()
        one.deliver()
        assert not tell(one)
        assert gaps_in(one) == []
        assert len(one.ledger.events) == 1


def stuck(*events: dict[str, object], hidden: tuple[int, ...] = ()) -> Stuck:
    """Return a statement of a device over these events."""
    whole = [
        WholeEvent(bytes([n % 256]) * 32, split_event(one)) for n, one in enumerate(events)
    ]
    root = events_root([commitment(one) for one in whole])
    body = Capture(grade=3, count=len(whole), root=root)
    raw = sign_statement(DEVICE, Claims(DAIRY, ORIGIN, 1), Link(0, 0, NO_HASH, None), body)
    shown = tuple(withhold(one, hidden) for one in whole)
    data = encode_submission(Submission(statement=raw, events=shown))
    return Stuck(id=1, kid=DEVICE.kid, seq=0, why="w" * 10_000, submission=data)


def told_of(one: Stuck) -> list[Notice]:
    payload = encode_refused(DAIRY, [one])
    assert len(payload) < MESSAGE_BYTES_MAX
    return refusal_notices(msgspec.json.decode(payload, type=RefusedMessage))


def test_no_event_makes_a_message_that_is_too_long_or_cannot_be_read() -> None:
    places = [f"urn:x:{n:060}" for n in range(3_000)]
    many = told_of(stuck(*(PLACED | {"readPoint": {"id": one}} for one in places)))
    assert len(many) <= PLACES_MAX + 1
    assert sum(one.count or 0 for one in many) == 3_000
    [long] = told_of(stuck(PLACED | {"readPoint": {"id": "urn:x:" + "y" * 500_000}}))
    assert (long.source, long.count) == (DAIRY, 1)
    for hidden in range(1, 8):
        found = told_of(stuck(PLACED, hidden=(hidden,)))
        assert sum(one.count or 0 for one in found) == 1
        for one in found:
            assert gap_of(one).start == (1_000_000 if hidden == WHEN else T0)
    [old] = told_of(stuck(PLACED | {"eventTime": "1901-01-01T00:00:00Z"}))
    assert (old.from_us, old.to_us) == (0, 0)
