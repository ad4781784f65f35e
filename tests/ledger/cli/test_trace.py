"""`tagtrail trace` against a real folder and a real (small) server."""

import json
import threading
from collections.abc import Iterator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ledger.cli import main
from ledger.cli.trace import read_names
from ledger.disclosure import Submission, WholeEvent, commitment, events_root
from ledger.epcis.event import split_event
from ledger.errors import ParseError
from ledger.gs1.item import parse_item
from ledger.statement import Capture
from ledger.store.index import open_index
from ledger.store.intake import verify_submission
from tests.ledger.provenance.fakes import (
    AT_CENTRE,
    AT_DAIRY,
    CENTRE,
    DAIRY,
    ask,
    case,
    commission,
    item,
    ledger_of,
    pack,
    receive,
    ship,
    temperature,
    unpack,
)
from tests.ledger.store.parties import World

EVENTS = (
    commission("1 08:00", item(1), bizLocation=AT_DAIRY),
    pack("1 09:00", case(1), item(1)),
    ship("1 10:00", case(1), giver=DAIRY, taker=CENTRE),
    temperature("1 11:00", case(1), values=[3.5, 4.5]),
    receive("2 10:00", case(1), giver=DAIRY, taker=CENTRE, bizLocation=AT_CENTRE),
    unpack("2 11:00", case(1), item(1)),
)
PLAN = f"""
plan = "tagtrail/plan/v1"
[[party]]
id = "{DAIRY}"
name = "Alm Dairy [north]"
[[station]]
name = "dairy/gate"
biz_location = "{AT_DAIRY}"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger that holds `EVENTS` in one statement."""
    world = World(tmp_path_factory.mktemp("ledger")).found()
    log = world.open()
    events = tuple(
        WholeEvent(sha256(str(n).encode()).digest(), split_event(one))
        for n, one in enumerate(EVENTS)
    )
    root = events_root(commitment(one) for one in events)
    submission = Submission(world.gateway.say(Capture(2, len(events), root)), events)
    log.append([verify_submission(submission, log.keys())])
    index = open_index(world.folder, log.reader)
    while index.follow(log.size):
        pass
    index.close()
    log.close()
    return world.folder


def run(*argv: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["trace", *argv])
    code = ended.value.code
    assert isinstance(code, int | None)
    return code or 0


def test_the_json_of_a_folder_is_the_answer(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("(01)09506000134352(21)1", "--dir", str(folder), "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["epc"] == item(1)
    assert [one["entry"] for one in answer["events"]] == [5] * len(EVENTS)
    assert [one["position"] for one in answer["events"]] == list(range(len(EVENTS)))
    assert answer["conditions"][0]["max"] == 4.5
    assert answer["state"]["possessor"] == CENTRE


def test_in_a_pipe_the_timeline_is_plain_text_with_names_and_gaps(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN)
    assert run(item(1), "--dir", str(folder), "--names", str(plan)) == 0
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert "Alm Dairy [north]" in text
    assert "gap     no conditions" in text
    assert "3.5 to 4.5 °C, mean 4.0" in text
    assert any("tier 1" in line and "shipping" in line for line in text.splitlines())


def test_at_and_known_at_go_back_in_both_times(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = "2026-03-01T09:30:00Z"
    assert run(item(1), "--dir", str(folder), "--json", "--at", at) == 0
    assert len(json.loads(capsys.readouterr().out)["events"]) == 2
    assert run(item(1), "--dir", str(folder), "--known-at", "5") == 1


@pytest.mark.parametrize(
    ("argv", "code", "what"),
    [
        (["urn:epc:id:sgtin:9506000.013435.99"], 1, "no event in this ledger names"),
        (["milk"], 2, "is no EPC URN"),
        (["urn:epc:id:sgtin:9506000.013435.1", "--at", "noon"], 2, "--at"),
        (
            ["urn:epc:id:sgtin:9506000.013435.1", "--url", "http://x"],
            2,
            "either --dir or --url",
        ),
    ],
)
def test_unknown_items_and_bad_arguments_end_with_one_clear_line(
    folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str], code: int, what: str
) -> None:
    assert run(*argv, "--dir", str(folder)) == code
    assert what in capsys.readouterr().err


def test_a_missing_folder_is_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(item(1), "--dir", str(tmp_path / "nowhere")) == 2
    assert "evidence.db" in capsys.readouterr().err


@pytest.fixture
def url() -> Iterator[str]:
    """Yield a server that knows one item."""
    answer = json.dumps(ask(ledger_of(*EVENTS), item(1))).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path.endswith("%2F1")
            problem = {"type": "https://tagtrail.dev/problems/not-found", "status": 404}
            kind = "application/json" if known else "application/problem+json"
            body = answer if known else json.dumps(problem).encode()
            self.send_response(200 if known else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_server_is_asked_the_same_way(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(item(1), "--url", url) == 0
    assert "shipping" in capsys.readouterr().out
    assert run(item(2), "--url", url) == 1


def test_an_item_is_named_by_its_tag_too() -> None:
    assert parse_item("3034257BF7194E406E48E8C2").startswith("https://id.gs1.org/01/")
    assert parse_item("urn:epc:id:sgtin:9506000.013435.1") == item(1)


def test_a_plan_that_is_no_toml_is_refused_by_name(tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text("[[party]\n")
    with pytest.raises(ParseError, match=r"plan\.toml: is no TOML"):
        read_names(plan)
    plan.write_text(PLAN)
    assert read_names(plan) == {DAIRY: "Alm Dairy [north]", AT_DAIRY: "dairy"}


def test_forward_tells_what_an_item_is_in_no_recall_of(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(item(1), "--dir", str(folder), "--forward", "--json") == 0
    assert json.loads(capsys.readouterr().out)["descendants"] == []


def test_a_recall_of_a_case_finds_what_was_in_it_and_whom_to_call(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["recall", case(1), "--dir", str(folder)])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "01/09506000134352/21/1" in shown
    assert f"call {CENTRE.removeprefix('https://id.gs1.org/')}: possessor of 2" in shown


def test_a_recall_that_reaches_nothing_ends_with_1(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = ["--place", AT_DAIRY, "--to", "2026-01-01T00:00:00Z"]
    with pytest.raises(SystemExit) as ended:
        main(["recall", *nowhere, "--dir", str(folder), "--json"])
    assert ended.value.code == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["kind"] for row in rows] == ["recall", "summary"]
