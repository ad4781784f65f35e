from importlib.resources import files

import pytest

from device_sim.chance import Stream
from device_sim.library import list_scenarios, load_scenario, scenario_text
from device_sim.play import play
from device_sim.scenario import build_world
from device_sim.scenariofile import parse_scenario
from ledger.errors import ParseError


def line_of(text: str, wanted: str) -> int:
    return text.splitlines().index(wanted) + 1


def test_every_scenario_that_ships_is_accepted() -> None:
    assert "dairy" in list_scenarios()
    for name in list_scenarios():
        assert load_scenario(name).name == name


def test_a_world_has_everything_that_the_file_names(dairy_text: str) -> None:
    world = build_world(parse_scenario(dairy_text))
    assert len(world.parties) == 8
    assert len(world.of_role("source")) == 3
    dock = world.stations["centre/dock-2"]
    assert (dock.site.name, dock.to and dock.to.name) == ("centre", "market")
    assert dock.read_point == "urn:epc:id:sgln:9521301.00001.dock-2"


@pytest.mark.parametrize(
    ("old", "new", "where", "why"),
    [
        ("items = 300", "items = 0", "items", ">= 1"),
        ("items = 300", 'items = "many"', "items", "int"),
        ("items = 300", "itemz = 300", "itemz", "field `itemz`; allowed: scenario, name"),
        ("items = 300", "", "", "missing required field `items`"),
        ('fill = "10:00"', 'fill = "25:00"', "day.fill", "regex"),
        ("sold = 0.94", "sold = 1.5", "day.sold", "<= 1"),
        ('does = "intake"', 'does = "inhale"', "station[6].does", "allowed: produce"),
        ('name = "dairy/intake"', 'name = "dairi/intake"', "station[6].name", "allowed: north"),
        ('leg = "dairy/centre"', 'leg = "dairy/moon"', "fault[0].leg", "dairy/centre"),
        ('station = "centre/dock-in"', 'station = "x"', "fault[1].station", "allowed: north"),
        ('does = "fill"', 'does = "case"', "station", "no station that does 'fill'"),
        ('made_at = "dairy"', 'made_at = "moon"', "product[0].made_at", "allowed: dairy"),
        ("cases_per_pallet = 4", "parts = {bolt = 2}", "product[0]", "cases_per_pallet"),
        ('raw = "000017"', "parts = {bolt = 2}", "product[0].parts", "allowed: "),
        ('reader = "zebra"', 'reader = "siemens"', "station[7].reader", "allowed: impinj"),
        ('kind = "tanker"', 'kind = "boat"', "vehicle[0].kind", "allowed: tanker"),
        ('origin = "centre"\nto = "market"', 'origin = "centre"\nto = "harbour"', "route",
         "no route to 'market'"),
        ('name = "trailer-2"', 'name = "trailer-1"', "vehicle[3].name", "is taken"),
        ('start = "2026-03-02T00:00:00Z"', 'start = "Monday"', "start", "Monday"),
        ('name = "dairy"', "name = dairy", "", "not TOML"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_with_its_place_and_what_is_allowed(
    dairy_text: str, old: str, new: str, where: str, why: str
) -> None:
    assert old in dairy_text
    text = dairy_text.replace(old, new, 1)
    with pytest.raises(ParseError) as caught:
        parse_scenario(text, "file.toml")
    assert caught.value.where.startswith("file.toml")
    assert caught.value.where.endswith(where)
    assert why in caught.value.why


def test_a_refusal_names_the_line(dairy_text: str) -> None:
    text = dairy_text.replace('does = "intake"', 'does = "inhale"', 1)
    line = line_of(text, 'does = "inhale"')
    with pytest.raises(ParseError, match=rf"^f:{line} station"):
        parse_scenario(text, "f")
    text = dairy_text.replace("missed = 0.002", "missed = 2", 1)
    line = line_of(text, "missed = 2")
    with pytest.raises(ParseError, match=rf"^f:{line} radio.missed"):
        parse_scenario(text, "f")


def test_a_name_that_nothing_has_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ParseError, match=r"there are: bulk, dairy"):
        load_scenario("nowhere")


COPIED = """
[copies]
farm = 3
"""


def test_a_table_that_names_a_copy_is_there_as_often_as_it_says(dairy_text: str) -> None:
    text = dairy_text.replace(
        '[[party]]\nname = "north-farm"\ntitle = "North Farm"\nprefix = "9521101"',
        '[[party]]\nname = "north-farm"\ntitle = "North Farm"\nprefix = "9521101"\n\n'
        '[[party]]\nname = "idle-{farm}"\ntitle = "Idle {farm:03d}"\n'
        'prefix = "95219{farm:02d}"',
    )
    text = text.replace("\n[[product]]", COPIED + "\n[[product]]", 1)
    world = build_world(parse_scenario(text))
    idle = [one for one in world.parties.values() if one.name.startswith("idle")]
    assert [(one.name, one.title, one.prefix) for one in idle] == [
        ("idle-1", "Idle 001", "9521901"), ("idle-2", "Idle 002", "9521902"),
        ("idle-3", "Idle 003", "9521903"),
    ]  # fmt: skip


def test_a_mistake_in_a_copied_table_is_named_where_it_stands() -> None:
    text = (files("device_sim") / "scenarios" / "stress.toml").read_text()
    bad = text.replace('does = "sell"', 'does = "give"', 1)
    line = line_of(bad, 'does = "give"')
    with pytest.raises(ParseError, match=rf"^f:{line} station.*does: Invalid enum"):
        parse_scenario(bad, "f")
    bad = text.replace("store = 20", "store = 0", 1)
    with pytest.raises(ParseError, match=rf"^f:{line_of(bad, 'store = 0')} copies.store"):
        parse_scenario(bad, "f")


def test_numbers_are_changed_by_dotted_key_and_checked_like_the_file() -> None:
    changed = load_scenario("stress", ["copies.store=3", "day.batches=1", "items=10"])
    assert (changed.items, changed.day.batches) == (10, 1)
    assert len(build_world(changed).of_role("shop")) == 3
    with pytest.raises(ParseError, match=r"there are: .*day\.batches=N"):
        load_scenario("stress", ["day.cows=3"])
    with pytest.raises(ParseError, match="is not key=number"):
        load_scenario("stress", ["items=many"])
    with pytest.raises(ParseError, match=r"items.*>= 1"):
        load_scenario("stress", ["items=0"])


@pytest.mark.parametrize(
    ("name", "old", "new", "where", "why"),
    [
        ("stress", '"Farm {farm}"', '"Farm {farm:zz}"', "party[0]", "allowed: d, 05d"),
        ("dairy", 'reader = "impinj"\n', "", "station[1].reader", "impinj, zebra"),
        ("luxury", '"sgtin-198"', '"sgtin-97"', "product[0].tag", "sgtin-96, sgtin-198"),
        ("luxury", 'buyers = "public"\n', "", "fate.buyers", "is missing"),
        ("luxury", 'buyers = "public"', 'buyers = "nobody"', "fate.buyers", "workshop"),
        ("luxury", "returned = 0.12", "returned = 12", "fate.returned", "<= 1.0"),
        ("luxury", 'does = "return"', 'does = "sell"', "station", "does 'return'"),
        ("marketplace", 'owner = "seller-1"', 'owner = "seller-9"', "owner", "seller-3"),
        ("bulk", '"soapworks"\nkilo', '"refinery"\nkilo', "lot[0].to", "soap"),
        ("bulk", 'to = "mill-2"', 'to = "mill-3"', "fault[3].to", "lend itself"),
    ],
)  # fmt: skip
def test_what_a_scenario_cannot_be_is_refused_with_what_it_could(
    name: str, old: str, new: str, where: str, why: str
) -> None:
    text = scenario_text(name)
    assert old in text
    with pytest.raises(ParseError) as caught:
        parse_scenario(text.replace(old, new, 1), "f")
    assert where in caught.value.where
    assert why in caught.value.why


def test_no_garbage_gets_by_as_anything_but_a_refusal_or_a_run() -> None:
    """Hundreds of damaged files: each is refused as a file is, or plays."""
    chance = Stream(11, "damage")
    words = ['"x"', "0", "-1", "1.5", "true", "[]", "{}", '"centre"', "9999999999", '"a/b"',
             "[5, 1]", '""', "nan", '"{store}"', '"{store:zz}"', '"{"']  # fmt: skip
    played = 0
    for n in range(600):
        lines = scenario_text(list_scenarios()[n % 8]).splitlines()
        at = chance.below(len(lines))
        match chance.below(4):
            case 0:
                lines[at : at + 1] = []
            case 1:
                lines.insert(at, lines[chance.below(len(lines))])
            case 2:
                lines[at] = lines[at][: chance.below(len(lines[at]) + 1)]
            case _:
                lines[at] = f"{lines[at].partition('=')[0]}= {words[chance.below(len(words))]}"
        try:
            scenario = parse_scenario("\n".join(lines), "f", {"items": 12})
        except ParseError:
            continue
        if n % 15 == 0:
            assert play(scenario, 1).messages
            played += 1
    assert played
