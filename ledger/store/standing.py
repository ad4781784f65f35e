"""Named queries and subscriptions, durable: `standing.db`. No evidence.

    query(name, definition, created_us)
    subscription(id, query, dest, token, schedule, …, place, until, …)

`place` is the row id from which on a subscriber has not acknowledged what it is sent; `until`
the end of the delivery that is under way, written before the first attempt, so that each
attempt sends the same events under the same id.

Who owns this database can read the tokens that sign deliveries, send a subscriber's events
elsewhere, skip and repeat them; no event changes by it. What survives a crash here: every
query and subscription that was answered, and every acknowledgement but those of the last
moment, after which a delivery is repeated under its id.
"""

import threading
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from sqlalchemy import Connection as OrmConnection

from ledger.store.dialect import Connection, Database
from ledger.store.sqlite import create_database, open_writer

STANDING_NAME = "standing.db"
QUERIES_MAX = 10_000
SUBSCRIPTIONS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """One named query; `definition` is the JSON of its `query` member."""

    name: str
    definition: bytes
    created_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One webhook subscription; times in microseconds, `schedule` JSON or None: a stream."""

    id: str
    query: str
    dest: str
    token: str | None
    schedule: str | None
    report_if_empty: int
    initial_us: int | None
    epc_format: str
    created_us: int
    last_notified_us: int | None
    min_record_us: int
    place: int
    until: int | None
    failures: int
    retry_us: int
    due_us: int | None
    """When the schedule runs next."""
    why: str | None
    """Why the last attempt failed."""


_COLUMNS = tuple(one.name for one in fields(Subscription))
_LIST = ", ".join(_COLUMNS)
_MARKS = ", ".join("?" * len(_COLUMNS))


class StandingQueries:
    """The queries and subscriptions of one ledger; any thread may ask and write."""

    def __init__(self, folder: Path) -> None:
        """Open `standing.db` in `folder`, made where it is missing."""
        path = folder / STANDING_NAME
        if not path.exists():
            create_database(path, _create)
            path.chmod(0o600)
        self._database: Database = open_writer(path)
        self._lock = threading.Lock()
        self._queries = {one.name: one for one in self._load_queries()}
        self._subscriptions = {one.id: one for one in self._load_subscriptions()}

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    # --- Queries ------------------------------------------------------------------------

    def list_queries(self) -> list[NamedQuery]:
        """Return every named query, in the order of their names."""
        with self._lock:
            return [self._queries[name] for name in sorted(self._queries)]

    def find_query(self, name: str) -> NamedQuery | None:
        """Return the query of that name, or None."""
        return self._queries.get(name)

    def store_query(self, query: NamedQuery) -> bool:
        """Keep a new query, durably; say whether its name was free."""
        with self._lock:
            if query.name in self._queries:
                return False
            with self._database.transaction() as connection:
                connection.execute("INSERT INTO query VALUES (?, ?, ?)", astuple(query))
            self._queries[query.name] = query
            return True

    def remove_query(self, name: str) -> bool:
        """Forget a query with its subscriptions, durably; say whether there was one."""
        with self._lock:
            if name not in self._queries:
                return False
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM subscription WHERE query = ?", (name,))
                connection.execute("DELETE FROM query WHERE name = ?", (name,))
            del self._queries[name]
            for one in list(self._subscriptions.values()):
                if one.query == name:
                    del self._subscriptions[one.id]
            return True

    # --- Subscriptions ------------------------------------------------------------------

    def list_subscriptions(self, query: str | None = None) -> list[Subscription]:
        """Return the subscriptions of a query, or all, the oldest first."""
        with self._lock:
            found = list(self._subscriptions.values())
        wanted = [one for one in found if query is None or one.query == query]
        return sorted(wanted, key=lambda one: (one.created_us, one.id))

    def find_subscription(self, query: str, subscription_id: str) -> Subscription | None:
        """Return one subscription of a query, or None."""
        found = self._subscriptions.get(subscription_id)
        return found if found is not None and found.query == query else None

    def store_subscription(self, one: Subscription) -> bool:
        """Keep a new subscription, durably; say whether its query is still there."""
        with self._lock:
            if one.query not in self._queries:
                return False
            with self._database.transaction() as connection:
                _insert(connection, one)
            self._subscriptions[one.id] = one
            return True

    def remove_subscription(self, query: str, subscription_id: str) -> bool:
        """Forget a subscription, durably; say whether there was one."""
        with self._lock:
            found = self._subscriptions.get(subscription_id)
            if found is None or found.query != query:
                return False
            with self._database.transaction() as connection:
                connection.execute("DELETE FROM subscription WHERE id = ?", (subscription_id,))
            del self._subscriptions[subscription_id]
            return True

    def update(self, changed: list[Subscription]) -> None:
        """Keep how far subscriptions are, durably; those that are gone stay gone."""
        with self._lock:
            known = [one for one in changed if one.id in self._subscriptions]
            if not known:
                return
            with self._database.transaction() as connection:
                for one in known:
                    connection.execute("DELETE FROM subscription WHERE id = ?", (one.id,))
                    _insert(connection, one)
            self._subscriptions.update((one.id, one) for one in known)

    def _load_queries(self) -> list[NamedQuery]:
        with self._database.lend() as connection:
            rows = connection.execute("SELECT name, definition, created_us FROM query")
            return [NamedQuery(*row) for row in rows.fetchall()]

    def _load_subscriptions(self) -> list[Subscription]:
        with self._database.lend() as connection:
            rows = connection.execute(f"SELECT {_LIST} FROM subscription").fetchall()  # noqa: S608 - our own names
        return [Subscription(**dict(zip(_COLUMNS, row, strict=True))) for row in rows]


def _insert(connection: Connection, one: Subscription) -> None:
    connection.execute(
        f"INSERT INTO subscription ({_LIST}) VALUES ({_MARKS})",  # noqa: S608 - our own names
        astuple(one),
    )


_TABLES = (
    """CREATE TABLE query (
        name TEXT PRIMARY KEY, definition BLOB NOT NULL, created_us INTEGER NOT NULL
    ) STRICT""",
    """CREATE TABLE subscription (
        id TEXT PRIMARY KEY, query TEXT NOT NULL, dest TEXT NOT NULL, token TEXT,
        schedule TEXT, report_if_empty INTEGER NOT NULL, initial_us INTEGER,
        epc_format TEXT NOT NULL, created_us INTEGER NOT NULL, last_notified_us INTEGER,
        min_record_us INTEGER NOT NULL, place INTEGER NOT NULL, until INTEGER,
        failures INTEGER NOT NULL, retry_us INTEGER NOT NULL, due_us INTEGER, why TEXT
    ) STRICT""",
)


def _create(connection: OrmConnection) -> None:
    for statement in _TABLES:
        connection.exec_driver_sql(statement)
