"""The capture plan's text: valid as a whole, or refused with line and key."""

import pytest

from ingest.plan import (
    AggregationEmit,
    ObjectEmit,
    TransactionEmit,
    TransformationEmit,
    find_sensor,
    find_station,
    find_stations,
)
from ingest.planfile import parse_plan
from ledger.errors import ParseError
from tests.ingest.scene import DAIRY, FARM, HEAD, STATION, plan_of
from tests.optional import ROOT

EMIT = '[[station.emit]]\nevent = "object"\n'
SENSOR = f"""[[sensor]]
device = "C8:25:2D:8E:9C:2C"
party = "{DAIRY}"
asset = "urn:epc:id:grai:9506000.00300.7"
"""


def refusal(text: str) -> str:
    with pytest.raises(ParseError) as caught:
        parse_plan(text)
    return str(caught.value)


def test_the_plan_that_ships_is_valid_and_takes_every_topic() -> None:
    plan = parse_plan((ROOT / "docs" / "examples" / "plan.toml").read_text())
    (station,) = find_stations(plan, "any/where")
    assert station.party == DAIRY


def test_every_kind_of_event_can_be_planned() -> None:
    plan = plan_of(
        STATION,
        EMIT,
        'epcs = ["urn:epc:idpat:sscc:9506000.*"]\n'
        'biz_step = "urn:epcglobal:cbv:bizstep:shipping"\n'
        f'source = [{{type = "possessing_party", id = "{DAIRY}"}}]\n'
        f'destination = [{{type = "owning_party", id = "{FARM}"}}]\n',
        '[[station.emit]]\nevent = "aggregation"\naction = "ADD"\nparent = ["*"]\n'
        'children = ["*"]\n',
        '[[station.emit]]\nevent = "association"\naction = "DELETE"\nparent = ["*"]\n',
        '[[station.emit]]\nevent = "transformation"\nilmd = {"cbvmda:site" = "x"}\n',
        '[[station.emit]]\nevent = "transaction"\naction = "ADD"\n'
        'transactions = [{type = "po", id = "urn:epcglobal:cbv:bt:9506000134352:1"}]\n',
    )
    kinds = [type(emit) for emit in plan.stations[0].emits]
    assert kinds == [
        ObjectEmit,
        AggregationEmit,
        AggregationEmit,
        TransformationEmit,
        TransactionEmit,
    ]
    assert plan.stations[0].emits[0].why.biz_step == "shipping"
    assert plan.stations[0].transformation is plan.stations[0].emits[3]


def test_defaults_hold_where_a_station_says_nothing() -> None:
    text = HEAD.replace("[[party]]", "[defaults]\ngap_ms = 7\nmin_reads = 3\n[[party]]", 1)
    station = parse_plan(text + STATION).stations[0]
    assert (station.gap_us, station.min_reads, station.idle_us) == (3_000_000, 3, 5_000_000)


def test_the_first_station_in_the_file_wins_and_antennas_narrow_it() -> None:
    narrow = STATION.replace('"gate"', '"left"') + "antennas = [1, 2]\n"
    plan = plan_of(narrow, STATION)
    stations = find_stations(plan, "gate/x")
    found = [find_station(stations, antenna) for antenna in (1, 3, None)]
    assert [one.name if one else None for one in found] == ["left", "gate", "gate"]
    assert find_station(stations[:1], 3) is None
    assert find_stations(plan, "elsewhere") == ()


def test_a_sensor_is_found_by_its_best_name_and_has_a_uri() -> None:
    other = SENSOR.replace("C8:25:2D:8E:9C:2C", "70B3D57ED0000001")
    plan = plan_of(SENSOR, other + 'topics = ["a/#"]\n')
    assert plan.sensors[0].device_uri == "urn:dev:mac:c8252dfffe8e9c2c"
    assert plan.sensors[1].device_uri == "urn:dev:mac:70b3d57ed0000001"
    best = find_sensor(plan, "a/b", ("70b3d57ed0000001", "c8:25:2d:8e:9c:2c"))
    assert best is plan.sensors[1]
    assert find_sensor(plan, "b", ("70B3D57ED0000001",)) is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"tagtrail/plan/v1"', '"tagtrail/plan/v2"', "line 1: plan"),
        ('name = "test"', "name = 3", "line 2: name: is a number"),
        ('name = "test"', "", "name: is missing"),
        ('name = "test"', 'name = "test"\ncolour = "red"', "line 3: colour: is no key"),
        ('prefixes = ["9506000"]', 'prefixes = ["95O6"]', "party[1].prefixes"),
        (FARM, DAIRY, "names one party twice"),
        (FARM, FARM[:-1] + "0", "line 8: party[2].id"),
        ('topics = ["gate/#"]', 'topics = ["gate#"]', "line 14: station[1].topics"),
        ('topics = ["gate/#"]', 'topics = ["$SYS/#"]', "the broker's own"),
        ('topics = ["gate/#"]', "topics = []", "empty array"),
        ("gap_ms = 3000", "gap_ms = 0", "want 1 to"),
        ("gap_ms = 3000", "gap_ms = 2.5", "whole number"),
        ("gap_ms = 3000", "gap_mss = 3000", "gap_mss: is no key"),
        ("gap_ms = 3000", "gap_ms = true", "a boolean"),
        ("gap_ms = 3000", "antennas = [-1]", "antennas: item 1"),
        ("gap_ms = 3000", 'timezone = "CET"', "timezone"),
        ("9506000.00001.gate", "9506000.00001", "read_point"),
        ('name = "gate"', 'name = "gate', "is no TOML"),
        (f'party = "{DAIRY}"', f'party = "{DAIRY[:-1]}9"', "is not the id of any"),
        ('event = "object"', 'event = "thing"', "station[1].emit[1].event"),
        ('event = "object"', 'event = "object"\naction = "DO"', "want ADD, OBSERVE or DELETE"),
        (
            'event = "object"',
            'event = "object"\nbiz_step = "shiping"',
            "no word of CBV's bizStep",
        ),
        ('event = "object"', 'event = "object"\nilmd = {a = 1}', "the action ADD alone"),
        ('event = "object"', 'event = "object"\nepcs = ["urn:epc:idpat:x"]', "epcs"),
        ('event = "object"', 'event = "aggregation"\nparent = ["*"]', "action: is missing"),
        (
            'event = "object"',
            'event = "aggregation"\naction = "ADD"\nparent = ["*"]',
            "children: is missing",
        ),
        ('event = "object"', 'event = "transaction"\naction = "ADD"', "transactions"),
        (
            'event = "object"',
            'event = "object"\nsource = [{type = "boss", id = "a:b"}]',
            "source",
        ),
        ('event = "object"', 'event = "object"\nsource = "me"', "want [[source]] tables"),
        ("C8:25:2D:8E:9C:2C", "logger", "device_uri: is missing"),
        ('asset = "urn', 'place = "urn:epc:id:sgln:9506000.00001.0"\nasset = "urn', "either"),
        ('asset = "urn', 'values = {temp = "warmth"}\nasset = "urn', "values: 'temp'"),
        ('asset = "urn', 'batch = 0\nasset = "urn', "batch: is 0"),
    ],
)
def test_a_plan_with_a_mistake_is_refused_at_its_key(old: str, new: str, said: str) -> None:
    text = HEAD + STATION + EMIT + SENSOR
    assert old in text
    assert said in refusal(text.replace(old, new))


def test_two_stations_of_one_name_are_refused() -> None:
    assert "two are called ['gate']" in refusal(HEAD + STATION + STATION)


def test_two_transformations_at_one_station_are_refused() -> None:
    emit = '[[station.emit]]\nevent = "transformation"\n'
    assert "two are transformations" in refusal(HEAD + STATION + emit + emit)


def test_a_plan_for_nothing_is_refused() -> None:
    assert "needs a [[station]]" in refusal(HEAD)
