"""The tables of the three databases of a ledger, and the triggers that guard evidence.

`evidence.db` (evidence: never changed, never deleted, every column checked by an audit):

    entry(idx, data)                             one leaf: the canonical CBOR of FORMATS 3
    event(eid, commitment, data)                 what the statement of entry idx commits to, in
                                                 the order of its tree: eid is
                                                 idx << 17 | position; data = the event as
                                                 submitted (FORMATS 1), NULL once erased
    tile(level, n, data)                         full tiles only (C2SP tlog-tiles)
    checkpoint(size, note)                       every signed note that was published
    chain(kid, epoch, seq, idx)                  which entry took that place of a source chain
    key_entry(kid, idx)                          which entries are about that key
    notice(eid, idx)                             which erasure statement names that event
    document(sha256, data)                       what was received of a partner, which events
                                                 cite by its hash; NULL once erased

`signed.db`, a small store apart, so that an old evidence database put back does not bring it:

    signed(id = 1, size, root)                   what the log has ever signed at most

`index.db`, disposable, made from the evidence by `ledger.projection` and by nothing else:

    key(id, text)                                what is named, interned
    mention(key, role, event_time_us, eid)       key = key.id, role = its number in `ROLES`
    event(eid, ...)                              the fields of `projection.EventRow`
    gap(idx, ...)                                the gap statements, as `admitted.GapRow`
    master(document, idx)                        documents with master data, by SHA-256
    progress(id = 1, next_idx)                   the first entry that is not in here yet

An event has one integer for its place, because SQLite fills the pages of a table that grows
at its end, and does not fill those of one that is ordered by two columns.

Who owns `evidence.db` can delete, corrupt and roll back, and is caught by tiles, root,
`signed.db`, witnesses and every bundle; who also owns `signed.db` is caught by witnesses and
bundles alone. Who owns `index.db` can give wrong answers until `verify --index` rebuilds and
compares it. The triggers stop accidents of our own, not an attacker: they can be dropped.
"""

from dataclasses import dataclass
from typing import ClassVar

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Text,
    text,
)
from sqlmodel import Field, SQLModel

# SQLite's INTEGER has 64 bits; a STRICT table knows no BIGINT.
_INT = BigInteger().with_variant(Integer(), "sqlite")
# Nobody but this code gives an entry or an event its number.
_GIVEN = {"autoincrement": False}
# Text compares byte by byte on both; SQLite does so without being told.
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_STRICT = {"sqlite_strict": True}
_STRICT_WITHOUT_ROWID = {"sqlite_strict": True, "sqlite_with_rowid": False}


class EvidenceTable(SQLModel):
    """What the tables of `evidence.db` share: their own metadata."""

    metadata: ClassVar[MetaData] = MetaData()


class EntryTable(EvidenceTable, table=True):
    """One leaf of the log."""

    __tablename__ = "entry"
    __table_args__ = (CheckConstraint("idx >= 0"), _STRICT)

    idx: int = Field(primary_key=True, sa_type=_INT, sa_column_kwargs=_GIVEN)
    data: bytes = Field(sa_type=LargeBinary)


class EventTable(EvidenceTable, table=True):
    """One event of a capture statement; `data` alone can be erased."""

    __tablename__ = "event"
    __table_args__ = (
        CheckConstraint("eid >= 0"),
        CheckConstraint("length(commitment) = 32"),
        _STRICT,
    )

    eid: int = Field(primary_key=True, sa_type=_INT, sa_column_kwargs=_GIVEN)
    commitment: bytes = Field(sa_type=LargeBinary)
    data: bytes | None = Field(default=None, sa_type=LargeBinary)


class TileTable(EvidenceTable, table=True):
    """One full tile: 256 hashes of the tree at height 8 x level."""

    __tablename__ = "tile"
    __table_args__ = (CheckConstraint("length(data) = 8192"), _STRICT_WITHOUT_ROWID)

    level: int = Field(primary_key=True, sa_type=_INT)
    n: int = Field(primary_key=True, sa_type=_INT)
    data: bytes = Field(sa_type=LargeBinary)


class CheckpointTable(EvidenceTable, table=True):
    """One signed note as it was published."""

    __tablename__ = "checkpoint"
    __table_args__ = (CheckConstraint("size > 0"), _STRICT)

    size: int = Field(primary_key=True, sa_type=_INT, sa_column_kwargs=_GIVEN)
    note: bytes = Field(sa_type=LargeBinary)


class ChainTable(EvidenceTable, table=True):
    """The place that a statement took in the chain of its key."""

    __tablename__ = "chain"
    __table_args__ = (CheckConstraint("length(kid) = 32"), _STRICT_WITHOUT_ROWID)

    kid: bytes = Field(primary_key=True, sa_type=LargeBinary)
    epoch: int = Field(primary_key=True, sa_type=_INT)
    seq: int = Field(primary_key=True, sa_type=_INT)
    idx: int = Field(sa_type=_INT)


class KeyEntryTable(EvidenceTable, table=True):
    """An entry that is about a key; a rotation is about two."""

    __tablename__ = "key_entry"
    __table_args__ = (CheckConstraint("length(kid) = 32"), _STRICT_WITHOUT_ROWID)

    kid: bytes = Field(primary_key=True, sa_type=LargeBinary)
    idx: int = Field(primary_key=True, sa_type=_INT)


class NoticeTable(EvidenceTable, table=True):
    """An entry that gives notice of the erasure of an event: only then may its data go."""

    __tablename__ = "notice"
    __table_args__ = _STRICT_WITHOUT_ROWID

    eid: int = Field(primary_key=True, sa_type=_INT)
    idx: int = Field(primary_key=True, sa_type=_INT)


class DocumentTable(EvidenceTable, table=True):
    """A document as it was received, under its SHA-256; `data` alone can be erased."""

    __tablename__ = "document"
    __table_args__ = (CheckConstraint("length(sha256) = 32"), _STRICT_WITHOUT_ROWID)

    sha256: bytes = Field(primary_key=True, sa_type=LargeBinary)
    data: bytes | None = Field(default=None, sa_type=LargeBinary)


class SignedSchema(SQLModel):
    """What the tables of `signed.db` share: their own metadata."""

    metadata: ClassVar[MetaData] = MetaData()


class SignedTable(SignedSchema, table=True):
    """The one row of `signed.db`: the newest size and root that may have been signed."""

    __tablename__ = "signed"
    __table_args__ = (
        CheckConstraint("id = 1"),
        CheckConstraint("size >= 0"),
        CheckConstraint("length(root) = 32"),
        _STRICT,
    )

    id: int = Field(default=1, primary_key=True, sa_type=_INT)
    size: int = Field(sa_type=_INT)
    root: bytes = Field(sa_type=LargeBinary)


class IndexTable(SQLModel):
    """What the tables of `index.db` share: their own metadata."""

    metadata: ClassVar[MetaData] = MetaData()


class KeyTable(IndexTable, table=True):
    """A key that events name, under the integer that stands for it."""

    __tablename__ = "key"
    __table_args__ = _STRICT

    id: int | None = Field(default=None, primary_key=True, sa_type=_INT)
    text: str = Field(unique=True, sa_type=_TEXT)


class MentionTable(IndexTable, table=True):
    """One key named by one event in one role."""

    __tablename__ = "mention"
    __table_args__ = _STRICT_WITHOUT_ROWID

    key: int = Field(primary_key=True, sa_type=_INT)
    role: int = Field(primary_key=True, sa_type=_INT)
    event_time_us: int = Field(primary_key=True, sa_type=_INT)
    eid: int = Field(primary_key=True, sa_type=_INT)


class EventRowTable(IndexTable, table=True):
    """One event of the index: column for column a `projection.EventRow`."""

    __tablename__ = "event"
    __table_args__ = (
        Index(
            "event_by_transformation",
            "transformation_id",
            sqlite_where=text("transformation_id IS NOT NULL"),
            postgresql_where=text("transformation_id IS NOT NULL"),
        ),
        Index(
            "event_by_id",
            "event_id",
            sqlite_where=text("event_id IS NOT NULL"),
            postgresql_where=text("event_id IS NOT NULL"),
        ),
        # For event queries: each in the order in which their pages come.
        Index("event_by_time", "event_time_us", "eid"),
        Index("event_by_type", "type", "event_time_us", "eid"),
        Index("event_by_step", "biz_step", "event_time_us", "eid"),
        Index("event_by_disposition", "disposition", "event_time_us", "eid"),
        Index("event_by_read_point", "read_point"),
        Index("event_by_location", "biz_location"),
        _STRICT,
    )

    eid: int = Field(primary_key=True, sa_type=_INT, sa_column_kwargs=_GIVEN)
    commitment: bytes = Field(sa_type=LargeBinary)
    iss: str = Field(sa_type=_TEXT)
    grade: int = Field(sa_type=_INT)
    record_time_us: int = Field(sa_type=_INT)
    document: bytes = Field(sa_type=LargeBinary)
    content: bytes = Field(sa_type=LargeBinary)
    event_time_us: int = Field(sa_type=_INT)
    type: str = Field(sa_type=_TEXT)
    action: str | None = Field(default=None, sa_type=_TEXT)
    biz_step: str | None = Field(default=None, sa_type=_TEXT)
    disposition: str | None = Field(default=None, sa_type=_TEXT)
    read_point: str | None = Field(default=None, sa_type=_TEXT)
    biz_location: str | None = Field(default=None, sa_type=_TEXT)
    transformation_id: str | None = Field(default=None, sa_type=_TEXT)
    event_id: str | None = Field(default=None, sa_type=_TEXT)
    error_time_us: int | None = Field(default=None, sa_type=_INT)
    error_reason: str | None = Field(default=None, sa_type=_TEXT)
    withheld: int = Field(sa_type=_INT)
    facets: int = Field(sa_type=_INT)


class GapTable(IndexTable, table=True):
    """One gap statement: column for column an `admitted.GapRow`."""

    __tablename__ = "gap"
    __table_args__ = (Index("gap_by_site", "iss", "site", "scale", "from_us"), _STRICT)

    idx: int = Field(primary_key=True, sa_type=_INT, sa_column_kwargs=_GIVEN)
    iss: str = Field(sa_type=_TEXT)
    site: str = Field(sa_type=_TEXT)
    source: str = Field(sa_type=_TEXT)
    scale: int = Field(sa_type=_INT)
    what: int = Field(sa_type=_INT)
    from_us: int = Field(sa_type=_INT)
    to_us: int = Field(sa_type=_INT)
    count: int | None = Field(default=None, sa_type=_INT)
    why: str = Field(sa_type=_TEXT)


class MasterTable(IndexTable, table=True):
    """A captured document with master data, and the first entry that cites it."""

    __tablename__ = "master"
    __table_args__ = _STRICT_WITHOUT_ROWID

    document: bytes = Field(primary_key=True, sa_type=LargeBinary)
    idx: int = Field(sa_type=_INT)


class ProgressTable(IndexTable, table=True):
    """The one row that says how far the index has followed the log."""

    __tablename__ = "progress"
    __table_args__ = (CheckConstraint("id = 1"), _STRICT)

    id: int = Field(default=1, primary_key=True, sa_type=_INT, sa_column_kwargs=_GIVEN)
    next_idx: int = Field(sa_type=_INT)


class CaptureSchema(SQLModel):
    """What the tables of `capture.db` share: their own metadata."""

    metadata: ClassVar[MetaData] = MetaData()


class JobTable(CaptureSchema, table=True):
    """One document on its way; `data` is there until the job has ended."""

    __tablename__ = "job"
    __table_args__ = _STRICT

    id: int | None = Field(default=None, primary_key=True, sa_type=_INT)
    capture_id: str = Field(unique=True, sa_type=_TEXT)
    created_us: int = Field(sa_type=_INT)
    finished_us: int | None = Field(default=None, sa_type=_INT)
    behaviour: str = Field(sa_type=_TEXT)
    media: str = Field(sa_type=_TEXT)
    sha256: bytes = Field(sa_type=LargeBinary)
    data: bytes | None = Field(default=None, sa_type=LargeBinary)
    outcome: bytes | None = Field(default=None, sa_type=LargeBinary)


def _refuse(table: str, verb: str, condition: str = "1") -> str:
    """Return the SQLite trigger that aborts `verb` on `table` where `condition` holds."""
    return (
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"WHEN {condition} BEGIN SELECT RAISE(ABORT, '{table}: evidence is for ever'); END"
    )


_FROZEN = ("entry", "tile", "checkpoint", "chain", "key_entry", "notice")
_NOT_AN_ERASURE = (
    "NEW.data IS NOT NULL OR NEW.eid <> OLD.eid OR NEW.commitment <> OLD.commitment "
    "OR NOT EXISTS (SELECT 1 FROM notice WHERE notice.eid = OLD.eid)"
)
EVIDENCE_TRIGGERS = (
    *(_refuse(table, verb) for table in _FROZEN for verb in ("UPDATE", "DELETE")),
    _refuse("event", "UPDATE", _NOT_AN_ERASURE),
    _refuse("event", "DELETE"),
    _refuse("document", "UPDATE", "NEW.data IS NOT NULL OR NEW.sha256 <> OLD.sha256"),
    _refuse("document", "DELETE"),
)
SIGNED_TRIGGERS = (
    _refuse(
        "signed",
        "UPDATE",
        "NEW.size < OLD.size OR (NEW.size = OLD.size AND NEW.root <> OLD.root)",
    ),
    _refuse("signed", "DELETE"),
)


def create_evidence_tables(connection: Connection) -> None:
    """Create the tables and triggers of `evidence.db`; refused by SQL where they exist."""
    EvidenceTable.metadata.create_all(connection, checkfirst=False)
    for statement in EVIDENCE_TRIGGERS:
        connection.exec_driver_sql(statement)


def create_signed_tables(connection: Connection) -> None:
    """Create the table and triggers of `signed.db`; refused by SQL where they exist."""
    SignedSchema.metadata.create_all(connection, checkfirst=False)
    for statement in SIGNED_TRIGGERS:
        connection.exec_driver_sql(statement)


@dataclass(frozen=True, slots=True)
class Layout:
    """The tables of a database without guards, and the statements that fill them first."""

    metadata: MetaData
    first: tuple[str, ...] = ()

    def create(self, connection: Connection) -> None:
        """Create the tables on SQLite; refused by SQL where they exist."""
        self.metadata.create_all(connection, checkfirst=False)
        for statement in self.first:
            connection.exec_driver_sql(statement)


INDEX_LAYOUT = Layout(
    IndexTable.metadata, ("INSERT INTO progress (id, next_idx) VALUES (1, 0)",)
)
CAPTURE_LAYOUT = Layout(CaptureSchema.metadata)


def create_index_tables(connection: Connection) -> None:
    """Create the tables of `index.db`; refused by SQL where they exist."""
    INDEX_LAYOUT.create(connection)
