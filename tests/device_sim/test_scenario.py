import pytest

from device_sim.library import list_scenarios, load_scenario
from device_sim.scenario import build_world, parse_scenario
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
    with pytest.raises(ParseError, match="there are: dairy"):
        load_scenario("nowhere")
