"""The API against its own description: whatever is asked, no 500 and no status unlisted."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

from ledger.api.application import create_application
from tests.ledger.api.conftest import start, stop

DESCRIBED = create_application(cast("Any", None)).openapi()
SCHEMA = schemathesis.openapi.from_dict(DESCRIBED)
# Of the resolver's paths one stands for all.
TWINS = [f"/{ai}/{{rest}}" for ai in ("00", "253", "255", "401", "402", "414", "417", "8003",
         "8004", "8006", "8010", "8017", "8018")]  # fmt: skip


@pytest.fixture(scope="module")
def url(untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = Path(shutil.copytree(untouched, tmp_path_factory.mktemp("openapi") / "ledger"))
    process, found = start(folder)
    yield found
    assert stop(process) == 0


def test_every_status_is_listed_with_its_meaning() -> None:
    for path, operations in DESCRIBED["paths"].items():
        for method, operation in operations.items():
            assert operation["responses"], (method, path)
            assert "500" not in operation["responses"]
            assert "default" not in operation["responses"]
            assert all(one["description"] for one in operation["responses"].values())


@SCHEMA.exclude(path=TWINS).parametrize()
@settings(
    max_examples=3,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_no_question_gets_a_500_or_an_unlisted_status(case: Any, url: str) -> None:
    case.call_and_validate(
        base_url=url, timeout=20, checks=[not_a_server_error, status_code_conformance]
    )
