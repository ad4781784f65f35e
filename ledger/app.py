"""Composition root: opens ledgers and serves them; the only place where they are wired.

    create_ledger(folder, Founding(origin="tagtrail.example/demo"))
    with open_ledger(folder) as ledger:
        serve(ledger, on_listening=print)

A ledger's folder is described in `docs/reference/ledger-folder.md`.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ledger.capture.reception import Reception
from ledger.config import KEYS_NAME, ServeSettings, find_passphrase, load_trust
from ledger.cose import Signer
from ledger.errors import RefusedError
from ledger.federation.anchoring import Anchored, Followed, Follower, anchor
from ledger.federation.cosigning import Cosigning
from ledger.founding import (
    CAPTURE_KEY_NAME,
    LOG_KEY_NAME,
    RECEIPT_KEY_NAME,
    Founded,
    Founding,
    FoundingParty,
    clock_us,
    create_ledger,
    key_file_name,
    make_publisher,
    note_signers,
)
from ledger.jobs import Clockwork
from ledger.keyfile import load_ml_dsa_signer, load_signer, needs_passphrase
from ledger.store.database import Home, check_url, home_of, open_evidence
from ledger.store.erasure import erase_noticed
from ledger.store.evidence import EvidenceReader
from ledger.store.index import Index, open_index
from ledger.store.index_source import IndexReader, IndexSource
from ledger.store.lock import FolderLock
from ledger.store.log import Log
from ledger.store.query_names import NameReader
from ledger.store.query_reader import QueryReader
from ledger.store.recall import load_state
from ledger.store.sequencer import Sequencer
from ledger.store.standing import StandingQueries
from ledger.subscriptions.dispatcher import DeliverySettings, Dispatcher
from ledger.subscriptions.guard import parse_networks
from ledger.tlog.cosignature import MlDsa44Signer
from ledger.trust.state import KeyRecord

if TYPE_CHECKING:
    from ledger.federation.timestamps import Stamper

__all__ = [
    "Founded",
    "Founding",
    "FoundingParty",
    "OpenLedger",
    "clock_us",
    "create_ledger",
    "key_file_name",
    "open_ledger",
    "open_source",
    "serve",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLedger:
    """Every part of one ledger that this process writes."""

    folder: Path
    log: Log
    sequencer: Sequencer
    index: Index
    reader: IndexReader
    queries: QueryReader
    names: NameReader
    standing: StandingQueries
    dispatcher: Dispatcher
    clockwork: Clockwork
    capture: Reception | None
    """What captures documents; None where the folder has no capture key."""
    cosigning: Cosigning
    receipt_signer: Signer | None
    """What signs COSE receipts; None where no such key is enrolled."""


@contextmanager
def open_ledger(
    folder: Path, settings: ServeSettings | None = None, *, signer: Signer | None = None
) -> Iterator[OpenLedger]:
    """Open the ledger in `folder` for writing; close it cleanly at the end.

    The log key is `signer`, or comes out of `keys/log.key`. Raises `FolderError`,
    `KeyfileError`, `TokenError`, `RefusedError` (`lock`, `rollback`) or `StorageError`.
    """
    trust = load_trust(folder)
    key = signer or _load_key(folder, LOG_KEY_NAME)
    settings = settings or ServeSettings()
    home = Home(folder, check_url(settings.database)) if settings.database else home_of(folder)
    with ExitStack() as stack:
        log = Log(home, trust.origin, now_us=clock_us, log_key=key)
        stack.callback(log.close)
        cosigning = Cosigning(
            trust,
            log.reader,
            folder,
            wait_s=settings.cosign_wait_s,
            publish_lacking=settings.publish_lacking,
        )
        stack.callback(cosigning.close)
        cosigning.may_sign(log.size)
        twin = None if signer else _load_twin(folder)
        publisher = make_publisher(log, note_signers(trust.origin, key, twin), cosigning)
        index = open_index(home, log.reader)
        stack.callback(index.close)
        reader = IndexReader(home)
        stack.callback(reader.close)
        log.on_erased = reader.forget
        queries = QueryReader(home)
        stack.callback(queries.close)
        names = NameReader(home)
        stack.callback(names.close)
        standing = StandingQueries(folder)
        stack.callback(standing.close)
        dispatcher = _dispatch(log, standing, queries, settings)
        stack.callback(dispatcher.stop)
        clockwork = Clockwork(log, publisher, index, settings)
        stack.callback(clockwork.stop)
        sequencer = Sequencer(log)
        stack.callback(sequencer.stop)
        stack.callback(Follower(log, folder).stop)
        stamper = _open_stamper(folder, settings, clockwork)
        if stamper is not None:
            stack.callback(stamper.stop)
        capture = _open_capture(home, log, sequencer, reader)
        if capture is not None:
            stack.callback(capture.stop)
        yield OpenLedger(
            folder=folder,
            log=log,
            sequencer=sequencer,
            index=index,
            reader=reader,
            queries=queries,
            names=names,
            standing=standing,
            dispatcher=dispatcher,
            clockwork=clockwork,
            capture=capture,
            cosigning=cosigning,
            receipt_signer=_load_receipt_signer(folder, log.keys()),
        )


def open_receipt_key(folder: Path, reader: EvidenceReader) -> tuple[Signer, str]:
    """Return what signs the COSE receipts of the ledger in `folder`, and its origin.

    Raises `RefusedError` where there is no such key or the log has not enrolled it.
    """
    origin = load_trust(folder).origin
    signer = _load_receipt_signer(folder, load_state(reader, origin).keys)
    if signer is None:
        raise RefusedError("no-receipt-key", f"{folder} has no receipt key that is enrolled")
    return signer, origin


def _load_receipt_signer(folder: Path, keys: Mapping[bytes, KeyRecord]) -> Signer | None:
    """Return the key of COSE receipts, if the folder has one that is enrolled as such."""
    if not (folder / KEYS_NAME / RECEIPT_KEY_NAME).exists():
        return None
    signer = _load_key(folder, RECEIPT_KEY_NAME)
    record = keys.get(signer.kid)
    return signer if record and record.role == "receipt" and record.is_valid else None


def _load_twin(folder: Path) -> MlDsa44Signer | None:
    """Return the ML-DSA-44 twin of the log's key, if the trust file knows it."""
    path = folder / KEYS_NAME / LOG_KEY_NAME
    twin = load_ml_dsa_signer(path, find_passphrase(folder) if needs_passphrase(path) else b"")
    known = {log.key.public for log in load_trust(folder).policy.logs}
    return twin if twin is not None and twin.x in known else None


def _load_key(folder: Path, name: str) -> Signer:
    path = folder / KEYS_NAME / name
    return load_signer(path, find_passphrase(folder) if needs_passphrase(path) else b"")


def _open_stamper(
    folder: Path, settings: ServeSettings, clockwork: Clockwork
) -> "Stamper | None":
    """Return what has a checkpoint dated once a day, where the settings name an authority."""
    if not settings.authority or settings.authority_root is None:
        return None
    # Only here, because only who asks for timestamps needs that package.
    from ledger.federation.timestamps import Stamper, load_roots  # noqa: PLC0415

    roots = load_roots(settings.authority_root)
    return Stamper(folder, clockwork.newest_checkpoint, settings.authority, roots)


def _dispatch(
    log: Log, standing: StandingQueries, queries: QueryReader, settings: ServeSettings
) -> Dispatcher:
    """Start to send subscribers what they asked for."""

    def prefixes() -> tuple[str, ...]:
        return tuple(sorted({one for key in log.keys().values() for one in key.prefixes}))

    networks = parse_networks(settings.callback_networks)
    return Dispatcher(
        standing,
        queries,
        now_us=clock_us,
        prefixes=prefixes,
        settings=DeliverySettings(networks=networks),
    )


def _open_capture(
    home: Home, log: Log, sequencer: Sequencer, reader: IndexReader
) -> Reception | None:
    """Return what captures documents under the folder's capture key, if it has one."""
    path = home.folder / KEYS_NAME / CAPTURE_KEY_NAME
    if not path.exists():
        return None
    return Reception(
        home=home,
        log=log,
        sequencer=sequencer,
        index=reader,
        signer=_load_key(home.folder, CAPTURE_KEY_NAME),
        now_us=clock_us,
    )


def follow_now(
    folder: Path, followed: Followed, *, now_us: Callable[[], int]
) -> Anchored | None:
    """Anchor a followed log in the ledger in `folder`; None where a server has that."""
    try:
        log = Log(
            folder,
            load_trust(folder).origin,
            now_us=now_us,
            log_key=_load_key(folder, LOG_KEY_NAME),
        )
    except RefusedError as error:
        if error.check == "lock":
            return None
        raise
    try:
        return anchor(log, followed, folder)
    finally:
        log.close()


@contextmanager
def open_source(folder: Path) -> Iterator[IndexSource]:
    """Open the ledger in `folder` to ask it one question; nothing of the evidence changes.

    Where no server has the ledger, the index first catches up with the log; where one
    has, the answer is what its index has followed.
    """
    load_trust(folder)
    home = home_of(folder)
    evidence = EvidenceReader(home)
    with ExitStack() as stack:
        stack.callback(evidence.close)
        _catch_up(home, evidence)
        reader = IndexReader(home)
        stack.callback(reader.close)
        yield reader.source()


def _catch_up(home: Home, evidence: EvidenceReader) -> None:
    with ExitStack() as held:
        try:
            held.callback(FolderLock(home.folder, now_us=clock_us()).release)
            writer = open_evidence(home)
        except RefusedError as error:
            if error.check != "lock":
                raise
            return
        held.callback(writer.close)
        erase_noticed(writer)
        index = open_index(home, evidence)
        held.callback(index.close)
        while index.follow(evidence.load_size()):
            pass


def serve(
    ledger: OpenLedger,
    settings: ServeSettings | None = None,
    *,
    on_listening: Callable[[str], object] = print,
) -> None:
    """Serve `ledger` over HTTP until SIGTERM or SIGINT; `on_listening` is told the URL.

    The socket is bound before anything else, so that a port in use is a clear error, and
    `on_listening` is called once requests are answered.
    """
    # Imported here, because making or asking a ledger needs no server.
    from ledger.api.application import create_application  # noqa: PLC0415
    from ledger.api.served import Served  # noqa: PLC0415
    from ledger.api.server import bind, run_server  # noqa: PLC0415

    settings = settings or ServeSettings()
    application = create_application(
        Served(
            log=ledger.log,
            sequencer=ledger.sequencer,
            reader=ledger.log.reader,
            index=ledger.reader,
            queries=ledger.queries,
            names=ledger.names,
            standing=ledger.standing,
            dispatcher=ledger.dispatcher,
            checkpoint=ledger.clockwork.newest_checkpoint,
            indexed=lambda: ledger.index.next_index,
            now_us=clock_us,
            capture=ledger.capture,
            cosigning=ledger.cosigning,
            receipt_signer=ledger.receipt_signer,
        )
    )
    with bind(settings.host, settings.port) as listener:
        run_server(application, listener, on_listening)
