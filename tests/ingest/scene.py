"""What the gateway's tests share: messages, a plan, a gateway's folder, a ledger over HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cbor2

from ingest.drafts import Event, Outcome
from ingest.plan import Plan
from ingest.planfile import parse_plan
from ingest.reads import Message, message_hash
from ingest.settings import Settings, load_settings
from ingest.site import Site
from ledger.client.http import PROBLEM_BASE
from ledger.cose import Ed25519Signer
from ledger.disclosure import decode_submission, shown_parts, verify_events
from ledger.entry import encode_entry, next_entry
from ledger.epcis.event import join_parts
from ledger.keyfile import SCRYPT_N_LEAST, create_keyfile
from ledger.statement import NO_HASH, Capture, Statement, parse_statement, verify_signature
from ledger.tlog.checkpoint import Checkpoint, parse_signed_checkpoint, sign_checkpoint
from ledger.tlog.merkle import (
    Hash,
    LeafIndex,
    TreeSize,
    leaf_hash,
    node_hash,
    prove_inclusion_from,
    root_from,
)
from ledger.tlog.note import Ed25519Signer as NoteSigner
from ledger.tlog.note import format_vkey
from ledger.tlog.proof import TlogProof, format_tlog_proof

ORIGIN = "tagtrail.example/test"
DAIRY = "https://id.gs1.org/417/9506000134352"
FARM = "https://id.gs1.org/417/9506000134369"
PASSPHRASE = b"for tests only"
SECRET = bytes(range(32))
LOG_KEY = NoteSigner(ORIGIN, Ed25519Signer(sha256(b"log").digest()))
LOG_VKEY = format_vkey(LOG_KEY.key)
T0_S = 1_767_600_000  # 2026-01-05T08:00:00Z
T0 = T0_S * 1_000_000

HEAD = f"""plan = "tagtrail/plan/v1"
name = "test"
[[party]]
id = "{DAIRY}"
name = "Alm Dairy"
prefixes = ["9506000"]
[[party]]
id = "{FARM}"
name = "Upper Farm"
prefixes = ["9506000"]
"""
STATION = f"""[[station]]
name = "gate"
party = "{DAIRY}"
topics = ["gate/#"]
read_point = "urn:epc:id:sgln:9506000.00001.gate"
biz_location = "urn:epc:id:sgln:9506000.00001.0"
gap_ms = 3000
idle_s = 5
"""
OBSERVE = """[[station.emit]]
event = "object"
action = "OBSERVE"
biz_step = "shipping"
disposition = "in_transit"
"""


def plan_of(*blocks: str) -> Plan:
    return parse_plan(HEAD + "".join(blocks))


def hex_of(n: int) -> str:
    """Return the memory of the SGTIN-96 9506000.013435 with serial number `n`."""
    return f"{0x30 << 88 | 1 << 85 | 5 << 82 | 9506000 << 58 | 13435 << 38 | n:024X}"


def sgtin(n: int) -> str:
    return f"urn:epc:id:sgtin:9506000.013435.{n}"


def read_payload(n: int, second: float, **fields: object) -> bytes:
    """Return a generic reader's payload: tag `n`, `second` after T0."""
    return json.dumps({"epc": hex_of(n), "timestamp": T0_S + second, **fields}).encode()


def message(
    payload: bytes | dict[str, object], topic: str = "gate/r", number: int = 1, at: int = T0
) -> Message:
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Message(
        id=number, topic=topic, payload=data, received_us=at, sha256=message_hash(topic, data)
    )


def run_site(plan: Plan, messages: list[Message]) -> tuple[Site, Outcome]:
    """Feed `messages` to a fresh site and return it with what came of them."""
    site, outcome = Site(plan), Outcome(secret=SECRET)
    for one in messages:
        site.take_message(one, outcome)
    return site, outcome


def events_of(outcome: Outcome) -> list[Event]:
    return [event for draft in outcome.drafts for event in draft.events]


def make_folder(folder: Path, *parties: str) -> Settings:
    """Make a gateway's folder with a key for each party, and return its settings."""
    (folder / "keys").mkdir(parents=True)
    (folder / "passphrase").write_bytes(PASSPHRASE + b"\n")
    (folder / "passphrase").chmod(0o600)
    lines = [f'origin = "{ORIGIN}"', 'passphrase_file = "passphrase"']
    lines.append(f'log = "{LOG_VKEY}"')
    for n, party in enumerate(parties or (DAIRY,)):
        create_keyfile(
            folder / "keys" / f"{n}.key",
            passphrase=PASSPHRASE,
            iss=party,
            role="gateway",
            n=SCRYPT_N_LEAST,
        )
        lines += ["[[key]]", f'party = "{party}"', f'file = "keys/{n}.key"']
    (folder / "gateway.toml").write_text("\n".join(lines) + "\n")
    return load_settings(folder)


class Ledger(ThreadingHTTPServer):
    """A ledger that keeps what it takes: commitments, chains and known ids are judged.

    It signs checkpoints and proves its entries as a log does. `unpublished` keeps them back.

    `keys` are the public keys it knows by kid (all if empty); `down` makes it answer 503,
    `answer` with that status and body; `page` is in place of receipts. It takes nothing before
    `slow` is set. `records` are what it says of keys, `clock_off_s` is how far off its clock.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.statements: list[Statement] = []
        self.events: list[Event] = []
        self.keys: dict[bytes, bytes] = {}
        self.refuse: set[bytes] = set()
        self.down = False
        self.answer: tuple[int, bytes] | None = None
        self.page = b""
        self.records: list[dict[str, object]] | None = None
        self.clock_off_s = 0
        self.epochs: dict[bytes, int] = {}
        self.slow = threading.Event()
        self.slow.set()
        self.repeats = 0
        self.writing = threading.Lock()
        self.note: bytes | None = None
        self.entries: list[bytes] = []
        self.unpublished = False
        self._nodes: dict[tuple[int, int], Hash] = {}
        self._indexes: dict[bytes, int] = {}
        self._newest: dict[bytes, tuple[int, bytes]] = {}

    def node_at(self, level: int, index: int) -> Hash:
        found = self._nodes.get((level, index))
        if found is None:
            if level == 0:
                found = leaf_hash(self.entries[index])
            else:
                found = node_hash(
                    self.node_at(level - 1, 2 * index), self.node_at(level - 1, 2 * index + 1)
                )
            self._nodes[level, index] = found
        return found

    def restart_empty(self) -> None:
        """Forget all: what a ledger is like whose disk was lost."""
        for held in (self.entries, self.statements, self.events):
            held.clear()
        for known in (self._nodes, self._indexes, self._newest):
            known.clear()

    def open_epoch(self, kid: bytes) -> None:
        """Close the chain of a key, and open its next epoch."""
        self.epochs[kid] = self.epochs.get(kid, 0) + 1
        self._newest.pop(kid, None)
        self.refuse.discard(kid)

    def checkpoint(self) -> bytes | None:
        if self.note is not None or not self.entries:
            return self.note
        size = TreeSize(len(self.entries))
        root = root_from(self.node_at, size)
        return sign_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=root), [LOG_KEY])

    def proof(self, index: int) -> bytes:
        size = TreeSize(len(self.entries))
        root = root_from(self.node_at, size)
        note = sign_checkpoint(Checkpoint(origin=ORIGIN, size=size, root=root), [LOG_KEY])
        return format_tlog_proof(
            TlogProof(
                index=LeafIndex(index),
                path=prove_inclusion_from(self.node_at, LeafIndex(index), size),
                signed=parse_signed_checkpoint(note),
                extra=self.entries[index],
            )
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def take(self, data: bytes) -> dict[str, object]:
        submission = decode_submission(data)
        statement = parse_statement(submission.statement)
        known = self._indexes.get(statement.id)
        if known is not None:
            self.repeats += 1
            return {"index": known, "statement_id": statement.id.hex(), "known": True}
        if statement.kid in self.refuse:
            return {"problem": _problem("authority", "key")}
        if statement.epoch != self.epochs.get(statement.kid, 0):
            return {"problem": _problem("authority", "epoch")}
        if statement.kid in self.keys:
            verify_signature(statement, self.keys[statement.kid])
        if (statement.seq, statement.prev) != self._newest.get(statement.kid, (0, NO_HASH)):
            return {"problem": _problem("authority", "seq")}
        body = statement.body
        if isinstance(body, Capture):
            verify_events(submission.events, count=body.count, root=body.root)
        else:
            assert not submission.events
        self.statements.append(statement)
        self.events += [join_parts(shown_parts(one)) for one in submission.events]
        index = len(self.statements) - 1
        self._newest[statement.kid] = (statement.seq + 1, statement.id)
        self._indexes[statement.id] = index
        entry = next_entry(
            now_us=T0,
            last_time_us=0,
            prev_leaf_hash=leaf_hash(self.entries[-1]) if self.entries else NO_HASH,
            key_leaf_hash=NO_HASH,
            statement=statement.raw,
        )
        self.entries.append(encode_entry(entry))
        return {"index": index, "statement_id": statement.id.hex(), "known": False}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Ledger

    def do_POST(self) -> None:
        batch = cbor2.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.slow.wait(60)
        if self.server.answer is not None:
            self._reply(*self.server.answer)
            return
        if self.server.down:
            self._reply(503, b"")
            return
        with self.server.writing:
            results = [self.server.take(one) for one in batch]
        self._reply(200, json.dumps({"results": results}).encode())

    def do_GET(self) -> None:
        if self.server.page and self.path.startswith("/log/proof/"):
            self._reply(200, self.server.page)
            return
        if self.path == "/keys" and self.server.records is not None:
            self._reply(200, json.dumps({"keys": self.server.records}).encode())
            return
        with self.server.writing:
            index = self.path.removeprefix("/log/proof/")
            if index.isdigit() and int(index) >= len(self.server.entries):
                problem = {"type": PROBLEM_BASE + "not-found", "status": 404, "detail": "no"}
                self._reply(404, json.dumps(problem).encode())
                return
            found = self._find()
        self._reply(503 if found is None else 200, found or b"")

    def _find(self) -> bytes | None:
        if self.server.down or self.server.unpublished:
            return None
        if self.path.startswith("/log/proof/"):
            return self.server.proof(int(self.path.rpartition("/")[2]))
        return self.server.checkpoint() if self.path == "/checkpoint" else None

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def date_time_string(self, timestamp: float | None = None) -> str:
        at = time.time() if timestamp is None else timestamp
        return super().date_time_string(at + self.server.clock_off_s)

    def handle(self) -> None:
        with suppress(ConnectionError):  # a gateway that was killed
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


def _problem(slug: str, check: str) -> dict[str, object]:
    return {"type": PROBLEM_BASE + slug, "status": 403, "check": check, "detail": "no"}


@contextmanager
def serving() -> Iterator[Ledger]:
    """Serve a ledger on loopback."""
    with Ledger() as ledger:
        thread = threading.Thread(target=ledger.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield ledger
        finally:
            ledger.shutdown()
            thread.join()
