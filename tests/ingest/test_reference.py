"""The reference pages say what the code takes: every key, every line message, every command."""

import re

from ingest.readers import line
from tests.optional import ROOT

REFERENCE = ROOT / "docs" / "reference"


def test_every_key_of_a_plan_is_in_its_page() -> None:
    names = ("planfile.py", "planfilters.py", "planreaders.py", "mapping.py")
    source = "".join((ROOT / "ingest" / name).read_text() for name in names)
    asked = r"\b(?:table|root|defaults|one)\.\w+\(|_(?:patterns|ends|word|identifier)\(\w+, "
    pattern = rf'(?:{asked})\s*"(\w+)"'
    keys = set(re.findall(pattern, source)) - {"plan"}
    assert {"gap_ms", "device_uri", "children", "values", "antennas"} <= keys
    page = (REFERENCE / "plan.md").read_text()
    assert not [key for key in sorted(keys) if key not in page]


def test_every_line_message_is_in_its_page() -> None:
    kinds = set(re.findall(r'"(line\.\w+)"', (ROOT / "ingest/readers/line.py").read_text()))
    assert line.is_line({"type": min(kinds)})
    page = (REFERENCE / "line-messages.md").read_text()
    assert not [kind for kind in kinds if f"## `{kind}`" not in page]


def test_every_command_is_in_its_page() -> None:
    source = (ROOT / "ingest" / "cli.py").read_text()
    source += (ROOT / "ingest" / "operate.py").read_text()
    commands = re.findall(r'(?:quarantine_|parked_)?app\.command\("(\w+)"\)', source)
    assert len(commands) == 12
    page = (REFERENCE / "gateway.md").read_text()
    assert not [name for name in commands if not re.search(rf"tagtrail gateway .*{name}", page)]
