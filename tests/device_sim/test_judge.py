"""A judge is only worth something if it catches lies: each of these is one lie."""

import json
from collections.abc import Callable
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pytest

from device_sim.facts import Facts, Thing, device_key, parse_truth
from device_sim.judge import judge_item
from device_sim.library import load_scenario
from device_sim.play import Run, play
from device_sim.score import tally
from device_sim.verdicts import ASPECTS
from ledger.errors import ParseError
from tests.device_sim.whole_line import answers, capture

Answer = dict[str, Any]
STRANGER = "https://id.gs1.org/417/9529999000003"


def played(missed: float, seed: int, items: int = 72) -> Run:
    scenario = load_scenario("dairy", [f"items={items}"])
    radio = msgspec.structs.replace(scenario.radio, missed=missed, missed_at_encoder=missed / 5)
    return play(msgspec.structs.replace(scenario, radio=radio), seed)


@pytest.fixture(scope="module")
def perfect() -> tuple[Facts, dict[str, Answer | None]]:
    run = played(0.0, 11)
    facts = parse_truth(run.truth)
    return facts, answers(capture(run), facts.items)


@pytest.fixture(scope="module")
def sold(perfect: tuple[Facts, dict[str, Answer | None]]) -> tuple[Facts, Thing, Answer]:
    facts, told = perfect
    item = next(
        one
        for one in facts.items.values()
        if one.ended_us is not None and len(one.lots) > 3 and len(one.exposure) == 2
    )
    answer = told[item.key]
    assert answer is not None
    return facts, item, answer


def test_a_network_that_misses_nothing_gets_every_answer_right(
    perfect: tuple[Facts, dict[str, Answer | None]],
) -> None:
    facts, told = perfect
    found = {key: judge_item(facts, item, told[key]) for key, item in facts.items.items()}
    report = tally(facts, found)
    assert report.findings == ()
    assert report.ok
    assert report.share == report.sold_share == 1.0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_network_that_misses_one_read_in_twenty_says_nothing_wrong(seed: int) -> None:
    run = played(0.05, seed)
    facts = parse_truth(run.truth)
    told = answers(capture(run), facts.items)
    found = {key: judge_item(facts, item, told[key]) for key, item in facts.items.items()}
    report = tally(facts, found)
    assert [one for one in report.findings if one.verdict in {"wrong", "silent"}] == []
    assert facts.missed
    assert 0.5 < report.share < 1


def later(text: str, hours: float) -> str:
    moment = datetime.fromisoformat(text) + timedelta(hours=hours)
    return moment.isoformat().replace("+00:00", "Z")


def own(answer: Answer, part: str) -> list[dict[str, Any]]:
    return [one for one in answer[part] if one["epc"] == answer["epc"]]


def stays(answer: Answer) -> list[dict[str, Any]]:
    return [one for one in own(answer, "path") if one["place"] is not None]


def foreign(answer: Answer, part: str) -> list[dict[str, Any]]:
    return [one for one in answer[part] if one["epc"] != answer["epc"]]


def drop(answer: Answer, part: str, row: dict[str, Any]) -> None:
    answer[part] = [one for one in answer[part] if one is not row]


def put_in_a_foreign_lot(answer: Answer) -> None:
    answer["derivation"]["inputs"][0]["input"] = "https://id.gs1.org/01/09521109000006/10/X"


def forget_a_lot(answer: Answer) -> None:
    answer["derivation"]["inputs"].pop()


def move_a_stay(answer: Answer) -> None:
    stays(answer)[1]["place"] = "https://id.gs1.org/414/9529999000003"


def stay_on_the_road(answer: Answer) -> None:
    stay = stays(answer)[0]
    stay["to"] = later(stay["to"], 2)


def forget_a_stay(answer: Answer) -> None:
    drop(answer, "path", stays(answer)[1])


def give_it_to_a_stranger(answer: Answer) -> None:
    own(answer, "custody")[-1]["party"] = STRANGER


def hand_over_too_soon(answer: Answer) -> None:
    for one in own(answer, "custody"):
        if one["role"] == "owner" and one["to"] is None:
            one["from"] = later(one["from"], -3)


def forget_an_owner(answer: Answer) -> None:
    drop(answer, "custody", next(o for o in own(answer, "custody") if o["role"] == "owner"))


def put_it_on_another_pallet(answer: Answer) -> None:
    own(answer, "containment")[1]["parent"] = "https://id.gs1.org/00/395060001343520006"


def unpack_it_too_late(answer: Answer) -> None:
    row = own(answer, "containment")[1]
    row["to"] = later(row["to"], 1)


def forget_a_container(answer: Answer) -> None:
    drop(answer, "containment", own(answer, "containment")[0])


def cool_it_down(answer: Answer) -> None:
    own(answer, "conditions")[0]["max"] -= 0.05


def count_the_warm_vehicle_before_loading(answer: Answer) -> None:
    row = own(answer, "conditions")[0]
    row["first"] = later(row["first"], -0.5)


def forget_a_trip(answer: Answer) -> None:
    device = own(answer, "conditions")[0]["device"]
    for row in [o for o in own(answer, "conditions") if o["device"] == device]:
        drop(answer, "conditions", row)


def forget_some_samples(answer: Answer) -> None:
    row = next(o for o in own(answer, "conditions") if o["type"].endswith("Temperature"))
    row["readings"] -= 1


def forget_the_sale(answer: Answer) -> None:
    answer["events"] = [o for o in answer["events"] if o["biz_step"] != "retail_selling"]


def sell_it_on_another_day(answer: Answer) -> None:
    for one in answer["events"]:
        if one["biz_step"] == "retail_selling":
            one["event_time"] = later(one["event_time"], -24)


def put_it_back_into_its_case(answer: Answer) -> None:
    answer["state"]["container"] = own(answer, "containment")[0]["parent"]


def lie_about_the_state(answer: Answer) -> None:
    answer["state"]["possessor"] = STRANGER


def give_the_milk_to_a_stranger(answer: Answer) -> None:
    next(one for one in foreign(answer, "custody"))["party"] = STRANGER


def forget_where_the_milk_came_from(answer: Answer) -> None:
    drop(answer, "path", foreign(answer, "path")[0])


def invent_an_event(answer: Answer) -> None:
    true = next(one for one in own(answer, "events") if one["biz_step"] == "packing")
    answer["events"].append(true | {"event_time": later(true["event_time"], 3)})


def forget_an_event(answer: Answer) -> None:
    drop(answer, "events", next(o for o in own(answer, "events") if o["biz_step"] == "packing"))


def name_a_stranger_since_nobody_knows_when(answer: Answer) -> None:
    row = own(answer, "custody")[-1]
    answer["custody"].append(row | {"party": STRANGER, "from": None})


def measure_with_no_device(answer: Answer) -> None:
    own(answer, "conditions")[0]["device"] = None


def count_samples_that_never_were(answer: Answer) -> None:
    own(answer, "conditions")[0]["readings"] += 5


def leave_it_at_the_plant_and_keep_quiet(answer: Answer) -> None:
    """Hide all that happened after the first stay, and say that it goes on."""
    first = stays(answer)[0]
    answer["path"] = [first | {"to": None}]
    answer["events"] = [o for o in answer["events"] if o["event_time"] <= first["from"]]


def doubt_the_containers(answer: Answer) -> None:
    answer["containment"] = [one | {"precision": "possible"} for one in answer["containment"]]


def doubt_the_places(answer: Answer) -> None:
    answer["path"] = [one | {"precision": "possible"} for one in answer["path"]]


def doubt_the_readings(answer: Answer) -> None:
    answer["conditions"] = [one | {"precision": "possible"} for one in answer["conditions"]]


def doubt_the_lots(answer: Answer) -> None:
    inputs = answer["derivation"]["inputs"]
    answer["derivation"]["inputs"] = [one | {"precision": "possible"} for one in inputs]


LIES = [
    (invent_an_event, "events", "wrong"),
    (forget_an_event, "events", "silent"),
    (name_a_stranger_since_nobody_knows_when, "custody", "wrong"),
    (measure_with_no_device, "exposure", "wrong"),
    (count_samples_that_never_were, "exposure", "wrong"),
    (leave_it_at_the_plant_and_keep_quiet, "path", "wrong"),
    (doubt_the_containers, "containment", "named"),
    (doubt_the_places, "path", "named"),
    (doubt_the_readings, "exposure", "named"),
    (doubt_the_lots, "farm lots", "named"),
    (put_in_a_foreign_lot, "farm lots", "wrong"),
    (forget_a_lot, "farm lots", "silent"),
    (move_a_stay, "path", "wrong"),
    (stay_on_the_road, "path", "wrong"),
    (forget_a_stay, "path", "silent"),
    (give_it_to_a_stranger, "custody", "wrong"),
    (hand_over_too_soon, "custody", "wrong"),
    (forget_an_owner, "custody", "silent"),
    (put_it_on_another_pallet, "containment", "wrong"),
    (unpack_it_too_late, "containment", "wrong"),
    (forget_a_container, "containment", "silent"),
    (cool_it_down, "exposure", "wrong"),
    (count_the_warm_vehicle_before_loading, "exposure", "wrong"),
    (forget_a_trip, "exposure", "silent"),
    (forget_some_samples, "exposure", "silent"),
    (forget_the_sale, "sale", "silent"),
    (sell_it_on_another_day, "sale", "wrong"),
    (lie_about_the_state, "state", "wrong"),
    (put_it_back_into_its_case, "state", "wrong"),
    (give_the_milk_to_a_stranger, "upstream", "wrong"),
    (forget_where_the_milk_came_from, "upstream", "silent"),
]


@pytest.mark.parametrize(
    ("lie", "aspect", "verdict"), LIES, ids=lambda x: getattr(x, "__name__", x)
)
def test_a_lie_is_caught(
    sold: tuple[Facts, Thing, Answer],
    lie: Callable[[Answer], None],
    aspect: str,
    verdict: str,
) -> None:
    facts, item, answer = sold
    told = deepcopy(answer)
    lie(told)
    found = {(one.aspect, one.verdict) for one in judge_item(facts, item, told)}
    assert (aspect, verdict) in found


# Each of these is caught although the truth labels missed reads of the item elsewhere.
BOLD_LIES = [one for one in LIES if one[0] in {
    invent_an_event, name_a_stranger_since_nobody_knows_when, put_in_a_foreign_lot,
    move_a_stay, forget_a_stay, give_it_to_a_stranger, put_it_on_another_pallet,
    forget_a_container, cool_it_down, lie_about_the_state,
    leave_it_at_the_plant_and_keep_quiet,
}]  # fmt: skip


@pytest.fixture(scope="module")
def patchy() -> tuple[Facts, dict[str, Answer | None]]:
    run = played(0.02, 3)
    facts = parse_truth(run.truth)
    return facts, answers(capture(run), facts.items)


@pytest.mark.parametrize(
    ("lie", "aspect", "verdict"), BOLD_LIES, ids=lambda x: getattr(x, "__name__", x)
)
def test_a_missed_read_elsewhere_is_no_excuse(
    patchy: tuple[Facts, dict[str, Answer | None]],
    lie: Callable[[Answer], None],
    aspect: str,
    verdict: str,
) -> None:
    facts, told = patchy
    tried = 0
    for key, item in facts.items.items():
        unread = [key, *(one.what for one in facts.containers(key))]
        answer = told[key]
        if answer is None or not any(one in facts.missed for one in unread):
            continue
        if not item.exposure or any(
            o.aspect == aspect for o in judge_item(facts, item, answer)
        ):
            continue
        lied = deepcopy(answer)
        try:
            lie(lied)
        except (IndexError, StopIteration):
            continue
        tried += 1
        found = {(one.aspect, one.verdict) for one in judge_item(facts, item, lied)}
        assert (aspect, verdict) in found, item.epc
    assert tried


def test_a_hole_with_a_gap_of_its_own_is_named_and_with_another_is_not(
    sold: tuple[Facts, Thing, Answer],
) -> None:
    facts, item, answer = sold
    told = deepcopy(answer)
    stay = stays(told)[1]
    drop(told, "path", stay)
    gap = {"epc": told["epc"], "from": stay["from"], "to": stay["to"], "between": [], "why": ""}

    def verdicts(**changes: str) -> set[str]:
        told["gaps"] = [gap | {"kind": "moved_unseen"} | changes]
        return {one.verdict for one in judge_item(facts, item, told) if one.aspect == "path"}

    assert verdicts() == {"named"}
    assert verdicts(kind="quantity_imbalance") == {"silent"}
    assert verdicts(epc="https://id.gs1.org/00/395060001343520006") == {"silent"}
    assert verdicts(to=later(stay["from"], -2), **{"from": later(stay["from"], -3)}) == {
        "silent"
    }


def test_a_claim_labelled_possible_is_never_wrong(sold: tuple[Facts, Thing, Answer]) -> None:
    facts, item, answer = sold
    told = deepcopy(answer)
    row = own(told, "containment")[1] | {"parent": "https://id.gs1.org/00/395060001343520006"}
    told["containment"].append(row | {"precision": "possible"})
    assert judge_item(facts, item, told) == []


def test_an_item_that_the_ledger_never_heard_of_is_a_silent_hole(
    sold: tuple[Facts, Thing, Answer],
) -> None:
    facts, item, _ = sold
    found = judge_item(facts, item, None)
    assert {one.verdict for one in found} == {"silent"}
    assert {one.aspect for one in found} == set(ASPECTS)


def test_what_is_no_answer_is_refused(sold: tuple[Facts, Thing, Answer]) -> None:
    facts, item, answer = sold
    with pytest.raises(ParseError, match="is no answer"):
        judge_item(facts, item, {"events": []})
    with pytest.raises(ParseError, match="is no answer"):
        judge_item(facts, item, answer | {"gaps": [{"kind": "x"}]})


def test_a_truth_file_that_is_none_is_refused_with_its_line() -> None:
    with pytest.raises(ParseError, match="truth:1"):
        parse_truth(["{}"])
    head = {"kind": "run", "format": "tagtrail/truth/v1", "scenario": "x", "seed": 1}
    run = json.dumps(head | {"tolerance_us": 1, "to": 2})
    with pytest.raises(ParseError, match=r"t\.jsonl:2"):
        parse_truth([run, "["], "t.jsonl")
    with pytest.raises(ParseError, match="empty"):
        parse_truth([])


def test_a_device_is_the_same_in_every_spelling_of_its_address() -> None:
    spellings = (
        "F4:1F:0C:30:00:01",
        "urn:dev:mac:f41f0cfffe300001",
        "urn:dev:mac:f41f0c300001",
    )
    assert {device_key(one) for one in spellings} == {"F41F0C300001"}


def test_a_report_is_plain_json(perfect: tuple[Facts, dict[str, Answer | None]]) -> None:
    facts, _ = perfect
    report = tally(
        facts, {key: judge_item(facts, item, None) for key, item in facts.items.items()}
    )
    said = json.loads(json.dumps(report.to_json()))
    assert (said["ok"], said["complete"], said["aspects"]["path"]["silent"]) == (False, 0, 72)
