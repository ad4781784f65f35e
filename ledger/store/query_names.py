"""Which types, steps, dispositions, places and things the events of the index name.

Values of a column are found by jumping along its index from one to the next, so that the cost
grows with the values, not with the events; things in the order of their keys. What only erased
events name is not listed, even before the index has followed the log to the notice.
"""

from ledger.errors import ParseError
from ledger.gs1.epc import parse_epc
from ledger.projection import (
    ASSOCIATED_CHILD,
    ASSOCIATED_PARENT,
    CHILD,
    EPC,
    INPUT,
    OUTPUT,
    PARENT,
    POSITION_BITS,
    UNREADABLE,
)
from ledger.store.database import EVIDENCE, INDEX, Where, open_reader
from ledger.store.index import role_numbers

_THING_ROLES = (EPC, PARENT, CHILD, ASSOCIATED_PARENT, ASSOCIATED_CHILD, INPUT, OUTPUT)
_COLUMNS = frozenset({"type", "biz_step", "disposition", "read_point", "biz_location"})
KEYS_LOOKED_AT_MAX = 5_000
"""How many keys one statement looks at."""


class NameReader:
    """Lists what events name; any number of threads may ask at once."""

    def __init__(self, where: Where) -> None:
        """Read index and evidence of the ledger at `where`; raise `StorageError` without."""
        self._index = open_reader(where, INDEX)
        self._evidence = open_reader(where, EVIDENCE)

    def close(self) -> None:
        """Close every connection."""
        self._index.close()
        self._evidence.close()

    def knows(self, column: str | None, text: str) -> bool:
        """Say whether an event that is kept has `text` in `column`, or names the thing."""
        if column is None:
            named = self._things(text, 1, from_inclusive=True)
            return named[:1] == [text]
        return text not in ("", UNREADABLE) and self._is_kept(column, text)

    def list_names(self, column: str | None, after: str, limit: int) -> list[str]:
        """Return at most `limit` values of `column`, or things (None), past `after`."""
        if column is None:
            return self._things(after, limit, from_inclusive=False)
        assert column in _COLUMNS
        found: list[str] = []
        while len(found) < limit:
            with self._index.lend() as connection:
                row = connection.execute(
                    f"SELECT {column} FROM event WHERE {column} > ? ORDER BY {column} LIMIT 1",  # noqa: S608 - a column of ours
                    (after,),
                ).fetchone()
            if row is None:
                break
            after = row[0]
            if after != UNREADABLE and self._is_kept(column, after):
                found.append(after)
        return found

    def _is_kept(self, column: str, text: str) -> bool:
        """Say whether one of the events with that value was not erased."""
        assert column in _COLUMNS
        pending = self._pending()
        sql = f"SELECT eid FROM event WHERE {column} = ? LIMIT ?"  # noqa: S608 - a column of ours
        with self._index.lend() as connection:
            rows = connection.execute(sql, (text, len(pending) + 1)).fetchall()
        return any(row[0] not in pending for row in rows)

    def _things(self, after: str, limit: int, *, from_inclusive: bool) -> list[str]:
        pending = self._pending()
        roles = role_numbers(_THING_ROLES)
        hidden = f"AND mention.eid NOT IN ({', '.join('?' * len(pending))})" if pending else ""
        marks = ", ".join("?" * len(roles))
        sign = ">=" if from_inclusive else ">"
        sql = (
            "SELECT text FROM key WHERE text {sign} ? AND EXISTS "  # noqa: S608 - question marks alone
            "(SELECT 1 FROM mention WHERE mention.key = key.id "
            f"AND mention.role IN ({marks}) {hidden}) ORDER BY text LIMIT ?"
        )
        found: list[str] = []
        while len(found) < limit:
            count = min(max(limit - len(found), 1), KEYS_LOOKED_AT_MAX)
            with self._index.lend() as connection:
                rows = connection.execute(
                    sql.format(sign=sign), (after, *roles, *pending, count)
                ).fetchall()
            found += [row[0] for row in rows if not _is_class(row[0])]
            if len(rows) < count:
                break
            after, sign = rows[-1][0], ">"
        return found[:limit]

    def _pending(self) -> list[int]:
        """Return the events of which the index does not know yet that they are erased."""
        with self._index.lend() as connection:
            (next_index,) = connection.execute("SELECT next_idx FROM progress").fetchone()
        with self._evidence.lend() as connection:
            rows = connection.execute(
                "SELECT DISTINCT eid FROM notice WHERE idx >= ? AND eid < ?",
                (next_index, next_index << POSITION_BITS),
            ).fetchall()
        return [row[0] for row in rows]


def _is_class(key: str) -> bool:
    """Say whether a key names a class: the association of a class has the same role."""
    try:
        return parse_epc(key).is_class
    except ParseError:
        return False
