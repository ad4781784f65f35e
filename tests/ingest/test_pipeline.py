"""Inbox to ledger: what is signed, what is delivered, what waits and why."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import pytest

from ingest.delivery import BACKOFF_SECONDS_MAX, Delivered, next_delay
from ingest.folderlock import FolderLock
from ingest.health import Health, read_health, read_unresolved
from ingest.inbox import Inbox
from ingest.outbox import Outbox
from ingest.pipeline import Courier, Keeper, Processor, retry_arrival
from ingest.plan import Plan
from ingest.reads import Arrival
from ingest.sealing import EVENTS_PER_STATEMENT, GRADE
from ingest.settings import Settings, SettingsError, load_settings, load_signers
from ledger.client.receipt import pin_log, verify_receipt
from ledger.cose import Ed25519Signer
from ledger.errors import ParseError
from ledger.keyfile import read_public_key
from ledger.statement import Capture, Gap, Policy, Seen
from ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from ledger.tlog.merkle import Hash, TreeSize
from ledger.tlog.note import Ed25519Signer as NoteSigner
from ledger.tlog.note import format_vkey
from tests.ingest.scene import (
    DAIRY,
    FARM,
    LOG_VKEY,
    ORIGIN,
    STATION,
    T0,
    Ledger,
    make_folder,
    plan_of,
    read_payload,
    serving,
    sgtin,
)
from tests.ingest.test_site import OBJECT

PLAN = plan_of(STATION, OBJECT)
TWO_PARTIES = plan_of(
    STATION,
    OBJECT,
    STATION.replace("gate", "farm").replace(DAIRY, FARM),
    OBJECT,
)


@dataclass
class Line:
    """A gateway's folder and the ledger it delivers to."""

    settings: Settings
    ledger: Ledger
    plan: Plan
    clock_us: int = T0

    def keep(self, *arrivals: Arrival) -> None:
        with Keeper(self.settings.folder) as keeper:
            keeper.keep(arrivals)

    def process(self) -> None:
        self.clock_us += 1
        with Processor(self.settings, self.plan, clock_us=lambda: self.clock_us) as processor:
            while processor.process():
                pass
            processor.keep_tick(everything=True)
            while processor.process():
                pass

    def deliver(self) -> Delivered:
        with Courier(self.settings, self.ledger.url) as courier:
            return courier.deliver()

    def see(self) -> str | None:
        with Courier(self.settings, self.ledger.url) as courier:
            return courier.see()

    @property
    def health(self) -> Health:
        return read_health(self.settings.folder)

    def kid_of(self, n: int) -> bytes:
        return read_public_key(self.settings.folder / "keys" / f"{n}.key").kid


@contextmanager
def line(folder: Path, plan: Plan = PLAN, *parties: str) -> Iterator[Line]:
    settings = make_folder(folder / "g", *parties)
    with serving() as ledger:
        yield Line(settings, ledger, plan)


def arrival(n: int, second: float, topic: str = "gate/r") -> Arrival:
    return Arrival(topic, read_payload(n, second), T0 + round(second * 1_000_000))


def test_a_read_becomes_a_signed_event_in_the_ledger(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        key = read_public_key(one.settings.folder / "keys" / "0.key")
        one.ledger.keys = {key.kid: key.x}
        one.keep(arrival(7, 0))
        one.process()
        assert one.deliver() == Delivered(accepted=2, proven=2)
        policy, statement = one.ledger.statements
        assert policy.body == Policy(kind=0, digest=Hash(PLAN.sha256))
        assert (statement.iss, statement.aud, statement.iat) == (
            DAIRY,
            "tagtrail.example/test",
            T0 // 1_000_000,
        )
        assert isinstance(statement.body, Capture)
        assert (statement.body.grade, statement.body.count) == (GRADE, 1)
        assert one.ledger.events[0]["epcList"] == [sgtin(7)]
        assert one.health.is_settled
        assert (one.health.reads, one.health.events, one.health.entries) == (1, 1, 2)


def test_each_party_signs_its_own_chain(tmp_path: Path) -> None:
    with line(tmp_path, TWO_PARTIES, DAIRY, FARM) as one:
        for n in range(3):
            one.keep(arrival(n, 10 * n), arrival(n, 10 * n, "farm/r"))
            one.process()
        one.deliver()
        chains = [
            [s.seq for s in one.ledger.statements if s.iss == iss] for iss in (DAIRY, FARM)
        ]
        assert chains[0] == chains[1] == list(range(len(chains[0])))
        assert len(one.ledger.events) == 6


def test_many_passes_share_statements_up_to_the_limit(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.keep(*[arrival(n, 10 * n) for n in range(EVENTS_PER_STATEMENT + 10)])
        one.process()
        one.deliver()
        counts = [s.body.count for s in one.ledger.statements if isinstance(s.body, Capture)]
        assert counts[0] == EVENTS_PER_STATEMENT
        assert sum(counts) == EVENTS_PER_STATEMENT + 10


def test_the_list_of_cited_messages_is_kept(tmp_path: Path) -> None:
    with line(tmp_path) as one, Processor(one.settings, PLAN) as processor:
        one.keep(arrival(7, 0), arrival(8, 1))
        processor.process()
        processor.keep_tick(everything=True)
        processor.process()
        ((root, messages),) = processor._outbox._db.execute("SELECT * FROM evidence").fetchall()
        one.deliver()
        cited = one.ledger.events[0]["tagtrail:evidence"]
        assert cited == {"messages": 2, "root": root.hex()}
        assert len(messages) == 64


def test_an_unavailable_ledger_loses_nothing(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.keep(arrival(7, 0))
        one.process()
        one.ledger.down = True
        assert one.deliver().unavailable is not None
        assert one.health.waiting == 2
        one.ledger.down = False
        assert one.deliver().accepted == 2


def test_a_refused_statement_is_parked_and_its_key_waits_behind_it(tmp_path: Path) -> None:
    with line(tmp_path, TWO_PARTIES, DAIRY, FARM) as one:
        one.ledger.refuse = {one.kid_of(0)}
        for n in range(2):
            one.keep(arrival(n, 10 * n), arrival(n, 10 * n, "farm/r"))
            one.process()
        delivered = one.deliver()
        assert delivered.refused == 1
        assert delivered.accepted == 3
        assert one.deliver() == Delivered()
        (parked,) = one.health.parked
        assert parked.kid == one.kid_of(0).hex()
        assert "key" in parked.why
        assert parked.behind == one.health.waiting - 1
        assert not one.health.is_settled
        one.ledger.refuse = set()
        with Courier(one.settings, one.ledger.url) as courier:
            assert courier.unpark() == 1
        one.deliver()
        assert one.health.is_settled
        assert len(one.ledger.events) == 4


def test_a_statement_stays_until_its_receipt_is_there(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.keep(arrival(7, 0))
        one.process()
        one.ledger.unpublished = True
        delivered = one.deliver()
        assert (delivered.accepted, delivered.proven) == (2, 0)
        assert delivered.unavailable is not None
        assert (one.health.waiting, one.health.entries) == (2, 0)
        assert not one.health.is_settled
        one.ledger.unpublished = False
        assert one.deliver() == Delivered(proven=2)  # and not sent again
        assert one.ledger.repeats == 0
        assert one.health.is_settled
        with Outbox(one.settings.folder) as outbox:
            proofs = outbox._db.execute("SELECT statement_id, proof FROM receipt").fetchall()
        assert len(proofs) == 2
        for statement_id, proof in proofs:
            verify_receipt(proof, statement_id=statement_id, policy=pin_log(LOG_VKEY))


def test_a_receipt_that_does_not_hold_parks_the_statement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moved(self: Ledger, index: int) -> bytes:
        return proof(self, index).replace(f"index {index}\n".encode(), b"index 9\n")

    def others(self: Ledger, index: int) -> bytes:
        return proof(self, 1 - index)

    proof = Ledger.proof
    for n, lie in enumerate((moved, others)):
        with line(tmp_path / str(n)) as one:
            one.keep(arrival(7, 0))
            one.process()
            monkeypatch.setattr(Ledger, "proof", lie)
            assert one.deliver().refused == 1
            (parked,) = one.health.parked
            assert "receipt does not hold" in parked.why
            assert one.health.waiting == 2
            monkeypatch.setattr(Ledger, "proof", proof)
            with Courier(one.settings, one.ledger.url) as courier:
                courier.unpark()
                courier.deliver()
            assert one.health.is_settled


def test_a_ledger_that_forgot_an_entry_gets_the_statement_again(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.keep(arrival(7, 0))
        one.process()
        one.ledger.unpublished = True
        one.deliver()
        one.ledger.restart_empty()
        one.ledger.unpublished = False
        assert "no entry 0" in str(one.deliver().unavailable)
        for _ in range(4):
            one.deliver()
        assert one.health.is_settled
        assert len(one.ledger.statements) == 2


def test_a_gateway_that_could_verify_no_receipt_does_not_begin(tmp_path: Path) -> None:
    settings = replace(make_folder(tmp_path / "g"), log=None)
    with pytest.raises(SettingsError, match="to verify receipts"):
        Courier(settings, "http://127.0.0.1:9")


def test_the_plan_in_force_is_stated_once_and_at_each_change(tmp_path: Path) -> None:
    other = plan_of(STATION, OBJECT, "# changed")
    with line(tmp_path) as one:
        for plan in (PLAN, PLAN, other, other, PLAN):
            Processor(one.settings, plan).close()
        one.deliver()
        stated = [s.body.digest for s in one.ledger.statements if isinstance(s.body, Policy)]
        assert stated == [PLAN.sha256, other.sha256, PLAN.sha256]


def test_what_is_missing_is_signed_into_the_ledger_in_the_chain_of_its_party(
    tmp_path: Path,
) -> None:
    with line(tmp_path) as one:
        one.keep(arrival(7, 0), Arrival("gate/r", b'{"epc": "30', T0))
        one.process()
        one.deliver()
        (gap,) = [s.body for s in one.ledger.statements if isinstance(s.body, Gap)]
        assert (gap.what, gap.count, gap.start, gap.end) == (4, 1, T0, T0)
        assert gap.source == "urn:epc:id:sgln:9506000.00001.gate"
        assert [s.seq for s in one.ledger.statements] == [0, 1, 2]
        assert one.health.gaps == 1
        assert one.health.is_settled


def test_what_comes_after_the_inbox_was_lost_is_processed_all_the_same(tmp_path: Path) -> None:
    """Its ids would begin at 1 again, below those that the outbox has processed."""
    with line(tmp_path) as one:
        one.keep(*(arrival(n, 10 * n) for n in range(5)))
        one.process()
        folder = one.settings.folder
        shutil.rmtree(folder / "inbox")
        for path in folder.glob("inbox.db*"):
            path.unlink()
        Processor(one.settings, PLAN).close()  # as each start does first
        one.keep(*(arrival(n, 10 * n) for n in range(5, 8)))
        one.process()
        one.deliver()
        assert len(one.ledger.events) == 8
        assert one.health.unprocessed == 0


def retry(one: Line, message: int) -> None:
    with Inbox(one.settings.folder) as inbox:
        inbox.keep([retry_arrival(message, T0 + message)])


def test_a_quarantined_message_is_taken_once_a_better_plan_is_there(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.keep(arrival(7, 0, "shed/r"))
        one.process()
        one.deliver()
        assert (one.health.events, one.health.faults) == (0, 1)
        one.plan = plan_of(STATION.replace('"gate/#"', '"gate/#", "shed/#"'), OBJECT)
        retry(one, 1)
        one.process()
        one.deliver()
        assert (one.health.events, one.health.faults) == (1, 0)
        assert one.ledger.events[0]["epcList"] == [sgtin(7)]


def test_a_quarantined_message_that_still_cannot_be_taken_stays(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.keep(Arrival("gate/r", b'{"epc": "30', T0))
        one.process()
        retry(one, 1)
        one.process()
        assert (one.health.quarantined_messages, one.health.faults) == (1, 1)


def test_what_does_not_add_up_is_listed(tmp_path: Path) -> None:
    emit = (
        '[[station.emit]]\nevent = "aggregation"\naction = "ADD"\n'
        'parent = ["urn:epc:idpat:sscc:9506000.*"]\nchildren = ["*"]\n'
    )
    with line(tmp_path, plan_of(STATION, emit)) as one:
        one.keep(arrival(7, 0))
        one.process()
        (unresolved,) = read_unresolved(one.settings.folder)
        assert unresolved.epcs == (sgtin(7),)
        assert one.health.unresolved == 1


def test_a_tick_is_kept_only_when_silence_is_due(tmp_path: Path) -> None:
    now = [T0]
    with line(tmp_path) as one, Processor(one.settings, PLAN, clock_us=lambda: now[0]) as mine:
        assert not mine.tick_if_due()
        one.keep(arrival(7, 0))
        mine.process()
        assert one.health.is_open
        assert not mine.tick_if_due()
        now[0] += 5_000_000
        one.keep(arrival(8, 1))
        assert not mine.tick_if_due()  # a message waits that may go on with the pass
        mine.process()
        now[0] += 5_000_000
        assert mine.tick_if_due()
        assert mine.process() == 1
        assert not mine.tick_if_due()
        assert one.health.events == 1
        assert not one.health.is_open


def test_a_station_that_left_the_plan_gives_back_what_was_open(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.keep(arrival(7, 0))
        with Processor(one.settings, PLAN) as processor:
            processor.process()
        other = plan_of(STATION.replace('"gate"', '"door"'))
        for _ in range(2):  # said once, however often it starts
            Processor(one.settings, other).close()
        (gone,) = read_unresolved(one.settings.folder)
        assert gone.epcs == (sgtin(7),)


def test_a_folder_has_one_gateway(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(SettingsError, match="another gateway runs"):
        FolderLock(tmp_path)
    FolderLock(tmp_path).__exit__()


def test_a_plan_with_a_party_that_has_no_key_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="9506000134369"):
        Processor(make_folder(tmp_path / "g"), TWO_PARTIES)


def checkpoint(size: int, root: bytes, key: str = "log", origin: str = ORIGIN) -> bytes:
    """Return a signed checkpoint of the log whose key is made of the text `key`."""
    body = Checkpoint(origin=origin, size=TreeSize(size), root=Hash(root))
    return sign_checkpoint(body, [log_key(key)])


def log_key(text: str) -> NoteSigner:
    return NoteSigner(ORIGIN, Ed25519Signer(sha256(text.encode()).digest()))


def test_a_statement_names_the_newest_checkpoint_that_was_verified(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.settings = replace(one.settings, log=format_vkey(log_key("log").key))
        assert one.see() is None  # the ledger shows none
        one.keep(arrival(1, 0))
        one.process()
        for size in (5, 9, 7):  # an older one, shown again, does not fall back
            one.ledger.note = checkpoint(size, bytes([size]) * 32)
            assert one.see() is None
            one.keep(arrival(size, 10 * size))
            one.process()
        one.deliver()
        seen = [s.seen for s in one.ledger.statements]
        assert [s and s.size for s in seen] == [None, None, 5, 9, 9]
        assert seen[2] == Seen(5, Hash(bytes([5]) * 32))


def test_a_checkpoint_that_does_not_hold_is_not_named(tmp_path: Path) -> None:
    with line(tmp_path) as one:
        one.settings = replace(one.settings, log=format_vkey(log_key("log").key))
        one.ledger.note = checkpoint(5, bytes(32))
        assert one.see() is None
        for note, said in (
            (checkpoint(6, bytes(32), key="thief"), "no known key"),
            (checkpoint(6, bytes(32), origin="another.example/log"), "another.example/log"),
            (checkpoint(5, b"x" * 32), "two roots at size 5"),
            (b"no note", "note"),
        ):
            one.ledger.note = note
            assert said in str(one.see())
        one.keep(arrival(1, 0))
        one.process()
        one.deliver()
        assert one.ledger.statements[0].seen == Seen(5, Hash(bytes(32)))


def test_waits_grow_and_the_ledgers_wish_counts() -> None:
    down = Delivered(unavailable="no", retry_after=0.1)
    delays = [0.0]
    for _ in range(12):
        delays.append(next_delay(delays[-1], down))
    assert delays[1:4] == [0.25, 0.5, 1.0]
    assert delays[-1] == BACKOFF_SECONDS_MAX
    assert next_delay(0, Delivered(unavailable="no", retry_after=7)) == 7
    assert next_delay(60, Delivered(accepted=1)) == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("origin", "orgin", "origin: is missing"),
        ("[[key]]", "[[keys]]", "key: is missing"),
        (DAIRY, "417", "key[1].party"),
        ("origin", 'ledger = "ftp://x"\norigin', "ledger"),
        ('log = "', 'log = "no vkey', "log"),
    ],
)
def test_settings_with_a_mistake_are_refused_at_their_key(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = make_folder(tmp_path / "g").folder / "gateway.toml"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(ParseError) as caught:
        load_settings(path.parent)
    assert said in str(caught.value)


def test_a_folder_without_settings_says_how_to_make_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="tagtrail init"):
        load_settings(tmp_path)


def test_without_a_passphrase_the_keys_stay_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_folder(tmp_path / "g")
    (tmp_path / "g" / "passphrase").unlink()
    monkeypatch.delenv("TAGTRAIL_PASSPHRASE", raising=False)
    with pytest.raises(SettingsError, match="passphrase"):
        load_signers(settings)
    monkeypatch.setenv("TAGTRAIL_PASSPHRASE", "for tests only")
    assert len(load_signers(settings)) == 1
