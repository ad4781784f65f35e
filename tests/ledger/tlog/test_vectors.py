"""The checked-in vectors are those that the script writes."""

from tests.ledger.tlog.vectors import FOLDER
from tests.vectors.tlog.generate import files

KEPT = {"cosignature/ml-dsa-44.json"}


def test_every_vector_is_made_by_the_script_and_every_made_one_is_there() -> None:
    made = files()
    there = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.json")}
    assert there == set(made) | KEPT
    for name, data in made.items():
        assert (FOLDER / name).read_bytes() == data, name
