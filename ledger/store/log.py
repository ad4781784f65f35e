"""The append-only log: one process writes it, and what it has written is never changed.

    evidence             entries, events, tiles, checkpoints, chains (`ledger.store.schema`), in
                         folder/evidence.db or in a PostgreSQL database
    folder/signed.db     what was signed at most (`ledger.store.signed`)
    folder/lock          who writes (`ledger.store.lock`)

`Log.append` writes a batch in one transaction: entries, their events, the tiles that they
fill, their places in the chains. A crash at any point leaves all of a batch or nothing,
and nothing is acknowledged before COMMIT has flushed it. What an erasure statement names is
erased after that COMMIT, or at the next start. After an error of storage the
log takes nothing more: what memory holds may then differ from what the disk holds, and
only a new start finds out.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import lru_cache
from pathlib import Path

from ledger.cose import Signer
from ledger.entry import parse_entry
from ledger.errors import RefusedError
from ledger.statement import NO_HASH, Body, Statement, parse_statement
from ledger.store.batch import Batch, LogEnd, Receipt, Rows
from ledger.store.database import Where, create_evidence, home_of, open_evidence
from ledger.store.dialect import Connection, Database, StorageError
from ledger.store.erasure import erase_noticed
from ledger.store.evidence import EvidenceReader
from ledger.store.intake import VerifiedSubmission
from ledger.store.lock import FolderLock
from ledger.store.publish import check_not_rolled_back
from ledger.store.recall import load_state, load_statement
from ledger.store.signed import SIGNED_NAME, SignedStore, create_signed
from ledger.store.sqlite import remove
from ledger.tlog.merkle import CompactRange, Hash, TreeSize, leaf_hash
from ledger.tlog.tiles import TileEdge
from ledger.trust.state import KeyRecord, TrustState

ROOTS_CACHED = 1024

Outcome = Receipt | RefusedError
"""What became of one submission of a batch."""


def create_log(
    folder: Path,
    origin: str,
    founding: Sequence[bytes],
    *,
    now_us: Callable[[], int],
    database: str | None = None,
    role: str = "",
) -> Callable[[], None]:
    """Create the log called `origin` in `folder`, with the `founding` statements as entries.

    The first two enrol the admin key and the recovery key (FORMATS section 2). With
    `database`, the URL of an empty PostgreSQL database of one's own, its rows are kept
    there and served by the role `role`. Raises `RefusedError` where a log is there already
    or a founding statement is refused; then no log is left behind. What is returned takes
    the new log back, for a caller that fails later.
    """
    take_back = create_evidence(folder, database, role)

    def undo() -> None:
        remove(folder / SIGNED_NAME)
        take_back()

    try:
        create_signed(folder)
        log = Log(folder, origin, now_us=now_us)
        try:
            for raw_statement in founding:
                statement = parse_statement(raw_statement)
                (outcome,) = log.append([VerifiedSubmission(statement)])
                if isinstance(outcome, RefusedError):
                    raise outcome
        finally:
            log.close()
    except BaseException:
        undo()
        raise
    return undo


class Log:
    """One log, open for its one writer; `append` is for one thread, the rest for any."""

    def __init__(
        self,
        where: Where,
        origin: str,
        *,
        now_us: Callable[[], int],
        log_key: Signer | None = None,
    ) -> None:
        """Open the log at `where` and take its lock, that of the database too.

        Raises `RefusedError` with check `lock` (another process writes it) or `rollback`
        (it is behind what it has signed), `StorageError` where it cannot be read.
        """
        self.origin = origin
        self._now_us = now_us
        self._log_key = log_key
        self._write_lock = threading.Lock()
        self.on_erased: Callable[[Sequence[int]], object] = lambda _: None
        self._broken: BaseException | None = None
        self.home = home = home_of(where)
        self._lock = FolderLock(home.folder, now_us=now_us())
        with ExitStack() as opened:
            opened.callback(self._lock.release)
            self.reader = EvidenceReader(home)
            opened.callback(self.reader.close)
            self.signed = SignedStore(home.folder)
            opened.callback(self.signed.close)
            self._database = open_evidence(home)
            opened.callback(self._database.close)
            check_not_rolled_back(self.reader, self.signed)
            erase_noticed(self._database)
            self._load()
            self._opened = opened.pop_all()

    # --- What it holds -------------------------------------------------------------------

    @property
    def size(self) -> TreeSize:
        """The number of durable entries."""
        return self._committed[0]

    @property
    def committed(self) -> tuple[TreeSize, Hash]:
        """Size and root of the durable log, as the writer computed them."""
        return self._committed

    def keys(self) -> Mapping[bytes, KeyRecord]:
        """Return what the log says about every key, by kid: a view, always current."""
        return self._state.keys

    @property
    def state(self) -> TrustState:
        """The fold of the entries; look only."""
        return self._state

    def close(self) -> None:
        """Close the databases and give the folder back."""
        self._opened.close()

    # --- Writing -------------------------------------------------------------------------

    def append(self, submissions: Sequence[VerifiedSubmission]) -> list[Outcome]:
        """Append what the rules admit, in order, durably; return what became of each.

        When this returns, every new entry is on the disk. When it raises, none may be
        acknowledged: the transaction may be on the disk or not, and this `Log` is closed
        for writing.
        """
        return self._write(lambda batch: [_outcome(batch, one) for one in submissions])

    def say(self, body: Body) -> Receipt:
        """Append a statement of the log itself, durably; any thread may ask for it.

        Raises `RefusedError` where the rules do not admit it; then nothing is written.
        Otherwise as `append`.
        """
        (outcome,) = self._write(lambda batch: [_said(batch, body)])
        if isinstance(outcome, RefusedError):
            raise outcome
        return outcome

    def _write(self, fill: Callable[[Batch], list[Outcome]]) -> list[Outcome]:
        """Let `fill` put rows into a batch, and commit them; return what it returned."""
        with self._write_lock:
            if self._broken is not None:
                raise StorageError(f"the log takes nothing after: {self._broken}")
            self._state.begin()
            try:
                batch = self._open_batch()
                outcomes = fill(batch)
                if batch.rows.entries:
                    self._commit(batch)
            except BaseException as error:
                self._state.undo()
                self._broken = error
                raise
            self._state.keep()
        return outcomes

    def verify_writable(self) -> None:
        """Raise `StorageError` where the right to write is lost, with the connection."""
        with self._write_lock, self._database.lend() as connection:
            connection.execute("SELECT 1").fetchone()

    def store_checkpoint(self, size: TreeSize, note: bytes) -> None:
        """Store a signed note, durably. A crash here loses a note that is signed again."""
        with self._write_lock, self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO checkpoint (size, note) VALUES (?, ?)", (size, note)
            )

    def _open_batch(self) -> Batch:
        return Batch(
            state=self._state,
            end=self._end,
            edge=self._edge,
            stored=self,
            now_us=self._now_us(),
            log_key=self._log_key,
        )

    def _commit(self, batch: Batch) -> None:
        """Write the rows of `batch` in one transaction, then move the end of the log."""
        tiles = []
        for leaf in batch.rows.leaves:
            self._edge.append(leaf)
            tiles += self._tiles.append(leaf)
        full = [(tile.level, tile.index, data) for tile, data in tiles]
        with self._database.transaction() as connection:
            _insert(self._database, connection, batch.rows)
            self._database.insert(connection, "tile (level, n, data)", full)
        if batch.rows.notices:
            erase_noticed(self._database)
            self.on_erased([eid for eid, _ in batch.rows.notices])
        self._end = batch.end
        self._committed = (self._edge.size, self._edge.root())

    # --- The history that the rules look up: what is durable -----------------------------

    def find_logged(self, kid: Hash, epoch: int, seq: int) -> tuple[int, Hash] | None:
        """Return index and id of the statement stored at this place of a chain, or None."""
        index = self.reader.load_place(kid, epoch, seq)
        return None if index is None else (index, self.statement_at(index).id)

    def statement_at(self, index: int) -> Statement:
        """Return the statement in the stored entry at `index`."""
        return load_statement(self.reader, index)

    def root_at(self, size: int) -> Hash:
        """Return the root over the first `size` stored entries; the last 1,024 are kept."""
        return self._roots(size)

    # --- Opening -------------------------------------------------------------------------

    def _load(self) -> None:
        """Read the end of the log and what the rules need of all before it."""
        size = self.reader.load_size()
        self._roots = lru_cache(ROOTS_CACHED)(lambda n: self.reader.tree(TreeSize(n)).root())
        self._edge = CompactRange.from_nodes(self.reader.tree(size).node, size)
        self._tiles = TileEdge.from_tiles(self.reader.fetch_tile, size)
        self._committed = (size, self._edge.root())
        self._end = LogEnd(0, NO_HASH, 0)
        if size:
            last = self.reader.load_entry(size - 1)
            self._end = LogEnd(size, leaf_hash(last), parse_entry(last).record_time_us)
        self._state = load_state(self.reader, self.origin)


def _outcome(batch: Batch, submission: VerifiedSubmission) -> Outcome:
    try:
        return batch.take(submission)
    except RefusedError as refused:
        return refused


def _said(batch: Batch, body: Body) -> Outcome:
    try:
        return batch.say(body)
    except RefusedError as refused:
        return refused


def _insert(database: Database, connection: Connection, rows: Rows) -> None:
    database.insert(connection, "entry (idx, data)", rows.entries)
    database.insert(connection, "event (eid, commitment, data)", rows.events)
    database.insert(connection, "chain (kid, epoch, seq, idx)", rows.chain)
    database.insert(connection, "key_entry (kid, idx)", rows.key_entries)
    database.insert(connection, "notice (eid, idx)", rows.notices)
    # Another statement may cite the same document: it is kept once.
    database.insert_new(connection, "document (sha256, data)", rows.documents)
