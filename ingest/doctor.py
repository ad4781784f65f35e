"""What would lose data or stop a gateway, found before it does: `tagtrail gateway doctor`.

    plan     it parses, and every party that it signs for has a key here
    keys     they open, and no file with a secret is others' to read; the ledger knows them,
             they are valid there, and their chains stand there where they stand here
    ledger   it answers, and the log's key signed its checkpoint
    clock    the host's clock is kept in step with the world's, and agrees with the ledger's
    readers  how their clocks stand, and which of them said that they are not well
    spool    there is a quota, room on the disk for it, and nothing waits for long
    monitor  somebody can look at the gateway
    broker   see `ingest.brokerprobe`; the certificate's name and its end

Each finding that is not well says what mends it.
"""

import ctypes
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ingest.brokerprobe import Probe
from ingest.database import DISK_ERRORS
from ingest.findings import Finding, fault, warning, well
from ingest.health import oldest_waiting_us, read_health
from ingest.inbox import Inbox
from ingest.link import Link
from ingest.outbox import FILE as OUTBOX_FILE
from ingest.outbox import Outbox
from ingest.pipeline import open_signers
from ingest.plan import Plan
from ingest.sealing import GRADE
from ingest.settings import Settings, load_settings
from ingest.site import Site
from ingest.start import choose_client_id, find_broker, load_plan, own_client_id
from ledger.client.http import CaptureClient, LedgerRefusedError, LedgerUnavailableError
from ledger.client.keys import KeysAnswer, LedgerKey, fetch_keys
from ledger.cose import Signer
from ledger.epcis.times import format_time
from ledger.errors import TagtrailError
from ledger.gs1.epc import canonical_key
from ledger.tlog.checkpoint import parse_signed_checkpoint, verify_signed_checkpoint
from ledger.tlog.note import Ed25519Verifier, parse_vkey

CERTIFICATE_DAYS_LEAST = 14
DISK_BYTES_LEAST = 1 << 30
LEDGER_SECONDS_MAX = 10.0
LEDGER_SKEW_S_MAX = 300  # what an audit remarks (check 12)
LEDGER_SKEW_S_NOTED = 5
WAITING_S_MAX = 3_600
READERS_SHOWN_MAX = 20
_TIME_ERROR = 5  # of adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 512
_US = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is to be examined; empty texts mean what the settings say."""

    folder: Path
    plan_path: Path
    broker: str = ""
    ledger: str = ""


def examine(ask: Ask) -> Iterator[Finding]:
    """Yield what is found, part by part; a part that cannot be examined is a fault."""
    settings = load_settings(ask.folder)
    plan: Plan | None = None
    try:
        plan = load_plan(ask.plan_path)
        yield well("plan", f"{plan.name}, sha256 {plan.sha256.hex()[:16]}…")
    except TagtrailError as error:
        yield fault("plan", str(error), "mend the plan there; docs/reference/plan.md")
    told = _ask_keys(ask.ledger or settings.ledger)
    if plan is not None:
        yield from _guarded("keys", lambda: _check_keys(settings, plan, told))
    yield from _guarded("ledger", lambda: _check_ledger(settings, ask.ledger))
    yield from _check_clock(told)
    if plan is not None:
        yield from _guarded("readers", lambda: _check_readers(settings, plan))
    yield from _guarded("spool", lambda: _check_spool(settings))
    yield from _check_monitor(settings)
    yield from _guarded("broker", lambda: _check_broker(settings, ask.broker))


def _guarded(part: str, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from check()
    except (TagtrailError, *DISK_ERRORS) as error:
        yield fault(part, str(error), "mend that, and ask again")


def _ask_keys(url: str | None) -> KeysAnswer | None:
    try:
        return None if url is None else fetch_keys(url, seconds=LEDGER_SECONDS_MAX)
    except TagtrailError:
        return None  # the check of the ledger says why


def _check_keys(settings: Settings, plan: Plan, told: KeysAnswer | None) -> Iterator[Finding]:
    signers = open_signers(settings, plan)
    promises = {canonical_key(one.party): one.heartbeat_s for one in settings.keys}
    for party, (issuer, signer) in signers.items():
        who = f"{signer.kid.hex()[:16]}… of {issuer}"
        if told is None:
            why = f"{who}: the ledger does not say what it may do"
            yield warning("keys", why, "let the ledger answer, and ask again")
            continue
        found = list(_judge_key(who, told, signer, promises[party]))
        found += _judge_chain(who, settings, told.keys.get(signer.kid.hex()))
        yield from found or [well("keys", f"{who} is valid at the ledger")]
    yield from _check_secrets(settings)


def _check_secrets(settings: Settings) -> Iterator[Finding]:
    """Yield the files with a secret in them that others can read; those of keys do not open."""
    paths = [settings.broker.password_file, settings.broker.tls.key]
    if settings.passphrase_file is not None:
        paths.append(settings.folder / settings.passphrase_file)
    for path in paths:
        if path is None or not path.is_file():
            continue
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield warning("keys", f"{path} can be read by others", f"chmod 600 {path}")


def _judge_key(who: str, told: KeysAnswer, signer: Signer, promise_s: int) -> Iterator[Finding]:
    """Yield what keeps a key from signing, by what the ledger says of it."""
    kid = signer.kid.hex()
    key = told.keys.get(kid)
    if key is None:
        mend = "tagtrail keys enrol FILE --by PARTY"
        yield fault("keys", f"{who} is not enrolled at the ledger", mend)
        return
    if key.ended_at is not None:
        mend = "make a new key, enrol it, and name it in gateway.toml"
        yield fault("keys", f"{who} was ended by entry {key.ended_at}", mend)
    elif key.suspended:
        mend = f"tagtrail keys epoch {kid} --by PARTY, then tagtrail gateway epoch"
        yield fault("keys", f"{who} is suspended", mend)
    if key.grade_max < GRADE:
        why = f"{who} may say grade {key.grade_max} at most; a gateway's events are of {GRADE}"
        yield fault("keys", why, f"enrol a key with --grade-max {GRADE}")
    mine = canonical_key(key.iss)
    others = [one for one in told.keys.values() if one.role == "party" and one.is_valid]
    if not any(canonical_key(one.iss) == mine for one in others):
        why = f"{who}: no key of the party {key.iss} is valid, so it may say nothing"
        yield fault("keys", why, "the operator admits the party: tagtrail keys admit")
    if key.heartbeat_s != promise_s:
        why = f"{who} promised a heartbeat every {key.heartbeat_s} s, here it has {promise_s}"
        yield warning("keys", why, f"heartbeat_s = {key.heartbeat_s} in its [[key]]")


def _judge_chain(who: str, settings: Settings, key: LedgerKey | None) -> Iterator[Finding]:
    """Yield where the chain of a key stands at the ledger, if it is not where it is here."""
    if key is None:
        return
    epoch = seq = 0
    if (settings.folder / OUTBOX_FILE).is_file():
        with Outbox(settings.folder) as outbox:
            head = outbox.head(bytes.fromhex(key.kid))
        epoch, seq = head.epoch, head.seq
    if epoch != key.epoch:
        why = f"{who} is in epoch {epoch} here, and in {key.epoch} at the ledger"
        yield fault("keys", why, "stop the gateway, then: tagtrail gateway epoch --dir DIR")
    elif key.next_seq > seq:
        why = f"{who} made {seq} statements here, and the ledger has {key.next_seq} of it"
        mend = "stop the other gateway that has this key; for lost state: tagtrail keys epoch"
        yield fault("keys", why, mend)


def _check_ledger(settings: Settings, given: str) -> Iterator[Finding]:
    url = given or settings.ledger
    if not url:
        yield fault("ledger", "there is none", "give --ledger, or ledger in gateway.toml")
        return
    if settings.log is None:
        why = "gateway.toml has no log: no receipt can be verified"
        yield fault("ledger", why, "log = the log's vkey; its trust file has it")
        return
    with CaptureClient(url, read_seconds=LEDGER_SECONDS_MAX) as client:
        try:
            signed = parse_signed_checkpoint(client.fetch_checkpoint())
        except (LedgerUnavailableError, LedgerRefusedError) as error:
            yield fault("ledger", str(error), f"see that a ledger runs at {url}")
            return
    verifier = Ed25519Verifier(parse_vkey(settings.log))
    verify_signed_checkpoint(signed, origin=settings.origin, verifiers=[verifier])
    yield well("ledger", f"{url}: checkpoint of {signed.checkpoint.size} entries holds")


def _check_clock(told: KeysAnswer | None) -> Iterator[Finding]:
    run_ntp = "run chrony or systemd-timesyncd"
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    except (OSError, AttributeError):
        yield warning("clock", "whether it is synchronised cannot be seen here", run_ntp)
    else:
        if state == _TIME_ERROR or state < 0:
            yield warning("clock", "the kernel says that nothing keeps it in step", run_ntp)
        else:
            yield well("clock", "synchronised")
    if told is None or told.clock_us is None:
        return
    ahead_s = round((time.time_ns() // 1_000 - told.clock_us) / _US)
    why = f"it is {abs(ahead_s)} s {'ahead of' if ahead_s > 0 else 'behind'} the ledger's"
    if abs(ahead_s) > LEDGER_SKEW_S_MAX:
        yield fault("clock", f"{why}; audits remark more than {LEDGER_SKEW_S_MAX} s", run_ntp)
    elif abs(ahead_s) > LEDGER_SKEW_S_NOTED:
        yield warning("clock", why, run_ntp)
    else:
        yield well("clock", f"agrees with the ledger's within {LEDGER_SKEW_S_NOTED} s")


def _check_readers(settings: Settings, plan: Plan) -> Iterator[Finding]:
    """Yield which readers were not well when the gateway last heard them."""
    if not (settings.folder / OUTBOX_FILE).is_file():
        return
    with Outbox(settings.folder) as outbox:
        states = outbox.states()
    site = Site(plan)
    site.restore(states)
    # As of when each was heard: whether one is silent now only the running gateway can tell.
    views = site.readers(0)
    bad = [one for one in views if one.condition != "online"]
    for one in bad[:READERS_SHOWN_MAX]:
        why = f"{one.name} is {one.condition}"
        mend = "see /readyz of the running gateway, and the reader"
        if one.condition == "clock-bad" and one.clock is not None:
            clock = one.clock
            off_s, error_s = clock.offset_us / _US, clock.error_us / _US
            said = f"times corrected by {clock.shift_us / _US:.1f} s to within {error_s:.1f} s"
            why += f": its clock is off by {off_s:+.1f} s, {said}"
            why += f" ({', '.join(clock.flags)})" if clock.flags else ""
            mend = "set its clock by NTP"
        yield warning("readers", why, mend)
    if len(bad) > READERS_SHOWN_MAX:
        more = len(bad) - READERS_SHOWN_MAX
        yield warning("readers", f"{more} more are not well", "see /metrics of the gateway")
    yield well("readers", f"{len(views) - len(bad)} of {len(views)} are well")


def _check_spool(settings: Settings) -> Iterator[Finding]:
    quota = settings.quota
    if not (quota.messages_max or quota.bytes_max or quota.age_max_s):
        mend = "[spool] bytes_max in gateway.toml, well below what the disk has"
        yield warning("spool", "there is no quota: only the disk bounds it", mend)
    free = shutil.disk_usage(settings.folder).free
    need = max(quota.bytes_max, DISK_BYTES_LEAST)
    room = f"{free >> 20} MiB free, {need >> 20} MiB wanted"
    if free < need:
        yield warning("spool", room, "make room, or lower [spool] bytes_max")
    else:
        yield well("spool", room)
    if not (settings.folder / OUTBOX_FILE).is_file():
        return
    health, oldest_us = read_health(settings.folder), oldest_waiting_us(settings.folder)
    for one in health.parked:
        why = f"the ledger refused statement {one.seq} of key {one.kid[:16]}…: {one.why}"
        mend = "mend the reason, then: tagtrail gateway parked retry"
        yield fault("spool", f"{why}; {one.behind} wait behind it", mend)
    age_s = 0 if oldest_us is None else max(time.time_ns() // 1_000 - oldest_us, 0) // _US
    waits = f"{health.unprocessed} messages and {health.waiting} statements wait"
    if age_s > WAITING_S_MAX:
        mend = "see that the gateway runs, and reaches the ledger"
        yield warning("spool", f"{waits}, the oldest for {age_s} s", mend)
    else:
        yield well("spool", waits)


def _check_monitor(settings: Settings) -> Iterator[Finding]:
    if settings.listen is None:
        why = "nobody can ask the gateway how it is"
        yield warning("monitor", why, '[monitor] listen = "127.0.0.1:9464" in gateway.toml')
    else:
        host, port = settings.listen
        yield well("monitor", f"at http://{host}:{port}")


def _check_broker(settings: Settings, given: str) -> Iterator[Finding]:
    url, credentials = find_broker(settings, given)
    with Inbox(settings.folder) as inbox:
        own = own_client_id(inbox.secret)
    client_id = choose_client_id(settings, credentials, "", own)
    if credentials is None:
        why = f"{url} is not TLS: who listens can read and forge"
        yield warning("broker", why, "mqtts:// and docs/deploy/mosquitto-tls.conf")
    elif credentials.certificate is None:
        mend = "[broker] certificate and key in gateway.toml"
        yield warning("broker", "the gateway shows no certificate", mend)
    else:
        left_s = credentials.certificate.expires_us / _US - time.time()
        ends = format_time(credentials.certificate.expires_us)
        why = f"certificate of {credentials.certificate.name}: to {ends}"
        if left_s <= 0:
            yield fault("broker", f"{why}, which is over", "renew it")
        elif left_s < CERTIFICATE_DAYS_LEAST * 86_400:
            yield warning("broker", why, "renew it; the gateway takes the new files by itself")
        else:
            yield well("broker", why)
    link = Link(
        broker=url,
        client_id=f"{client_id[:100]}-doctor-{secrets.token_hex(4)}",
        on_delivery=lambda _: None,
        credentials=credentials,
    )
    yield from Probe(link).run()
