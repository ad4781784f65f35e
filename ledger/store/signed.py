"""Holds the newest size and root that the log may have signed: `signed.db`.

The compare-and-swap of FORMATS section 4: before a checkpoint is signed, its size and root
are recorded here, durably, and only if the record still says what the signer last saw.
Sizes never fall and one size has one root, so a log put back from a backup, or two servers
on copies of one log, cannot sign a second history.

Who owns this file can make the log refuse to start, or (together with the evidence
database) let it sign a fork, which witnesses and every holder of a bundle then catch.
"""

from pathlib import Path

from sqlalchemy import Connection

from ledger.errors import RefusedError
from ledger.store.dialect import StorageError
from ledger.store.schema import create_signed_tables
from ledger.store.sqlite import create_database, open_writer
from ledger.tlog.merkle import EMPTY_ROOT, Hash, TreeSize, parse_hash

SIGNED_NAME = "signed.db"


def create_signed(folder: Path) -> None:
    """Create `signed.db` for a log that has signed nothing yet."""

    def create(connection: Connection) -> None:
        create_signed_tables(connection)
        connection.exec_driver_sql(
            "INSERT INTO signed (id, size, root) VALUES (1, 0, ?)", (EMPTY_ROOT,)
        )

    create_database(folder / SIGNED_NAME, create)


class SignedStore:
    """The one record of what was signed; one process has it open to write."""

    def __init__(self, folder: Path) -> None:
        """Open `signed.db`; raise `StorageError` if there is none or it holds no record."""
        self._database = open_writer(folder / SIGNED_NAME)
        self.load()

    def load(self) -> tuple[TreeSize, Hash]:
        """Return the newest size and root that may have been signed."""
        with self._database.lend() as connection:
            row = connection.execute("SELECT size, root FROM signed WHERE id = 1").fetchone()
        if row is None:
            raise StorageError(f"{SIGNED_NAME} holds no record")
        return TreeSize(row[0]), parse_hash(row[1])

    def swap(self, old: tuple[TreeSize, Hash], new: tuple[TreeSize, Hash]) -> None:
        """Record `new` if the record is still `old`; else raise `RefusedError`.

        When this returns, `new` is on the disk. If it is cut off by a crash, the record
        may be either; both are safe, because nothing is signed before this returns and
        the same size and root may be signed again.
        """
        if new[0] < old[0] or (new[0] == old[0] and new[1] != old[1]):
            raise RefusedError("signed", f"size {new[0]} cannot follow what was signed")
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE signed SET size = ?, root = ? WHERE id = 1 AND size = ? AND root = ?",
                (*new, *old),
            ).rowcount
            if changed != 1:
                raise RefusedError("signed", f"{SIGNED_NAME} was changed by another process")

    def close(self) -> None:
        """Close the database."""
        self._database.close()
