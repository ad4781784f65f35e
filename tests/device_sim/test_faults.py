"""Every kind of fault happens where it should, is labelled, and touches nothing else."""

import json
import re
from typing import Any

import pytest

from device_sim import trials
from device_sim.library import load_scenario
from device_sim.play import Run, play
from device_sim.scenario import FAULT_KEYS, FaultKind
from device_sim.scenariofile import parse_scenario
from device_sim.world import HOUR_US, MINUTE_US, Message, parse_time
from ledger.errors import ParseError

SEED = 5
DOCK, LINE, TILL = "centre/dock-in", "dairy/case-tunnel", "harbour/till"
FAULTS = trials.TRIALS


_EVENT_NUMBER = re.compile(r'"eventNum":[0-9]+')
WORLDLY = {"excursion", "diversion"}


@pytest.fixture(scope="module")
def sound_text(dairy_text: str) -> str:
    return trials.sound_text(dairy_text.replace("items = 300", "items = 96"), signed=True)


@pytest.fixture(scope="module")
def sound(sound_text: str) -> Run:
    return play(parse_scenario(sound_text), SEED)


def faulty(text: str, kind: FaultKind) -> Run:
    return play(parse_scenario(f'{text}\n[[fault]]\nkind = "{kind}"\n{FAULTS[kind]}\n'), SEED)


def lines(run: Run, kind: str) -> list[dict[str, Any]]:
    return [one for one in map(json.loads, run.truth) if one["kind"] == kind]


def by_content(run: Run) -> dict[str, Message]:
    """Return the messages by what they say; event numbers go on, whatever happened before.

    Heartbeats are left out: they say that nothing happened.
    """
    return {
        _EVENT_NUMBER.sub("", f"{one.topic} {one.payload!r}"): one
        for one in run.messages
        if b'"heartbeat"' not in one.payload
    }


def test_every_kind_is_tried_here() -> None:
    assert set(FAULTS) == set(FAULT_KEYS)


@pytest.mark.parametrize("kind", list(FAULTS))
def test_a_fault_has_one_label_and_is_the_same_every_time(
    sound_text: str, kind: FaultKind
) -> None:
    run = faulty(sound_text, kind)
    (label,) = lines(run, "fault")
    assert label["fault"] == kind
    assert label["from"] <= label["to"]
    assert label["where"] in FAULTS[kind]
    assert label["touched"] or kind in WORLDLY
    assert label["things"] or kind == "poison"
    again = faulty(sound_text, kind)
    assert again.messages == run.messages
    assert again.truth == run.truth


# Of the others the world itself goes another way, not the messages about it.
@pytest.mark.parametrize("kind", [one for one in FAULTS if one not in WORLDLY])
def test_a_label_names_every_message_that_came_changed_went_or_was_late(
    sound_text: str, sound: Run, kind: FaultKind
) -> None:
    run = faulty(sound_text, kind)
    (label,) = lines(run, "fault")
    with_fault, without = by_content(run), by_content(sound)
    came = with_fault.keys() - without.keys()
    went = without.keys() - with_fault.keys()
    moved = {
        one for one in with_fault.keys() & without.keys()
        if with_fault[one].time_us != without[one].time_us
    }  # fmt: skip
    named = {one.identity: text for each in (without, with_fault) for text, one in each.items()}
    touched = {named[one] for one in label["touched"] if one in named}
    if kind in {"clone", "fakes", "late_document"} or kind == "replayed":
        assert came <= touched
    elif kind in {"antenna_failure", "reboot"}:
        assert went <= touched  # what is left of an array comes as a new one
    elif kind in {"truncated", "tampered"} or "clock" in kind:
        assert came == touched
        assert len(went) == len(came)
    else:
        assert came | moved <= touched
    assert touched & (with_fault.keys() | without.keys())


def test_a_wrong_clock_is_wrong_by_as_much_as_it_says(sound_text: str, sound: Run) -> None:
    def told(run: Run) -> list[int]:
        return [
            parse_time(json.loads(one.payload)["timestamp"]) - one.time_us
            for one in run.messages
            if one.topic.startswith(f"sites/{DOCK}/")
        ]

    assert set(told(sound)) == {0}
    assert set(told(faulty(sound_text, "clock_skew"))) == {-90_000_000}
    assert set(told(faulty(sound_text, "clock_step"))) == {0, 3_600_000_000}
    drifts = told(faulty(sound_text, "clock_drift"))
    assert drifts == sorted(drifts)
    assert 0 < drifts[0] < drifts[-1] < 0.0005 * 6 * 86_400 * 10**6
    assert any(
        '"timestamp":"1970-01-01' in one.payload.decode()
        for one in faulty(sound_text, "no_clock").messages
    )


def test_what_was_held_back_comes_later_in_order_and_not_too_fast(
    sound_text: str, sound: Run
) -> None:
    run = faulty(sound_text, "offline")
    (label,) = lines(run, "fault")
    late = [one for one in run.messages if one.identity in set(label["touched"])]
    assert len(late) > 20
    assert all(one.time_us >= label["to"] for one in late)
    assert late[-1].time_us - late[0].time_us == (len(late) - 1) * 200_000
    assert by_content(run).keys() == by_content(sound).keys()
    times = [one.time_us for one in run.messages]
    assert times == sorted(times)


def test_what_nobody_can_read_is_labelled_as_missed_with_its_cause(sound_text: str) -> None:
    run = faulty(sound_text, "reboot")
    causes = {one["cause"] for one in lines(run, "missed")}
    assert "reboot" in causes
    assert causes <= {"reboot", "chance"}


def test_a_clone_is_sold_twice_on_another_chip_and_the_truth_stays(
    sound_text: str, sound: Run
) -> None:
    run = faulty(sound_text, "clone")
    (label,) = lines(run, "fault")
    assert lines(run, "item") == lines(sound, "item")
    sent = [
        event["data"]["idHex"]
        for one in run.messages
        if one.identity in set(label["touched"])
        for event in json.loads(one.payload)
    ]
    serials = {int(one, 16) & (1 << 38) - 1 for one in sent}
    assert serials == {int(one.rpartition(".")[2]) for one in label["things"]}


def test_fakes_were_never_made(sound_text: str) -> None:
    run = faulty(sound_text, "fakes")
    (label,) = lines(run, "fault")
    made = {one["epc"] for one in lines(run, "item")}
    assert len(label["things"]) == 2
    assert not made & set(label["things"])


def test_a_diverted_load_is_where_it_was_not_meant_to_be(sound_text: str, sound: Run) -> None:
    def at_market(run: Run) -> set[str]:
        return {
            item["epc"]
            for item in lines(run, "item")
            if any(".9521402." in f".{stay['place'].split(':')[-1]}" for stay in item["path"])
        }

    run = faulty(sound_text, "diversion")
    assert at_market(run) > at_market(sound)


def test_documents_come_late_never_or_twice(sound_text: str, sound: Run) -> None:
    def lots(run: Run) -> list[Message]:
        return [one for one in run.messages if one.topic == "sites/hill-farm/parlour/line"]

    whole = lots(sound)
    late = lots(faulty(sound_text, "late_document"))
    assert {one.payload for one in late} == {one.payload for one in whole}
    assert max(one.time_us for one in late) - whole[0].time_us == 50 * HOUR_US
    assert lots(faulty(sound_text, "lost_document")) == whole[1:]
    forged = lots(faulty(sound_text, "forged_document"))
    assert forged[0] == whole[0]
    assert forged[1].time_us - whole[0].time_us == 5 * MINUTE_US
    said = [json.loads(one.payload)["quantity"] for one in forged[:2]]
    assert said[1] == pytest.approx(2 * said[0], abs=0.1)


def test_a_batch_claims_more_than_went_in(sound_text: str) -> None:
    run = faulty(sound_text, "mass_imbalance")
    (first, *_) = (
        json.loads(one.payload) for one in run.messages if one.topic.endswith("/filler/line")
    )
    true = lines(run, "batch")[0]["inputs"]
    for claimed, real in zip(first["inputs"], true, strict=True):
        assert claimed["quantity"] == pytest.approx(1.4 * real["quantity"], abs=0.1)


def test_lost_samples_are_in_the_truth_and_in_no_message(sound_text: str, sound: Run) -> None:
    run = faulty(sound_text, "sensor_silence")
    assert lines(run, "samples") == lines(sound, "samples")
    assert len(sound.messages) - len(run.messages) == 12


def test_a_fault_that_never_comes_has_no_label(sound_text: str) -> None:
    text = f'{sound_text}\n[[fault]]\nkind = "poison"\nstation = "{DOCK}"\npass = 999\n'
    run = play(parse_scenario(text), SEED)
    assert lines(run, "fault") == []


@pytest.mark.parametrize(
    ("table", "where", "why"),
    [
        ('kind = "earthquake"', "fault[0].kind", "allowed: excursion"),
        ('kind = "clone"\nstation = "dairy/filler"', "fault[0].station", "does not sell"),
        ('kind = "ghost"\nstation = "hill-farm/parlour"', "fault[0].station", "no reader"),
        ('kind = "ghost"', "fault[0].station", "allowed: north-farm/parlour"),
        ('kind = "lost_document"\nsite = "dairy"', "fault[0].site", "is no source"),
        ('kind = "mass_imbalance"\nsite = "centre"', "fault[0].site", "is no plant"),
        (
            'kind = "diversion"\nleg = "dairy/centre"\nto = "market"',
            "fault[0].to", "no other road",
        ),
    ],
)  # fmt: skip
def test_a_fault_that_cannot_be_is_refused(
    sound_text: str, table: str, where: str, why: str
) -> None:
    with pytest.raises(ParseError) as caught:
        parse_scenario(f"{sound_text}\n[[fault]]\n{table}\n", "f")
    assert caught.value.where.endswith(where)
    assert why in caught.value.why


def test_the_scenarios_that_ship_play_every_fault_they_name() -> None:
    for name in ("pharma", "marketplace", "luxury", "produce", "bulk", "electronics"):
        scenario = load_scenario(name)
        run = play(scenario, 1)
        assert len(lines(run, "fault")) == len(scenario.fault), name
