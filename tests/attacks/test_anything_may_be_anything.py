"""Rows hold values of any type and shape: the audit reports, and never breaks."""

import random
from pathlib import Path

import pytest

from ledger.audit.finding import Result
from ledger.audit.stored import TABLES
from tests.attacks.stored_rows import Row, StoredRows, audit_rows, load_rows

MUTATIONS = 500


@pytest.fixture(scope="module")
def rows(tiny_ledger: Path) -> StoredRows:
    return load_rows(tiny_ledger)


def mutate(rows: StoredRows, dice: random.Random) -> tuple[StoredRows, str]:
    """Return a copy in which a row was repeated, dropped, or filled with junk."""
    table = dice.choice([name for name in TABLES if rows.tables[name]])
    old = rows.tables[table]
    at, other = dice.randrange(len(old)), dice.randrange(len(old))
    column = dice.randrange(len(old[at]))
    value = old[at][column]
    if isinstance(value, bytes):
        cut = dice.randrange(len(value) + 1)
        choices = [b"", value[:cut], value[cut:], value + value[:cut], value[:cut] + value]
    elif value is None:
        choices = [b"", bytes(80)]
    else:
        choices = [-1, 0, 2**63 - 1, -(2**63), value + 1]  # type: ignore[operator, list-item]
    junk: object = dice.choice([*choices, old[other][column]])
    changed: Row = (*old[at][:column], junk, *old[at][column + 1 :])
    new = {
        "fill": [*old[:at], changed, *old[at + 1 :]],
        "drop": [*old[:at], *old[at + 1 :]],
        "repeat": [*old, old[at]],
        "add": [*old, changed],
    }
    how = dice.choice(list(new))
    what = f"{how} {table} row {at} column {column} with {junk!r:.40}"
    return StoredRows(rows.tables | {table: new[how]}, rows.trust), what


def test_mutated_rows_are_reported_and_break_nothing(rows: StoredRows) -> None:
    dice = random.Random(11)
    for n in range(MUTATIONS):
        mutant, what = mutate(rows, dice)
        for _ in range(dice.choice([0, 0, 1, 3])):
            mutant, more = mutate(mutant, dice)
            what = f"{what}; {more}"
        result, _ = audit_rows(mutant)
        # A checkpoint less is less evidence, not other evidence: nothing contradicts it.
        less = set(mutant.tables["checkpoint"]) <= set(rows.tables["checkpoint"])
        others = [table for table in TABLES if table != "checkpoint" or not less]
        same = all(set(mutant.tables[table]) == set(rows.tables[table]) for table in others)
        assert same or result is Result.TAMPERED, f"mutation {n}: {what}"


@pytest.mark.parametrize("junk", [None, "text", 1.5])
@pytest.mark.parametrize("table", [name for name in TABLES if name != "tile"])
def test_a_value_of_any_type_is_reported(rows: StoredRows, table: str, junk: object) -> None:
    row = rows.tables[table][-1]
    for column in range(len(row)):
        if (TABLES[table][column].null and junk is None) or row[column] == junk:
            continue
        spoilt = (*row[:column], junk, *row[column + 1 :])
        at = len(rows.tables[table]) - 1
        result, findings = audit_rows(rows.with_row(table, at, spoilt))
        assert result is Result.TAMPERED, (table, column, findings)
