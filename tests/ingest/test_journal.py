"""The journal: what was flushed is there whatever the index lost; torn ends go."""

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ingest.database import SpoolError
from ingest.inbox import Inbox, Kept, Pruned
from ingest.inboxreader import InboxReader
from ingest.reads import MESSAGE_BYTES_MAX, Arrival, Fault
from tests.optional import ROOT

FIRST = "inbox/000000000001.journal"


def kept(inbox: Inbox) -> list[tuple[int, bytes]]:
    return [(one.id, one.payload) for one in inbox.load_after(0, 10_000)]


def arrival(n: int) -> Arrival:
    return Arrival("t", str(n).encode() * 100, 1_000 + n, n, b'{"a":1}')


def test_what_the_database_lost_the_journal_gives_back(tmp_path: Path) -> None:
    """As after a power cut: commits that the database did not flush are gone from it."""
    folder, older = tmp_path / "one", tmp_path / "older"
    folder.mkdir()
    with Inbox(folder) as inbox:
        inbox.keep([arrival(0)])
    shutil.copytree(folder, older)
    huge = Arrival("t", bytes(MESSAGE_BYTES_MAX + 1), 5)
    with Inbox(folder) as inbox:
        for n in range(1, 20):
            inbox.keep([arrival(n), arrival(n - 1)])
        inbox.keep([arrival(3), huge])
        expected = inbox.load_after(0, 100)
    with InboxReader(folder) as reader:
        counts = reader.counts()
    shutil.copytree(folder / "inbox", older / "inbox", dirs_exist_ok=True)
    for _ in range(2):  # the second time there is nothing to make good
        with Inbox(older) as inbox:
            assert inbox.load_after(0, 100) == expected
    with InboxReader(older) as reader:
        assert reader.counts() == counts
        assert counts.repeats == 20


def test_a_torn_end_loses_the_group_that_was_written_and_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "one"
    folder.mkdir()
    with Inbox(folder) as inbox:
        inbox.keep([arrival(n) for n in range(5)])
    whole = (folder / FIRST).stat().st_size
    before = (folder / "inbox.db").read_bytes()
    with Inbox(folder) as inbox:
        inbox.keep([arrival(n) for n in range(5, 8)])
    data = (folder / FIRST).read_bytes()
    for cut in {*range(whole, len(data), 7), whole, whole + 1, len(data) - 1, len(data)}:
        for change in (b"", b"\xff"):
            torn = tmp_path / f"{cut}-{len(change)}"
            (torn / "inbox").mkdir(parents=True)
            (torn / "inbox.db").write_bytes(before)
            (torn / FIRST).write_bytes(data[:cut] + change * (cut < len(data)))
            with Inbox(torn) as inbox:
                count = 8 if cut == len(data) else 5
                assert [n for n, _ in kept(inbox)] == list(range(1, count + 1))
                assert inbox.keep([arrival(n) for n in range(8)]) == Kept(8 - count, count)
            with Inbox(torn) as inbox:
                assert kept(inbox) == [
                    (n + 1, one.payload) for n, one in enumerate(map(arrival, range(8)))
                ]
            shutil.rmtree(torn)


def test_a_group_of_which_a_byte_is_another_is_not_taken(tmp_path: Path) -> None:
    with Inbox(tmp_path) as inbox:
        before = (tmp_path / "inbox.db").read_bytes()
        inbox.keep([arrival(1)])
    data = (tmp_path / FIRST).read_bytes()
    for place in range(len(data)):
        other = tmp_path / str(place)
        (other / "inbox").mkdir(parents=True)
        (other / "inbox.db").write_bytes(before)
        (other / FIRST).write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        with Inbox(other) as inbox:
            assert kept(inbox) == []
        shutil.rmtree(other)


def test_a_journal_that_is_shorter_than_was_written_is_an_error(tmp_path: Path) -> None:
    with Inbox(tmp_path) as inbox:
        inbox.keep([arrival(1)])
        os.truncate(tmp_path / FIRST, 50)
        with pytest.raises(SpoolError, match=r"000000000001\.journal: has 50 bytes where 176"):
            inbox.keep([arrival(2)])
        with pytest.raises(SpoolError, match="ends before"):
            inbox.load_after(0, 1)
    with pytest.raises(SpoolError, match="restore it"):
        Inbox(tmp_path)


@contextmanager
def files_bounded(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_a_full_disk_took_half_of_is_taken_back_and_goes_on(tmp_path: Path) -> None:
    with Inbox(tmp_path) as inbox:
        inbox.keep([arrival(1)])
        size = (tmp_path / FIRST).stat().st_size
        big = [Arrival("t", bytes([n]) * 100_000, n) for n in range(20)]
        with files_bounded(1_000_000), pytest.raises(SpoolError, match="too large"):
            inbox.keep(big)
        assert (tmp_path / FIRST).stat().st_size == size
        assert inbox.keep(big) == Kept(20, 0)
        assert [n for n, _ in kept(inbox)] == list(range(1, 22))


def test_several_writers_append_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.journal.SEGMENT_BYTES", 1_000)
    with Inbox(tmp_path) as one, Inbox(tmp_path) as other, InboxReader(tmp_path) as reader:
        for n in range(30):
            (one if n % 3 else other).keep([arrival(n)])
            message = reader.message(n + 1)
            assert message is not None
            assert message.payload == arrival(n).payload
        assert kept(one) == kept(other)
        assert len(kept(one)) == 30
    assert len(list((tmp_path / "inbox").iterdir())) > 3


WRITER = """
import sys
from pathlib import Path
import ingest.journal
from ingest.inbox import Inbox
from ingest.reads import Arrival
ingest.journal.SEGMENT_BYTES = 20_000
folder, who = Path(sys.argv[1]), sys.argv[2]
with Inbox(folder) as inbox:
    for n in range(0, 70_000, 7):
        inbox.keep([Arrival("t", f"{who}-{n + k}".encode(), 1 + n) for k in range(7)])
        print(n + 7, flush=True)
"""


def test_two_processes_that_are_killed_lose_nothing_that_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.journal.SEGMENT_BYTES", 20_000)
    told: dict[str, int] = {}
    for turn in range(3):
        with ExitStack() as stack:
            writers = {
                f"{turn}{name}": stack.enter_context(
                    subprocess.Popen(
                        [sys.executable, "-c", WRITER, str(tmp_path), f"{turn}{name}"],
                        stdout=subprocess.PIPE,
                        text=True,
                        cwd=ROOT,
                    )
                )
                for name in "ab"
            }
            for name, one in writers.items():
                assert one.stdout is not None
                for _ in range(20 + 13 * turn):
                    told[name] = int(one.stdout.readline())
                one.kill()
    with Inbox(tmp_path) as inbox:
        there = {one.payload.decode() for one in inbox.load_after(0, 1_000_000)}
    assert not {f"{who}-{n}" for who, count in told.items() for n in range(count)} - there
    assert sum(told.values()) >= 3 * 2 * 20 * 7


def test_old_payloads_go_by_whole_files_and_what_they_were_stays_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.journal.SEGMENT_BYTES", 500)
    with Inbox(tmp_path) as inbox:
        for n in range(1, 41):
            inbox.keep([Arrival("t", str(n).encode() * 100, n)])
        inbox.store_faults(0, [(7, Fault(where="", why="broken"))])
        files = sorted((tmp_path / "inbox").iterdir())
        assert inbox.prune(before_us=1, through=40, files_max=99) == Pruned(
            0, 0
        )  # all are newer
        assert inbox.prune(before_us=99, through=1, files_max=99) == Pruned(
            0, 0
        )  # not processed
        gone = inbox.prune(before_us=30, through=20, files_max=99)
        assert gone.files
        assert gone.size > 2_000
        assert len(files) - len(list((tmp_path / "inbox").iterdir())) == gone.files
        left = [one.id for one in inbox.load_after(0, 100)]
        assert left[0] == 7  # the one in quarantine
        assert 15 < left[1] <= 21
        assert left[1:] == list(range(left[1], 41))
        quarantined = inbox.message(7)
        assert quarantined is not None
        assert quarantined.payload == b"7" * 100
        assert inbox.message(8) is None
        assert inbox.keep([Arrival("t", b"8" * 100, 99)]) == Kept(0, 1)
        assert inbox.prune(before_us=10**9, through=40, files_max=99).files
        assert len(list((tmp_path / "inbox").iterdir())) == 1  # the newest file stays
    with Inbox(tmp_path) as inbox:
        assert inbox.keep([arrival(77)]) == Kept(1, 0)
        assert kept(inbox)[-1] == (41, arrival(77).payload)


def test_a_file_that_a_killed_prune_left_is_deleted_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.journal.SEGMENT_BYTES", 500)
    with Inbox(tmp_path) as inbox:
        for n in range(1, 11):
            inbox.keep([Arrival("t", str(n).encode() * 100, n)])
        data = (tmp_path / FIRST).read_bytes()
        inbox.prune(before_us=5, through=10, files_max=1)
        (tmp_path / FIRST).write_bytes(data)
        assert inbox.prune(before_us=5, through=10, files_max=1) == Pruned(1, len(data))
        assert not (tmp_path / FIRST).exists()
