"""Following a partner's log: its checkpoints stand in ours, and contradict a rewritten one."""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from ledger.app import Founding, clock_us, create_ledger, open_ledger
from ledger.audit.fork import parse_fork, verify_fork
from ledger.audit.trustfile import Trust
from ledger.cli import main
from ledger.cli.verify import audit_folder
from ledger.client.foreignlog import ForeignLogError
from ledger.config import ServeSettings, find_passphrase, load_trust
from ledger.errors import ParseError, RefusedError, VerificationError
from ledger.federation.anchoring import Followed, anchor, follow_log, load_followed
from ledger.keyfile import load_signer
from ledger.store.log import Log
from ledger.tlog.note import parse_vkey
from tests.ledger.api.conftest import start, stop
from tests.ledger.federation.anchors import say_anchor

OURS, THEIRS = "tagtrail.example/ours", "tagtrail.example/theirs"
DEADLINE_S = 30.0


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the ledger in `folder`, which publishes what it has at the end at the latest."""
    process, url = start(folder, "--publish-every", "0.05")
    try:
        yield url
    finally:
        stop(process)


def open_log(folder: Path, origin: str) -> Log:
    key = load_signer(folder / "keys" / "log.key", find_passphrase(folder))
    return Log(folder, origin, now_us=clock_us, log_key=key)


def grow(folder: Path, origin: str, *names: str) -> None:
    """Let a log that nobody serves grow, and publish that."""
    key = load_signer(folder / "keys" / "log.key", find_passphrase(folder))
    with open_ledger(folder, ServeSettings()) as ledger:
        for name in names:
            say_anchor(ledger.log, key, name)
        assert ledger.log.origin == origin


def followed(folder: Path, url: str) -> Followed:
    return Followed(url=url, key=load_trust(folder).policy.logs[0].key)


def trust_of(folder: Path) -> Trust:
    return load_trust(folder)


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    create_ledger(tmp_path / "ours", Founding(origin=OURS))
    return tmp_path / "ours"


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    create_ledger(tmp_path / "theirs", Founding(origin=THEIRS))
    return tmp_path / "theirs"


def test_each_new_checkpoint_is_anchored_once_and_the_audit_follows(
    ours: Path, theirs: Path
) -> None:
    with closing(open_log(ours, OURS)) as log:
        for names in ((), ("one", "two"), (), ("three",)):
            grow(theirs, THEIRS, *names)
            with served(theirs) as url:
                done = anchor(log, followed(theirs, url), ours)
                again = anchor(log, followed(theirs, url), ours)
            assert (done.index is not None) == (
                again.size != 0 and bool(names or log.size == 6)
            )
            assert again.index is None
        head = log.state.anchors[THEIRS]
        assert head.size == load_size(theirs)
    assert not audit_folder(ours).findings


def load_size(folder: Path) -> int:
    with closing(open_log(folder, THEIRS)) as log:
        return log.size


def test_a_partner_that_rewrote_its_history_convicts_itself(
    ours: Path, theirs: Path, tmp_path: Path
) -> None:
    grow(theirs, THEIRS, "one", "two")
    shutil.copytree(theirs, tmp_path / "before")
    grow(theirs, THEIRS, "for us")
    with closing(open_log(ours, OURS)) as log:
        with served(theirs) as url:
            assert anchor(log, followed(theirs, url), ours).index is not None
        size = log.size
        grow(tmp_path / "before", THEIRS, "for them", "and more")
        with (
            served(tmp_path / "before") as url,
            pytest.raises(RefusedError, match=r"another root at 8.*proves it"),
        ):
            anchor(log, followed(theirs, url), ours)
        assert log.size == size, "nothing of it is anchored"
    (proof,) = ours.glob("fork-*.json")
    verify_fork(parse_fork(proof.read_bytes()), trust_of(theirs))


def test_a_partner_that_lost_entries_is_not_anchored(
    ours: Path, theirs: Path, tmp_path: Path
) -> None:
    shutil.copytree(theirs, tmp_path / "before")
    grow(theirs, THEIRS, "one")
    with closing(open_log(ours, OURS)) as log:
        with served(theirs) as url:
            anchor(log, followed(theirs, url), ours)
        with (
            served(tmp_path / "before") as url,
            pytest.raises(RefusedError, match="shows size 5, size 6 is anchored"),
        ):
            anchor(log, followed(theirs, url), ours)


def test_another_key_or_nobody_is_not_believed(ours: Path, theirs: Path) -> None:
    with closing(open_log(ours, OURS)) as log:
        with served(theirs) as url:
            stranger = Followed(url=url, key=load_trust(ours).policy.logs[0].key)
            with pytest.raises(VerificationError):
                anchor(log, stranger, ours)
        with pytest.raises(ForeignLogError):
            anchor(log, followed(theirs, url), ours)


def test_a_running_server_takes_over_what_is_to_be_followed(ours: Path, theirs: Path) -> None:
    vkey = str(load_trust(theirs).policy.logs[0].key)
    with served(theirs) as url, open_ledger(ours, ServeSettings()) as ledger:
        with pytest.raises(SystemExit) as ended:
            main(["follow", url, "--dir", str(ours), "--vkey", vkey, "--every", "1"])
        assert ended.value.code == 0
        deadline = time.monotonic() + DEADLINE_S
        while THEIRS not in ledger.log.state.anchors:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert load_followed(ours) == [Followed(url=url, key=parse_vkey(vkey), every_s=1)]


def test_without_a_server_the_command_anchors_at_once(
    ours: Path, theirs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    vkey = str(load_trust(theirs).policy.logs[0].key)
    with served(theirs) as url, pytest.raises(SystemExit) as ended:
        main(["follow", url, "--dir", str(ours), "--vkey", vkey])
    assert ended.value.code == 0
    assert "Entry 5 anchors size 5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rubbish", "not TOML"),
        ("[other]\n", "anything but"),
        ("[[log]]\nurl = 'https://a.example'\n", "wants url and vkey"),
        ("[[log]]\nurl = 'ftp://a.example'\nvkey = '{vkey}'\n", "is not http"),
        ("[[log]]\nurl = 'https://a.example'\nvkey = 'rubbish'\n", "vkey"),
        ("[[log]]\nurl = 'https://a.example'\nvkey = '{vkey}'\nevery_s = 0\n", "every_s"),
        ("[[log]]\nurl = 'https://a.example'\nvkey = '{vkey}'\n" * 2, "twice"),
    ],
)
def test_a_file_that_cannot_be_followed_says_where_and_why(
    ours: Path, theirs: Path, text: str, why: str
) -> None:
    vkey = str(load_trust(theirs).policy.logs[0].key)
    (ours / "follow.toml").write_text(text.replace("{vkey}", vkey))
    with pytest.raises(ParseError, match=why):
        load_followed(ours)


def test_a_log_is_followed_once(ours: Path, theirs: Path) -> None:
    vkey = str(load_trust(theirs).policy.logs[0].key)
    follow_log(ours, "https://a.example/", vkey)
    with pytest.raises(ParseError, match="followed already"):
        follow_log(ours, "https://b.example", vkey)
    assert [one.url for one in load_followed(ours)] == ["https://a.example"]
