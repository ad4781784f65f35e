"""Devices that sign for themselves: what they say, and that a real ledger takes it."""

import dataclasses
import json
from pathlib import Path

import pytest

from device_sim.devicekeys import EnrolError, enrol_devices, found_ledger
from device_sim.library import load_scenario, scenario_text
from device_sim.play import Run, play
from device_sim.scenariofile import parse_scenario
from device_sim.signing import ORIGIN, devices, submission_of
from device_sim.trials import sound_text
from ledger.app import open_ledger
from ledger.cli import main
from ledger.cose import Ed25519Signer
from ledger.disclosure import Submission, WholeEvent, decode_submission, verify_events
from ledger.epcis.parts import join_parts
from ledger.errors import ParseError, RefusedError
from ledger.statement import Capture, Statement, parse_statement, verify_signature
from tests.device_sim.whole_line import signed

SEED = 3
TILL = "market/till"


def played(faults: str = "") -> Run:
    sound = sound_text(scenario_text("dairy"), signed=True)
    return play(parse_scenario(sound + faults, "dairy", {"items": 48}), SEED)


def fault(kind: str, **keys: int) -> str:
    numbers = "".join(f"{key} = {value}\n" for key, value in keys.items())
    return f'\n[[fault]]\nkind = "{kind}"\nstation = "{TILL}"\n{numbers}'


@pytest.fixture(scope="module")
def sound() -> Run:
    return played()


def said(run: Run, till: str = TILL) -> list[Submission]:
    topic = f"sites/{till}/signed"
    return [
        decode_submission(submission_of(one.payload))
        for one in run.messages
        if one.topic == topic
    ]


def statements(run: Run) -> list[Statement]:
    return [parse_statement(one.statement) for one in said(run)]


def test_a_device_says_one_event_a_pass_in_a_chain_of_its_own(sound: Run) -> None:
    (device,) = [one for one in devices(sound.world, SEED) if one.name == TILL]
    key = Ed25519Signer(device.seed)
    crossings = [json.loads(one) for one in sound.truth if f'"station":"{TILL}"' in one]
    every = said(sound)
    assert len(every) == sum(one["kind"] == "pass" for one in crossings) > 5
    before = None
    for number, submission in enumerate(every):
        statement = parse_statement(submission.statement)
        verify_signature(statement, key.x)
        assert (statement.iss, statement.aud) == (device.party.id, ORIGIN)
        assert (statement.seq, statement.seen) == (number, None)
        assert before is None or statement.prev == before.id
        assert isinstance(statement.body, Capture)
        assert (statement.body.grade, statement.body.count) == (3, 1)
        verify_events(submission.events, count=1, root=statement.body.root)
        before = statement


def test_what_a_device_says_is_what_truly_crossed(sound: Run) -> None:
    crossed = [
        (one["epcs"], one["to"])
        for one in map(json.loads, sound.truth)
        if one["kind"] == "pass" and one["station"] == TILL
    ]
    for submission, (epcs, to_us) in zip(said(sound), crossed, strict=True):
        (whole,) = submission.events
        assert isinstance(whole, WholeEvent)
        event = join_parts(whole.parts)
        assert event["epcList"] == epcs
        assert (event["bizStep"], event["disposition"]) == ("retail_selling", "retail_sold")
        assert abs(parse_statement(submission.statement).iat - to_us // 10**6) < 30


def test_a_message_is_one_json_object_on_the_devices_topic(sound: Run) -> None:
    (first, *_) = [one for one in sound.messages if one.topic.endswith("/signed")]
    body = json.loads(first.payload)
    assert list(body) == ["type", "submission"]
    assert body["type"] == "tagtrail.submission/v1"
    assert "=" not in body["submission"]


def test_what_was_changed_on_the_way_breaks_and_so_does_what_follows(sound: Run) -> None:
    run = played(fault("tampered", messages=1) + "pass = 3\n")
    (own,) = [one.party.id for one in devices(run.world, SEED) if one.name == TILL]

    def taken(of: Run) -> int:
        return sum(iss == own for iss, _ in signed(of))

    assert taken(sound) == len(said(sound))
    assert taken(run) == 3


def test_who_has_no_key_signs_with_another() -> None:
    run = played(fault("forged", count=2) + "pass = 3\n")
    kids = [one.kid for one in statements(run)]
    assert len(set(kids)) == 2
    assert min(kids.count(one) for one in set(kids)) == 1


def test_a_thief_and_the_device_contradict_each_other_with_the_next_statement() -> None:
    run = played(fault("stolen_key", count=2) + "pass = 3\n")
    every = statements(run)
    assert len({one.kid for one in every}) == 1
    seqs = [one.seq for one in every]
    assert seqs.count(4) == 2
    first, second = (one for one in every if one.seq == 4)
    assert first.prev == second.prev
    assert first.id != second.id
    (label,) = [one for one in map(json.loads, run.truth) if one["kind"] == "fault"]
    assert len(label["things"]) == 2
    assert len(label["touched"]) == 1


def test_orders_and_despatch_advices_are_signed_at_the_desk() -> None:
    run = play(load_scenario("pharma", ["items=32", "day.batches=1"]), SEED)
    orders = [one for one in map(json.loads, run.truth) if one["kind"] == "order"]
    sent = {each["advice"]: each["epcs"] for one in orders for each in one["sent_with"]}
    assert all(one["placed_at"] < each["at"] for one in orders for each in one["sent_with"])
    told = {}
    for submission in said(run, "maker/desk") + said(run, "wholesaler/desk"):
        (whole,) = submission.events
        assert isinstance(whole, WholeEvent)
        event = join_parts(whole.parts)
        order, advice = (one["bizTransaction"] for one in event["bizTransactionList"])
        assert order.rpartition(":")[2] in {one["id"] for one in orders}
        told[advice.rpartition(":")[2]] = event["epcList"]
    assert len(told) > 3
    assert all(sent[advice] == epcs for advice, epcs in told.items())


def test_a_ledger_takes_what_enrolled_devices_say_and_convicts_the_stolen_key(
    tmp_path: Path,
) -> None:
    run = played(fault("stolen_key", count=1) + "pass = 3\n")
    (own,) = [one for one in devices(run.world, SEED) if one.name == TILL]
    folder = tmp_path / "ledger"
    small = dataclasses.replace(run.world, parties={"own": own.party})
    assert found_ledger(small, folder, ORIGIN)
    assert not found_ledger(small, folder, ORIGIN)
    assert enrol_devices([own], folder) == 1
    assert enrol_devices([own], folder) == 0
    refusals = []
    with open_ledger(folder) as ledger:
        for submission in said(run):
            try:
                ledger.sequencer.submit(submission).result()
            except RefusedError as error:
                refusals.append(error.check)
    assert refusals[0] == "equivocation"
    assert len(refusals) == len(said(run)) - 5


def test_a_device_of_a_party_that_the_ledger_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["init", "--dir", str(tmp_path / "l"), "--origin", ORIGIN])
    run = played()
    with pytest.raises(EnrolError, match="holds no key of"):
        enrol_devices(devices(run.world, SEED), tmp_path / "l")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            ('does = "fill"\nreader = "zebra"', 'does = "fill"\nreader = "signed"'),
            "cannot fill",
        ),
        (('reader = "signed"', 'reader = "zebra"'), "does not sign"),
    ],
)
def test_a_station_that_cannot_sign_is_refused(change: tuple[str, str], why: str) -> None:
    sound = sound_text(scenario_text("dairy"), signed=True)
    text = sound + fault("stolen_key")
    assert change[0] in text
    with pytest.raises(ParseError) as caught:
        parse_scenario(text.replace(*change, 1), "dairy")
    assert why in caught.value.why
