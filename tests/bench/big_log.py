"""Makes a big log fast: real keys, real signatures, rows put into the tables directly.

Every statement is signed and every commitment is right; what is left out is the sequencer's
judgement, one transaction a batch, and flushing. The same arguments make the same log.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from ledger.audit.trustfile import TRUST_NAME
from ledger.cose import encode_cbor, encode_sign1, signature_input
from ledger.disclosure import WholeEvent, commit_parts, encode_event, events_root
from ledger.entry import Entry, encode_entry, entry_leaf
from ledger.store.log import Log
from ledger.store.publish import Publisher
from ledger.tlog.merkle import Hash
from ledger.tlog.note import Ed25519Signer as NoteSigner
from ledger.tlog.tiles import TileEdge
from tests.ledger.store.parties import ORIGIN, START_US, Source, World, make_event, signer

ROWS_AT_ONCE = 4096
SUB = "tagtrail/capture/v1"


def build_big_log(folder: Path, *, entries: int, events: int = 1) -> Path:
    """Make a log of `entries`, each capture of `events` events, under one checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder).found()
    log = world.open()
    founding = int(log.size)
    edge = TileEdge.from_tiles(log.reader.fetch_tile, log.size)
    last = log.reader.load_entry(founding - 1)
    key_leaf = entry_leaf(last)
    log.close()
    parts = make_event("template", 1).parts
    with closing(sqlite3.connect(folder / "evidence.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        entry_rows, event_rows, chain_rows, tile_rows = [], [], [], []
        previous = key_leaf
        for n, (statement, statement_events) in enumerate(
            captures(world.gateway, entries - founding, events, parts)
        ):
            index = founding + n
            data = encode_entry(Entry(START_US + n * 1000, previous, key_leaf, statement))
            previous = entry_leaf(data)
            entry_rows.append((index, data))
            chain_rows.append((world.gateway.key.kid, 0, n, index))
            event_rows += [(index, at, *event) for at, event in enumerate(statement_events)]
            tile_rows += [(t.level, t.index, d) for t, d in edge.append(previous)]
            if len(entry_rows) == ROWS_AT_ONCE or index == entries - 1:
                many = connection.executemany
                many("INSERT INTO entry VALUES (?, ?)", entry_rows)
                many("INSERT INTO event VALUES (? << 17 | ?, ?, ?)", event_rows)
                many("INSERT INTO chain VALUES (?, ?, ?, ?)", chain_rows)
                many("INSERT INTO tile VALUES (?, ?, ?)", tile_rows)
                entry_rows, event_rows, chain_rows, tile_rows = [], [], [], []
        connection.execute("COMMIT")

    publish(folder, world)
    return folder


def captures(
    source: Source, count: int, events: int, parts: tuple[bytes | None, ...]
) -> Iterator[tuple[bytes, list[tuple[Hash, bytes]]]]:
    """Yield `count` signed captures, each with the commitment and bytes of its events."""
    protected = encode_cbor(
        {1: -8, 4: source.key.kid, 15: {1: source.iss, 2: SUB, 3: ORIGIN, 6: START_US // 10**6}}
    )
    previous = bytes(32)
    for seq in range(count):
        made = [make_one(parts, seq, at) for at in range(events)]
        root = events_root(commitment for commitment, _ in made)
        payload = encode_cbor([0, seq, previous, None, [2, events, root]])
        message = signature_input(protected, payload)
        previous = sha256(message).digest()
        yield encode_sign1(protected, payload, source.key.sign(message)), made


def make_one(parts: tuple[bytes | None, ...], seq: int, at: int) -> tuple[Hash, bytes]:
    """Return commitment and bytes of an event that no other is like.

    Identity, thing, time and what was received differ from event to event; what, where and
    why a gate does it does not.
    """
    number = seq * 1000 + at
    key = sha256(b"%012d" % number).digest()
    evidence = sha256(key).hexdigest().encode()
    own = (
        b'{"eventID":"urn:uuid:00000000-0000-8000-8000-%012d"}' % number,
        parts[1],
        b'{"action":"OBSERVE","epcList":["urn:epc:id:sgtin:9506000.013435.%d"]}' % number,
        b'{"eventTime":"2026-01-%02dT%02d:%02d:%02dZ","eventTimeZoneOffset":"+00:00"}'
        % (seq // 86400 % 28 + 1, seq // 3600 % 24, seq // 60 % 60, seq % 60),
        *parts[4:7],
        b'{"tagtrail:evidence":{"messages":%d,"root":"%b"}}' % (seq % 40 + 1, evidence),
    )
    return commit_parts(key, own), encode_event(WholeEvent(key, own))


def publish(folder: Path, world: World) -> None:
    """Sign a checkpoint over all of the log, and write whom to trust."""
    log_signer = NoteSigner(ORIGIN, signer("checkpoints"))
    log = Log(folder, ORIGIN, now_us=world.clock)
    publisher = Publisher(
        origin=ORIGIN,
        reader=log.reader,
        signed=log.signed,
        signers=[log_signer],
        store_checkpoint=log.store_checkpoint,
    )
    publisher.publish(*log.committed)
    entry0 = entry_leaf(log.reader.load_entry(0))
    log.close()
    (folder / TRUST_NAME).write_text(
        f'origin = "{ORIGIN}"\nentry0 = "{entry0.hex()}"\n'
        f'policy = """\nlog {log_signer.key}\nquorum none\n"""\n'
    )
