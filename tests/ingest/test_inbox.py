"""The inbox: kept once, in order, exactly as received, or not at all."""

import sqlite3
from pathlib import Path

import pytest

from ingest.database import SpoolError
from ingest.decode import decode_message
from ingest.inbox import Inbox, Kept
from ingest.inboxreader import InboxReader
from ingest.reads import MESSAGE_BYTES_MAX, Arrival, Fault, message_hash
from ingest.topics import check_topic
from ledger.errors import ParseError


def arrivals(*payloads: bytes) -> list[Arrival]:
    return [Arrival("t", payload, n) for n, payload in enumerate(payloads, start=1)]


def test_what_was_kept_is_there_after_a_restart_byte_for_byte(tmp_path: Path) -> None:
    payloads = [b"\x00\xff", b"", b"x" * 100_000]
    with Inbox(tmp_path) as inbox:
        assert inbox.keep(arrivals(*payloads)) == Kept(new=3, repeats=0)
        secret = inbox.secret
    with Inbox(tmp_path) as inbox:
        assert [one.payload for one in inbox.load_after(0, 10)] == payloads
        assert [one.id for one in inbox.load_after(1, 1)] == [2]
        assert inbox.load_after(3, 10) == []
        assert inbox.secret == secret
        assert inbox.newest_id() == 3


def test_a_second_delivery_is_counted_and_not_kept_again(tmp_path: Path) -> None:
    with Inbox(tmp_path) as inbox:
        assert inbox.keep(arrivals(b"a", b"b", b"a")) == Kept(new=2, repeats=1)
        assert inbox.keep([Arrival("t", b"a", 9)]) == Kept(new=0, repeats=1)
        assert inbox.keep([Arrival("u", b"a", 9)]) == Kept(new=1, repeats=0)
        row = inbox._db.execute("SELECT * FROM repeat").fetchall()
    assert row == [(1, 2, 1)]  # nine microseconds later: no news
    with InboxReader(tmp_path) as reader:
        counts = reader.counts()
    assert (counts.messages, counts.repeats, counts.newest_id) == (3, 2, 3)


def test_the_identity_of_a_message_has_no_two_readings() -> None:
    assert message_hash("a", b"b") != message_hash("ab", b"")
    with pytest.raises(ParseError, match="zero character"):  # so this is no topic
        check_topic("a\0", "topic")


def test_a_batch_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    with Inbox(tmp_path) as inbox:
        inbox._db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON message WHEN NEW.topic = 'full'"
            " BEGIN SELECT RAISE(ABORT, 'disk full'); END"
        )
        with pytest.raises(SpoolError, match="disk full"):
            inbox.keep([*arrivals(b"good"), Arrival("full", b"", 2)])
        assert inbox.newest_id() == 0
        assert inbox.keep(arrivals(b"good")).new == 1


def test_large_messages_are_loaded_a_few_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.inboxrows.BATCH_BYTES", 10)
    with Inbox(tmp_path) as inbox:
        inbox.keep(arrivals(b"x" * 8, b"y" * 8, b"z" * 8))
        assert [one.id for one in inbox.load_after(0, 10)] == [1, 2]


def test_writing_the_quarantine_again_changes_nothing(tmp_path: Path) -> None:
    faults = [
        (2, Fault(where="[1]", why="broken")),
        (2, Fault(where="[2]", why="worse")),
        (3, Fault(where="", why="bad")),
    ]
    with Inbox(tmp_path) as inbox:
        inbox.keep(arrivals(b"a", b"b", b"c"))
        inbox.store_faults(0, [(1, Fault(where="", why="first"))])
        for _ in range(2):
            inbox.store_faults(1, faults)
    with InboxReader(tmp_path) as reader:
        found = [(one.message, one.place, one.why) for one in reader.quarantine()]
        assert found[0] == (1, "", "first")
        assert found[1:] == [(n, fault.where, fault.why) for n, fault in faults]
        assert len(reader.quarantine(after=1, count=2)) == 2
        assert reader.counts().quarantined_messages == 3
        message = reader.message(2)
        assert message is not None
        assert message.payload == b"b"
        assert reader.message(9) is None


def test_a_look_into_an_inbox_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpoolError, match="does not exist"):
        InboxReader(tmp_path)


def test_a_look_into_a_file_that_is_not_made_yet_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "inbox.db").touch()
    with pytest.raises(SpoolError, match="is empty"):
        InboxReader(tmp_path)
    Inbox(tmp_path).close()
    with InboxReader(tmp_path) as reader:
        assert reader.counts().messages == 0


def test_of_a_payload_that_is_too_long_the_hash_and_the_length_are_kept(
    tmp_path: Path,
) -> None:
    payload = b"x" * (MESSAGE_BYTES_MAX + 1)
    with Inbox(tmp_path) as inbox:
        assert inbox.keep(arrivals(payload, b"y", payload)) == Kept(new=2, repeats=1)
        message = inbox.load_after(0, 1)[0]
        assert (message.payload, message.oversize) == (b"", len(payload))
        assert message.sha256 == message_hash("t", payload)
        (fault,) = decode_message(message).faults
        assert "1048577 bytes" in fault.why
    assert (tmp_path / "inbox.db").stat().st_size < 100_000


def test_many_messages_go_in_with_few_statements_and_in_order(tmp_path: Path) -> None:
    payloads = [str(n % 700).encode() for n in range(1_300)]
    with Inbox(tmp_path) as inbox:
        assert inbox.keep(arrivals(*payloads)) == Kept(new=700, repeats=600)
        kept = [one.payload for one in inbox.load_after(0, 2_000)]
        assert kept == payloads[:700]
        assert inbox.keep(arrivals(*payloads)) == Kept(new=0, repeats=1_300)
        (total,) = inbox._db.execute("SELECT sum(count) FROM repeat").fetchone()
        assert total == 1_900


def test_an_inbox_of_version_1_is_taken_over(tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "inbox.db")
    old.executescript(
        """
        CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE message (
          id INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, topic TEXT NOT NULL,
          payload BLOB NOT NULL, received_us INTEGER NOT NULL);
        CREATE TABLE repeat (
          message INTEGER PRIMARY KEY, count INTEGER NOT NULL, last_us INTEGER NOT NULL);
        CREATE TABLE quarantine (
          message INTEGER NOT NULL, n INTEGER NOT NULL, place TEXT NOT NULL,
          why TEXT NOT NULL, PRIMARY KEY (message, n)) WITHOUT ROWID;
        PRAGMA user_version = 1
        """
    )
    old.execute("INSERT INTO message VALUES (1, ?, 't', x'61', 5)", (message_hash("t", b"a"),))
    old.execute("INSERT INTO quarantine VALUES (1, 0, '', 'old')")
    old.commit()
    old.close()
    with pytest.raises(SpoolError, match=r"has version 1; .* start the gateway once"):
        InboxReader(tmp_path)
    with Inbox(tmp_path) as inbox:
        assert inbox.pending(0) == (1, 1, 5)
        assert inbox.keep(arrivals(b"a", b"b")) == Kept(new=1, repeats=1)
        assert [one.payload for one in inbox.load_after(0, 9)] == [b"a", b"b"]
    with InboxReader(tmp_path) as reader:
        assert [one.why for one in reader.quarantine()] == ["old"]


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    Inbox(tmp_path).close()
    other = sqlite3.connect(tmp_path / "inbox.db")
    other.execute("PRAGMA user_version = 99")
    other.close()
    with pytest.raises(ParseError, match="has version 99"):
        Inbox(tmp_path)


def test_a_file_that_is_no_database_is_an_error_and_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "inbox.db").write_bytes(b"this is no database, it is a text" * 100)
    for look in (Inbox, InboxReader):
        with pytest.raises(SpoolError, match="not a database"):
            look(tmp_path)
    assert (tmp_path / "inbox.db").read_bytes().startswith(b"this is no database")
