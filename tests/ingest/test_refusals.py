"""What the ledger refused is a hole, and whoever still has a key that it takes says so."""

import json
import shutil
from pathlib import Path

from ingest.pipeline import Processor
from ingest.reads import Arrival
from ledger.gs1.epc import canonical_key
from ledger.statement import Gap
from tests.ingest.scene import DAIRY, FARM, OBSERVE, STATION, T0, make_folder, plan_of
from tests.ingest.test_pipeline import TWO_PARTIES, Line, arrival, line
from tests.ingest.test_signed import DEVICE, EVENT, payload, submission

READ_POINT = "urn:epc:id:sgln:9506000.00001.gate"
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
