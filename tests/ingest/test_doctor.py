"""The doctor: each thing that loses data or stops a gateway is found, with what mends it."""

from pathlib import Path

import pytest

from ingest.database import SpoolError
from ingest.doctor import Ask, examine
from ingest.findings import Finding
from ingest.inbox import Inbox
from ingest.outbox import Outbox
from ingest.pipeline import Courier, Keeper, Processor, open_signers
from ingest.reads import Arrival
from ingest.sealing import Head
from ingest.settings import Settings
from ledger.statement import NO_HASH
from ledger.tlog.merkle import Hash
from tests.certificates import Authority
from tests.ingest.brokers import DEPLOY, shipped_mosquitto, shipped_nats
from tests.ingest.scene import (
    DAIRY,
    HEAD,
    OBSERVE,
    STATION,
    T0,
    Ledger,
    make_folder,
    plan_of,
    read_payload,
    serving,
)
from tests.ingest.test_deploy import careless_mosquitto, make_settings
from tests.optional import stop

PLAN_TEXT = HEAD + STATION + OBSERVE
S = 1_000_000


def examined(
    settings: Settings, ledger: Ledger, broker: str = "", plan: str = PLAN_TEXT
) -> dict[str, list[Finding]]:
    path = settings.folder / "plan.toml"
    path.write_text(plan)
    found: dict[str, list[Finding]] = {}
    ask = Ask(folder=settings.folder, plan_path=path, broker=broker, ledger=ledger.url)
    for one in examine(ask):
        found.setdefault(one.part, []).append(one)
        assert one.level == "ok" or one.mend, one
    return found


def kid_of(settings: Settings) -> str:
    ((_, signer),) = open_signers(settings, plan_of(STATION, OBSERVE)).values()
    return signer.kid.hex()


def record(settings: Settings, **fields: object) -> list[dict[str, object]]:
    """Return what a ledger says of the folder's key and of its party's."""
    own = {"kid": kid_of(settings), "iss": DAIRY, "role": "gateway", "epoch": 0, "next_seq": 0}
    own |= {"suspended": False, "ended_at": None, "grade_max": 2, "heartbeat_s": 0}
    party = own | {"kid": "00" * 32, "role": "party", "grade_max": 3}
    return [own | fields, party]


def test_a_key_that_may_sign_is_well(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    with serving() as ledger:
        ledger.records = record(settings)
        found = examined(settings, ledger)
    assert [(one.level, "valid at the ledger" in one.said) for one in found["keys"]] == [
        ("ok", True)
    ]


@pytest.mark.parametrize(
    ("fields", "level", "said", "mend"),
    [
        ({"kid": "11" * 32}, "fault", "is not enrolled", "keys enrol"),
        ({"suspended": True}, "fault", "is suspended", "keys epoch"),
        ({"ended_at": 17}, "fault", "was ended by entry 17", "new key"),
        ({"grade_max": 1}, "fault", "grade 1 at most", "--grade-max 2"),
        ({"heartbeat_s": 600}, "warning", "every 600 s", "heartbeat_s = 600"),
        ({"next_seq": 5}, "fault", "the ledger has 5", "stop the other gateway"),
        ({"epoch": 1}, "fault", "in 1 at the ledger", "gateway epoch"),
    ],
)
def test_a_key_that_may_not_sign_is_told_of_before_it_tries(
    tmp_path: Path, fields: dict[str, object], level: str, said: str, mend: str
) -> None:
    settings = make_folder(tmp_path / "g")
    with serving() as ledger:
        ledger.records = record(settings, **fields)
        (one,) = examined(settings, ledger)["keys"]
    assert (one.level, said in one.said, mend in one.mend) == (level, True, True), one


def test_a_key_whose_party_is_out_may_not_sign(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    with serving() as ledger:
        ledger.records = record(settings)[:1]
        (one,) = examined(settings, ledger)["keys"]
        assert (one.level, "no key of the party" in one.said) == ("fault", True)
        ledger.records = record(settings)
        ledger.records[1]["ended_at"] = 9
        (one,) = examined(settings, ledger)["keys"]
        assert one.level == "fault"


def test_statements_that_wait_here_are_no_lost_state(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    with Outbox(settings.folder) as outbox:
        head = Head(epoch=0, seq=7, prev=Hash(NO_HASH))
        outbox.append([], {bytes.fromhex(kid_of(settings)): head}, T0)
    with serving() as ledger:
        ledger.records = record(settings, next_seq=5)
        (one,) = examined(settings, ledger)["keys"]
    assert one.level == "ok"


def test_a_ledger_that_tells_nothing_of_keys_is_a_warning(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    with serving() as ledger:
        (one,) = examined(settings, ledger)["keys"]
        assert one.level == "warning"
    found = examined(settings, ledger)  # it is gone
    assert [one.level for one in found["ledger"]] == ["fault"]
    assert "see that a ledger runs at" in found["ledger"][0].mend


@pytest.mark.parametrize(("off_s", "level"), [(0, "ok"), (60, "warning"), (-4_000, "fault")])
def test_the_hosts_clock_is_held_against_the_ledgers(
    tmp_path: Path, off_s: int, level: str
) -> None:
    settings = make_folder(tmp_path / "g")
    with serving() as ledger:
        ledger.records = record(settings)
        ledger.clock_off_s = off_s
        said = [one for one in examined(settings, ledger)["clock"] if "ledger" in one.said]
    assert [one.level for one in said] == [level]
    if off_s:
        assert f"{abs(off_s)} s {'behind' if off_s > 0 else 'ahead of'}" in said[0].said


def test_readers_that_were_not_well_are_told_of(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    plan = plan_of(STATION, OBSERVE)
    with Keeper(settings.folder) as keeper:
        keeper.keep(
            [Arrival("gate/well", read_payload(1, n), T0 + n * S) for n in range(3)]
            + [Arrival("gate/ahead", read_payload(1, n + 90), T0 + n * S) for n in range(3)]
            + [Arrival("gate/gone", b"connection lost", T0)]
        )
    with Processor(settings, plan) as processor:
        processor.process()
    with serving() as ledger:
        found = examined(settings, ledger)["readers"]
    said = {one.said.split()[0]: one for one in found if one.level != "ok"}
    assert said.keys() == {"gate/ahead", "gate/gone"}
    assert "clock is off by +90.0 s, times corrected by 90.0 s" in said["gate/ahead"].said
    assert "NTP" in said["gate/ahead"].mend
    assert "offline" in said["gate/gone"].said


def test_what_waits_for_long_and_what_was_refused_is_told_of(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    plan = plan_of(STATION, OBSERVE)
    with Keeper(settings.folder) as keeper:
        keeper.keep([Arrival("gate/r", read_payload(1, 0), T0)])
    with Processor(settings, plan, clock_us=lambda: T0) as processor:
        processor.process()
        processor.keep_tick(everything=True)
        processor.process()
    with serving() as ledger:
        waits = [one for one in examined(settings, ledger)["spool"] if "wait" in one.said]
        assert [one.level for one in waits] == ["warning"]
        ledger.refuse.add(bytes.fromhex(kid_of(settings)))
        with Courier(settings, ledger.url) as courier:
            courier.deliver()
        refused = [one for one in examined(settings, ledger)["spool"] if one.level == "fault"]
        assert len(refused) == 1
        assert "parked retry" in refused[0].mend


def test_a_disk_without_room_and_a_monitor_that_is_off_are_told_of(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    quota = "[spool]\nbytes_max = 1000000000000000\n"
    with (settings.folder / "gateway.toml").open("a") as file:
        file.write(quota)
    with serving() as ledger:
        found = examined(settings, ledger)
    assert any("MiB free" in one.said and one.level == "warning" for one in found["spool"])
    assert not any("quota" in one.said for one in found["spool"])
    assert found["monitor"][0].level == "warning"


def test_a_plan_with_a_mistake_is_a_fault_with_its_line(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    with serving() as ledger:
        (one,) = examined(settings, ledger, plan=PLAN_TEXT.replace("gap_ms", "gap_x"))["plan"]
    assert one.level == "fault"
    assert "gap_x" in one.said
    assert "line" in one.said


def test_a_file_with_a_secret_that_others_can_read_is_told_of(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    path = settings.folder / "passphrase"
    key = settings.folder / "keys" / "0.key"
    with serving() as ledger:
        ledger.records = record(settings)
        path.chmod(0o644)
        found = [one for one in examined(settings, ledger)["keys"] if one.level != "ok"]
        assert [one.mend for one in found] == [f"chmod 600 {path}"]
        key.chmod(0o644)
        (one,) = examined(settings, ledger)["keys"]
    assert (one.level, f"{key}: mode is 0644" in one.said) == ("fault", True)


def test_a_folder_whose_database_is_broken_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    (settings.folder / "outbox.db").write_bytes(b"no database" * 1_000)
    with serving() as ledger:
        ledger.records = record(settings)
        found = examined(settings, ledger)
    assert any(one.level == "fault" for one in found["spool"])
    with pytest.raises(SpoolError):
        Outbox(settings.folder)


def test_a_broker_that_is_away_is_a_fault_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.brokerprobe.BROKER_SECONDS_MAX", 1.0)
    settings = make_folder(tmp_path / "g")
    with serving() as ledger:
        none = examined(settings, ledger)["broker"]
        found = examined(settings, ledger, "mqtt://127.0.0.1:9")["broker"]
    assert [(one.level, "no broker" in one.said) for one in none] == [("fault", True)]
    found = [one for one in found if one.level == "fault"]
    assert len(found) == 1
    assert "127.0.0.1:9" in found[0].said


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("max_queued_bytes 0", "max_queued_bytes 0\nmessage_size_limit 65536", "of 1 MiB"),
        ("max_queued_bytes 0", "max_queued_bytes 0\nmax_packet_size 65536", "over 65536 bytes"),
    ],
)
def test_settings_of_the_broker_that_slow_or_cut_are_found_by_what_it_does(
    tmp_path: Path, old: str, new: str, said: str
) -> None:
    text = (DEPLOY / "mosquitto-fast.conf").read_text()
    assert old in text
    (tmp_path / "b").mkdir()
    settings = make_folder(tmp_path / "g")
    with (
        serving() as ledger,
        careless_mosquitto(tmp_path / "b", text.replace(old, new)) as broker,
    ):
        found = examined(settings, ledger, broker.url)["broker"]
    bad = [one for one in found if one.level != "ok" and "TLS" not in one.said]
    assert len(bad) == 1, bad
    assert said in bad[0].said
    assert "mosquitto:" in bad[0].mend


def test_a_broker_that_sends_few_messages_at_once_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.mqtt.RECEIVE_MAX", 20)  # to MQTT 5 the client says how many
    settings = make_folder(tmp_path / "g")
    with serving() as ledger, shipped_mosquitto(tmp_path, "mosquitto-fast.conf") as broker:
        found = examined(settings, ledger, broker.url)["broker"]
    (slow,) = [one for one in found if "at once" in one.said]
    assert (slow.level, "sends 20 messages" in slow.said) == ("warning", True)
    assert "max_inflight_messages" in slow.mend
    assert any("kept 1500" in one.said for one in found), "all came in the end"


def test_a_broker_that_lets_no_doctor_subscribe_is_no_fault(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "broker")
    authority.issue("localhost", file="broker")
    settings = make_settings(tmp_path / "g", authority)
    with serving() as ledger, shipped_nats(tmp_path / "broker") as broker:
        found = examined(settings, ledger, f"mqtts://localhost:{broker.port}")["broker"]
    assert not [one for one in found if one.level == "fault"], found
    assert any("MQTT 3.1.1 only" in one.said for one in found)
    assert any("queue is not tried" in one.said for one in found)


def test_a_doctor_leaves_nothing_behind(tmp_path: Path) -> None:
    settings = make_folder(tmp_path / "g")
    saved = "persistence true\npersistence_location /var/lib/mosquitto/\nautosave_interval 1"
    text = (DEPLOY / "mosquitto-fast.conf").read_text().replace("persistence false", saved)
    (tmp_path / "b").mkdir()
    with serving() as ledger, careless_mosquitto(tmp_path / "b", text) as broker:
        found = examined(settings, ledger, broker.url)["broker"]
        kept = [one for one in found if "kept" in one.said]
        assert [one.level for one in kept] == ["ok"]
        stop(broker.process)  # it writes its store
        store = tmp_path / "b" / "run" / "store" / "mosquitto.db"
        assert b"-doctor-" not in store.read_bytes()
    with Inbox(settings.folder) as inbox:
        assert inbox.newest_id() == 0
