"""Moves the rows of a ledger from the database where they are into another one.

    files of the folder ⇄ PostgreSQL, or one PostgreSQL database to another

The folder stays what it is: keys, `trust.toml` and `signed.db` do not move. Nobody else may
write meanwhile: the lock of the folder and that of the old database are held.

What survives a crash here: until the last step the folder names the old database, and all of
the ledger is there. The copy goes on where it was when the same move is asked for again. The
last step is one rename; afterwards the old rows are left under names that nothing opens
(`evidence.db.moved`, `database.toml.moved`), for whoever moved them to delete.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import RefusedError
from ledger.store import sqlite
from ledger.store.copying import Advance, Copying
from ledger.store.database import (
    CAPTURE,
    DATABASE_TOML,
    EVIDENCE,
    INDEX,
    Home,
    create_evidence,
    home_of,
    make_again,
    open_evidence,
    open_reader,
    open_writer,
    parse_database_toml,
    version_of,
)
from ledger.store.dialect import Database
from ledger.store.erasure import erase_noticed
from ledger.store.evidence import EvidenceReader
from ledger.store.lock import FolderLock
from ledger.store.publish import check_not_rolled_back
from ledger.store.schema import CAPTURE_LAYOUT
from ledger.store.signed import SignedStore

PENDING_TOML = "database.toml.new"
DRAFT_NAME = "copy.new"
_JOB = "id, capture_id, created_us, finished_us, behaviour, media, sha256, data, outcome"
_JOBS_RUN_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Which ledger, and where its rows go: the URL of a database as its owner, or files."""

    folder: Path
    origin: str
    url: str | None
    role: str = ""


def move_ledger(
    move: Move, *, now_us: int, progress: Callable[[int, int], Advance]
) -> tuple[int, Home]:
    """Move the rows; return how many entries they are, and where the ledger is now.

    `progress` is told how many entries are copied already and how many there are, and
    returns what is told how far it is. Raises `RefusedError` with check `exists` where the
    rows are there already or the target holds something else, `VerificationError` where
    what is to be moved is not what was signed.
    """
    folder = move.folder
    old = home_of(folder)
    with ExitStack() as stack:
        stack.callback(FolderLock(folder, now_us=now_us).release)
        source = stack.enter_context(_closing(open_evidence(old)))
        erase_noticed(source)
        new, owner = _prepare(move, old)
        target = stack.enter_context(_closing(open_writer(owner, EVIDENCE)))
        signed = SignedStore(folder)
        stack.callback(signed.close)
        copying = Copying(source, target, move.origin)
        copying.run(progress(copying.done, copying.size))
        check_not_rolled_back(EvidenceReader(target), signed)
        _copy_jobs(old, new)
    _switch(folder, new)
    return copying.size, home_of(folder)


def _prepare(move: Move, old: Home) -> tuple[Home, Home]:
    """Make the tables of the target, or find those of a move that was cut off.

    Return where the ledger will be, and the same as whoever may write evidence there.
    """
    folder = move.folder
    if move.url is None:
        if old.url is None:
            raise RefusedError("exists", f"the rows of {folder} are files already")
        draft = folder / DRAFT_NAME
        draft.mkdir(exist_ok=True)
        new = Home(draft)
        if not new.file(EVIDENCE).exists():
            create_evidence(draft, None, "")
        return new, new
    pending = folder / PENDING_TOML
    if not pending.exists():
        create_evidence(folder, move.url, move.role, toml=PENDING_TOML)
    new = Home(folder, parse_database_toml(pending))
    if _place_of(new.url) != _place_of(move.url):
        raise RefusedError("exists", f"{pending} tells of a copy to another database")
    return new, Home(folder, move.url)


def _place_of(url: str | None) -> str:
    """Return the part of a URL that says which database it is."""
    return (url or "").partition("://")[2].rpartition("@")[2].partition("?")[0]


def _copy_jobs(old: Home, new: Home) -> None:
    """Copy the documents on their way; the target's are made anew each time."""
    if version_of(old, CAPTURE) is None:
        return
    make_again(new, CAPTURE, CAPTURE_LAYOUT, 0)
    with (
        _closing(open_reader(old, CAPTURE)) as source,
        _closing(open_writer(new, CAPTURE)) as target,
        target.transaction() as connection,
    ):
        last = 0
        for rows in _jobs(source):
            target.insert(connection, f"job ({_JOB})", rows)
            last = rows[-1][0]
        target.number_on(connection, "job", last)


def _jobs(source: Database) -> Iterator[list[tuple[int, *tuple[object, ...]]]]:
    last = 0
    while True:
        with source.lend() as connection:
            rows = connection.execute(
                f"SELECT {_JOB} FROM job WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608 - our own names
                (last, _JOBS_RUN_MAX),
            ).fetchall()
        if not rows:
            return
        last = rows[-1][0]
        yield rows


def _switch(folder: Path, new: Home) -> None:
    """Let the folder name the new database; before the first rename nothing has changed."""
    toml = folder / DATABASE_TOML
    if new.url is not None:
        (folder / PENDING_TOML).rename(toml)
        for name in (EVIDENCE, CAPTURE):
            path = Home(folder).file(name)
            if path.exists():
                path.rename(path.with_name(path.name + ".moved"))
        sqlite.remove(Home(folder).file(INDEX))
        return
    for name in (CAPTURE, EVIDENCE):
        path = new.file(name)
        if path.exists():
            path.rename(Home(folder).file(name))
    toml.rename(toml.with_name(toml.name + ".moved"))
    new.folder.rmdir()


@contextmanager
def _closing(database: Database) -> Iterator[Database]:
    try:
        yield database
    finally:
        database.close()
