"""Follows other logs: their checkpoints become anchor statements of this one.

    DIR/follow.toml
        [[log]]
        url = "https://partner.example"
        vkey = "partner.example/log+33d7b496+AeHTu4Q3…"
        every_s = 3600

An anchor says, in the log's own name: at this index I have seen that checkpoint, and it
extends the one anchored before. So a partner that rewrites its history contradicts what
stands in ours, and ours cannot be dated back past theirs.

A log that shows a smaller size is not anchored. One that shows another root, or tiles that
lead to another root at the anchored size, has told two stories: `fork-<origin hash>.json`
in the ledger's folder holds the two notes.
"""

import logging
import os
import threading
import time
import tomllib
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ledger.audit.fork import ForkProof, format_fork, make_fork
from ledger.audit.trustfile import Trust
from ledger.client.foreignlog import ForeignLog
from ledger.client.http import parse_ledger_url
from ledger.errors import ParseError, RefusedError, TagtrailError
from ledger.statement import Anchor
from ledger.store.dialect import StorageError
from ledger.store.log import Log
from ledger.tlog.merkle import HASH_SIZE, Hash, TreeSize, root_from
from ledger.tlog.note import ED25519, VerifierKey, format_vkey, parse_vkey
from ledger.tlog.policy import parse_policy

FOLLOW_NAME = "follow.toml"
FOLLOW_BYTES_MAX = 1_000_000
EVERY_S = 3600
EVERY_S_LEAST = 1
EVERY_S_MOST = 30 * 86_400
LOGS_MAX = 128
STOP_WAIT_S = 5.0
_KEYS = {"url", "vkey", "every_s"}

_log = logging.getLogger("tagtrail.follow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A log that is followed: where it is, its key, and how often it is asked, in seconds."""

    url: str
    key: VerifierKey
    every_s: int = EVERY_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """A checkpoint of another log; `index` is the entry that anchors it, None if no news."""

    origin: str
    size: int
    index: int | None


def load_followed(folder: Path) -> list[Followed]:
    """Return the logs that the ledger in `folder` follows, or raise `ParseError`."""
    path = folder / FOLLOW_NAME
    if not path.exists():
        return []
    data = path.read_bytes()
    if len(data) > FOLLOW_BYTES_MAX:
        raise ParseError(FOLLOW_NAME, f"is longer than {FOLLOW_BYTES_MAX} bytes")
    try:
        table = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise ParseError(FOLLOW_NAME, f"is not TOML: {error}") from error
    logs = table.get("log", [])
    if set(table) - {"log"} or not isinstance(logs, list) or len(logs) > LOGS_MAX:
        raise ParseError(FOLLOW_NAME, f"holds anything but up to {LOGS_MAX} tables [[log]]")
    found = [_parse_log(number, one) for number, one in enumerate(logs, start=1)]
    names = [one.key.name for one in found]
    if len(set(names)) < len(names):
        raise ParseError(FOLLOW_NAME, "names one log twice")
    return found


def follow_log(folder: Path, url: str, vkey: str, every_s: int = EVERY_S) -> Followed:
    """Write into `follow.toml` that a log is followed; return it.

    Raises `ParseError` for what that file could not hold, or a log that is in it already.
    """
    one = _parse_log(0, {"url": url, "vkey": vkey, "every_s": every_s})
    logs = load_followed(folder)
    if any(other.key.name == one.key.name for other in logs):
        raise ParseError(one.key.name, f"is followed already: see {folder / FOLLOW_NAME}")
    text = "".join(
        f'[[log]]\nurl = "{log.url}"\nvkey = "{format_vkey(log.key)}"\n'
        f"every_s = {log.every_s}\n\n"
        for log in (*logs, one)
    )
    draft = folder / (FOLLOW_NAME + ".new")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, folder / FOLLOW_NAME)  # noqa: PTH105 - whole or not at all
    return one


def anchor(log: Log, followed: Followed, folder: Path) -> Anchored:
    """Anchor the newest checkpoint of a followed log in `log`, where it is news.

    Raises `RefusedError` with check `shrunk` or `forked` where the other log contradicts what
    is anchored; the proof of a fork goes into `folder`. Otherwise what `ForeignLog` raises.
    """
    with ForeignLog(followed.url, followed.key) as other:
        signed, note = other.fetch_checkpoint()
        new, origin = signed.checkpoint, followed.key.name
        old = log.state.anchors.get(origin)
        if new.size == 0 or (old is not None and (old.size, old.root) == (new.size, new.root)):
            return Anchored(origin=origin, size=new.size, index=None)
        proof: tuple[Hash, ...] = ()
        if old is not None:
            if new.size < old.size:
                raise RefusedError(
                    "shrunk", f"{origin} shows size {new.size}, size {old.size} is anchored"
                )
            tree = other.tree(new.size)
            root = new.root
            if new.size > old.size:
                proof = tree.prove_consistency(TreeSize(old.size))
                root = root_from(tree.node, TreeSize(old.size))
            if root != old.root:
                fork = ForkProof(
                    old=_anchored_note(log, origin), new=note, root=root, proof=proof
                )
                kept = _keep_fork(fork, followed, folder)
                raise RefusedError("forked", f"{origin} has another root at {old.size}{kept}")
    receipt = log.say(Anchor(format_vkey(followed.key), note, proof))
    return Anchored(origin=origin, size=new.size, index=receipt.index)


class Follower:
    """Anchors every followed log when it is time, on a thread of its own."""

    def __init__(self, log: Log, folder: Path, *, look_every_s: float = 5.0) -> None:
        """Start; `follow.toml` in `folder` is read anew whenever it changes."""
        self._target = log
        self._folder = folder
        self._look_every_s = look_every_s
        self._due: dict[str, float] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="anchor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop after the log that is being asked."""
        self._stop.set()
        self._thread.join(STOP_WAIT_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                for one in load_followed(self._folder):
                    self._anchor_if_due(one)
            except (ParseError, OSError) as error:
                _log.error("nobody is followed: %s", error)
            self._stop.wait(self._look_every_s)

    def _anchor_if_due(self, one: Followed) -> None:
        name = one.key.name
        if self._stop.is_set() or time.monotonic() < self._due.get(name, 0.0):
            return
        self._due[name] = time.monotonic() + one.every_s
        try:
            done = anchor(self._target, one, self._folder)
        except StorageError:
            _log.critical("the log takes no anchors any more")
            self._stop.set()
        except RefusedError as error:
            _log.critical("%s contradicts what is anchored: %s", name, error)
        except TagtrailError as error:
            _log.warning("%s is not anchored: %s", name, error)
        else:
            if done.index is not None:
                _log.info("entry %d anchors size %d of %s", done.index, done.size, name)


def _parse_log(number: int, table: object) -> Followed:
    where = f"{FOLLOW_NAME}: log {number}" if number else "log"
    if not isinstance(table, dict) or set(table) - _KEYS or {"url", "vkey"} - set(table):
        raise ParseError(where, "wants url and vkey, and may have every_s")
    url, vkey, every_s = table["url"], table["vkey"], table.get("every_s", EVERY_S)
    if not isinstance(url, str) or not isinstance(vkey, str):
        raise ParseError(where, "url and vkey are texts")
    if type(every_s) is not int or not EVERY_S_LEAST <= every_s <= EVERY_S_MOST:
        raise ParseError(where, f"every_s is not from {EVERY_S_LEAST} to {EVERY_S_MOST}")
    key = parse_vkey(vkey)
    if key.kind != ED25519:
        raise ParseError(where, "an anchor holds an Ed25519 key of a log (type 0x01)")
    return Followed(url=parse_ledger_url(url), key=key, every_s=every_s)


def _anchored_note(log: Log, origin: str) -> bytes:
    """Return the note of the newest anchor of `origin`, which `log` has."""
    kids = [record.kid for record in log.keys().values() if record.role == "log"]
    indexes = sorted(index for kid in kids for index in log.reader.load_chain_indexes(kid))
    for index in reversed(indexes):
        body = log.statement_at(index).body
        if isinstance(body, Anchor) and parse_vkey(body.vkey).name == origin:
            return body.note
    raise AssertionError(f"{origin} is anchored, and no entry anchors it")


def _keep_fork(fork: ForkProof, followed: Followed, folder: Path) -> str:
    """Write `fork` if it convicts the followed log; return what to say about that."""
    name = followed.key.name
    policy = parse_policy(f"log {format_vkey(followed.key)}\nquorum none\n")
    trust = Trust(origin=name, entry0=Hash(bytes(HASH_SIZE)), policy=policy)
    made = make_fork(fork.old, fork.new, root=fork.root, proof=fork.proof, trust=trust)
    if made is None:
        return "; its tiles do not lead to the root that it signed"
    path = folder / f"fork-{sha256(name.encode()).hexdigest()[:16]}.json"
    path.write_bytes(format_fork(made))
    return f"; {path} proves it"
