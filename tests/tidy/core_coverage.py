"""Asks that the tests of the evidence core take every branch of it.

    .venv/bin/python -m tests.tidy.core_coverage

Runs the core's own tests under coverage (a minute or so; no test of another room counts) and
ends with 1 below 100 % of lines and branches, naming what is missing. Foreign vectors are
left out, so that the figure does not depend on what lies beside the repository.
"""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[2]
CORE = (
    *("ledger/cose.py", "ledger/disclosure.py", "ledger/entry.py", "ledger/errors.py"),
    *("ledger/statement.py", "ledger/tlog/*", "ledger/trust/*"),
)
TESTS = (
    "tests/ledger/tlog",
    *(f"tests/ledger/test_{name}.py" for name in ("cose", "disclosure", "entry", "statement")),
    *(f"tests/ledger/test_{name}.py" for name in ("trust", "vectors")),
)
FOREIGN = "tests/ledger/tlog/test_foreign_vectors.py"
FUZZ_CASES = "300"


def main() -> int:
    """Run the tests and report; return the exit code."""
    with TemporaryDirectory() as folder:
        environment = os.environ | {
            "COVERAGE_FILE": str(Path(folder) / "coverage"),
            "TAGTRAIL_FUZZ_CASES": FUZZ_CASES,
        }
        coverage = [sys.executable, "-m", "coverage"]
        run = [*coverage, "run", "--branch", "-m", "pytest", "-q"]
        report = [*coverage, "report", "--fail-under=100", f"--include={','.join(CORE)}"]
        tested = subprocess.run(
            [*run, *TESTS, f"--ignore={FOREIGN}"], cwd=ROOT, env=environment, check=False
        )
        reported = subprocess.run(report, cwd=ROOT, env=environment, check=False)
    return tested.returncode or (1 if reported.returncode else 0)


if __name__ == "__main__":
    sys.exit(main())
