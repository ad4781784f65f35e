"""One bit of a raw database file is flipped: found, or unreadable, or nothing has changed."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from ledger.audit.finding import Result
from ledger.cli.verify import audit_folder
from tests.attacks.stored_rows import load_rows

FLIPS = 300


@pytest.mark.parametrize(
    ("name", "flips"), [("evidence.db", FLIPS), ("signed.db", FLIPS // 3)], ids=str
)
def test_a_flip_in_the_raw_file_is_found_or_changes_nothing(
    small_ledger: Path, copy_of: Callable[[Path], Path], name: str, flips: int
) -> None:
    before = load_rows(small_ledger).tables
    folder = copy_of(small_ledger)
    whole = (folder / name).read_bytes()
    dice = random.Random(name)
    results: Counter[Result] = Counter()
    for n in range(flips):
        bit = dice.randrange(8 * len(whole))
        data = bytearray(whole)
        data[bit // 8] ^= 1 << bit % 8
        (folder / name).write_bytes(data)
        what = f"flip {n} of {name}: bit {bit % 8} of byte {bit // 8}"
        report = audit_folder(folder)
        results[report.result] += 1
        assert report.result is not Result.POLICY, what
        if report.result is Result.VERIFIED:
            assert load_rows(folder).tables == before, what
    print(f"{name}: {dict(results)}")
    if name == "evidence.db":
        assert results[Result.TAMPERED] > flips // 10
