"""Trials: each kind of fault by itself, in a small dairy, and what the answers make of it.

The scenarios that ship have a few faults each. Here every kind happens once, with nothing
else wrong and no read missed, so that whatever the answers lack or get wrong is its doing.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Iterator

from device_sim.scenario import FaultKind, Scenario
from device_sim.scenariofile import parse_scenario

_DOCK, _LINE = "centre/dock-in", "dairy/case-tunnel"
_TILL, _SIGNED = "harbour/till", "market/till"
# Each kind with the keys of its table; what is not said has its default.
TRIALS: dict[FaultKind, str] = {
    "stray": 'station = "centre/dock-2"\nby = "centre/dock-1"\nshare = 1.0',
    "ghost": f'station = "{_DOCK}"\ncount = 4',
    "duplicate_burst": f'station = "{_DOCK}"\nmessages = 20',
    "antenna_failure": f'station = "{_DOCK}"\nantenna = 2\nminutes = 60',
    "reboot": f'station = "{_LINE}"\nminutes = 1',
    "clock_skew": f'station = "{_DOCK}"\nseconds = -90.0',
    "clock_drift": f'station = "{_DOCK}"\nppm = 500.0',
    "clock_step": f'station = "{_DOCK}"\npass = 1\nseconds = 3600.0',
    "no_clock": f'station = "{_DOCK}"\nminutes = 60',
    "offline": f'station = "{_DOCK}"\nminutes = 60\nrate = 5',
    "truncated": f'station = "{_LINE}"\nmessages = 2',
    "poison": f'station = "{_DOCK}"\nmessages = 6',
    "tampered": f'station = "{_DOCK}"\nmessages = 3',
    "replayed": f'station = "{_DOCK}"\nmessages = 5\nhours = 5',
    "forged": f'station = "{_TILL}"\ncount = 2',
    "stolen_key": f'station = "{_SIGNED}"\npass = 8\ncount = 2',
    "clone": f'station = "{_TILL}"\ncount = 2',
    "fakes": f'station = "{_TILL}"\ncount = 2',
    "tag_swap": f'station = "{_TILL}"',
    "diversion": 'leg = "centre/harbour"\nto = "market"',
    "excursion": 'leg = "dairy/centre"\nminutes = 90',
    "sensor_drift": 'leg = "dairy/centre"\ndegrees = 3.0',
    "sensor_silence": 'leg = "dairy/centre"\nminutes = 60',
    "late_upload": 'leg = "dairy/centre"',
    "late_document": 'site = "hill-farm"\nhours = 50',
    "lost_document": 'site = "hill-farm"',
    "forged_document": 'site = "hill-farm"\nshare = 2.0',
    "mass_imbalance": 'site = "dairy"\nshare = 0.4',
    "collusion": 'site = "hill-farm"\nto = "north-farm"',
    "lost_messages": f'station = "{_LINE}"\nmessages = 2',
    "reader_drops": f'station = "{_LINE}"\nmessages = 2',
    "cut_off": f'station = "{_LINE}"\nminutes = 60',
    "out_of_order": f'station = "{_LINE}"\nmessages = 2\nseconds = 4.0',
}
_WATCHED = "numbered = true\nheartbeat_s = 600"
_SIZE = {"items": 48, "day.batches": 2}


def sound_text(dairy: str, *, signed: bool) -> str:
    """Return the dairy without its faults and misses; one till may sign what it sells.

    One reader of the line is watched: it counts, and sends heartbeats.
    """
    text, _, _ = dairy.partition("# Faults")
    before, own, after = text.partition(f'name = "{_LINE}"')
    assert own, "the dairy has that tunnel"
    text = before + own + after.replace('"zebra"', f'"zebra"\n{_WATCHED}', 1)
    before, own, after = text.partition(f'name = "{_SIGNED}"')
    assert own, "the dairy has that till"
    if signed:
        after = after.replace('"zebra"', '"signed"', 1)
    lines = (before + own + after).splitlines()
    missed = ("missed =", "missed_at_encoder =")
    return "\n".join(
        f"{one.partition('=')[0]}= 0.0" if one.startswith(missed) else one for one in lines
    )


def trials(dairy: str) -> Iterator[tuple[str, Scenario]]:
    """Yield every kind of fault with the scenario in which it happens alone."""
    for kind, keys in TRIALS.items():
        text = sound_text(dairy, signed=kind == "stolen_key")
        table = f'\n\n[[fault]]\nkind = "{kind}"\n{keys}\n'
        yield kind, parse_scenario(text + table, kind, _SIZE)
