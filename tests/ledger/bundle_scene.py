"""Bundles of a log in memory, made without the store, so that any lie can be put in."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

from ledger.audit.bundle import known_events
from ledger.audit.bundle_answer import Asked, encode_answer, work_out
from ledger.audit.trustfile import Trust, parse_trust
from ledger.bundle import Bundle, BundledEntry, BundledEvent
from ledger.disclosure import WholeEvent, commitment, events_root, withhold
from ledger.epcis.parts import split_event
from ledger.gs1.epc import canonical_key
from ledger.statement import Capture
from ledger.tlog.checkpoint import Checkpoint, sign_checkpoint
from ledger.tlog.merkle import Hash, TreeSize, leaf_hash, prove_inclusion, tree_root
from ledger.tlog.multiproof import prove_leaves
from ledger.tlog.note import Ed25519Signer as NoteSigner
from ledger.trust.state import kids_about
from tests.ledger.memory_log import ORIGIN, TIME_S, Cast, Writer, full_cast, signer_named

Place = tuple[int, int]
ITEM = "urn:epc:id:sgtin:9506000.013435.7"
AT_US = (TIME_S + 10**6) * 1_000_000
BUNDLED: tuple[Place, ...] = ((5, 0), (6, 1), (8, 0))


@dataclass
class BundleScene:
    """A log of a full cast, with the events that its captures commit to."""

    cast: Cast = field(default_factory=full_cast)
    events: dict[int, list[WholeEvent]] = field(default_factory=dict)

    def capture(self, writer: Writer, *events: WholeEvent) -> int:
        """Log a capture of `events`; return its index."""
        root = events_root(map(commitment, events))
        index = self.cast.log.say(writer, Capture(2, len(events), root))
        self.events[index] = list(events)
        return index

    def note(
        self, *, size: int | None = None, log_key: str = "log", origin: str = ORIGIN
    ) -> bytes:
        """Return a signed checkpoint, by default over all entries."""
        leaves = self.cast.log.leaves[:size]
        checkpoint = Checkpoint(
            origin=origin, size=TreeSize(len(leaves)), root=tree_root(leaves)
        )
        return sign_checkpoint(checkpoint, [NoteSigner(origin, signer_named(log_key))])

    def key_chain(self, index: int) -> set[int]:
        """Return the entry and the key entries that it rests on, down to entry 0."""
        chain = {index}
        while index:
            kid = self.cast.log.statements[index].kid
            before = enumerate(self.cast.log.statements[:index])
            index = max(n for n, one in before if kid in kids_about(one))
            chain.add(index)
        return chain

    def bundle(
        self,
        places: Iterable[Place] = BUNDLED,
        hidden: Collection[int] = (),
        *,
        also: Iterable[int] = (),
        without: Collection[int] = (),
    ) -> Bundle:
        """Return a bundle of the events at `places`, without an answer.

        `also` are entries to show besides, `without` entries to leave out.
        """
        chosen = sorted(set(places))
        held = {index for index, _ in chosen} | set(also) | {0}
        indexes = sorted({n for one in held for n in self.key_chain(one)} - set(without))
        log = self.cast.log
        return Bundle(
            note=self.note(),
            entries=tuple(BundledEntry(n, log.entries[n]) for n in indexes),
            nodes=prove_leaves(log.leaves, indexes),  # type: ignore[arg-type]
            events=tuple(self.shown(place, hidden) for place in chosen),
        )

    def shown(self, place: Place, hidden: Collection[int] = ()) -> BundledEvent:
        """Return one event with its path."""
        index, position = place
        events = self.events[index]
        leaves = [leaf_hash(commitment(one)) for one in events]
        path = prove_inclusion(leaves, position)  # type: ignore[arg-type]
        return BundledEvent(index, position, path, withhold(events[position], hidden))

    def asked(self, item: str = ITEM) -> Asked:
        log = self.cast.log
        root = log.root_at(log.size).hex()
        return Asked(canonical_key(item), size=log.size, root=root, at_us=AT_US)

    def with_answer(self, bundle: Bundle, *, of: Bundle | None = None) -> Bundle:
        """Return `bundle` with the answer that it supports, or that `of` does."""
        answer = work_out(known_events(of or bundle), self.asked())
        assert answer is not None
        return replace(bundle, answer=encode_answer(answer))


def build_scene() -> BundleScene:
    """Return a log of ten entries; the item is in events of 5, 6 and 8."""
    scene = BundleScene()
    cast = scene.cast
    scene.capture(cast.gateway, item_event(0), item_event(1, serial=8))
    scene.capture(cast.gateway, *(item_event(n, serial=n) for n in (6, 7, 9)))
    scene.capture(cast.farm, item_event(11, serial=11))
    scene.capture(cast.farm, *(item_event(20 + n, serial=7 + n) for n in range(4)))
    scene.capture(cast.gateway, item_event(30, serial=12))
    return scene


def item_event(n: int, *, serial: int = 7, event_id: str = "") -> WholeEvent:
    """Return an observation of one item, different for every `n`."""
    parts = split_event(
        {
            "eventID": event_id or f"urn:uuid:00000000-0000-4000-8000-{n:012x}",
            "type": "ObjectEvent",
            "action": "OBSERVE",
            "epcList": [f"urn:epc:id:sgtin:9506000.013435.{serial}"],
            "eventTime": f"2026-01-01T10:{n:02}:00Z",
            "eventTimeZoneOffset": "+00:00",
            "readPoint": {"id": "urn:epc:id:sgln:9506000.00001.gate"},
            "bizLocation": {"id": "urn:epc:id:sgln:9506000.00001.0"},
            "bizStep": "shipping",
            "disposition": "in_transit",
            "sourceList": [
                {"type": "owning_party", "source": "https://id.gs1.org/417/9506000134352"}
            ],
            "destinationList": [
                {"type": "owning_party", "destination": "https://id.gs1.org/417/9506000134369"}
            ],
        }
    )
    return WholeEvent(sha256(b"bundle event %d" % n).digest(), parts)


def trust_of(scene: BundleScene, *, log_key: str = "log", policy: str = "") -> Trust:
    """Return the trust in the log of `scene`; `policy` are lines on witnesses."""
    return parse_trust(trust_text(scene, log_key=log_key, policy=policy).encode())


def trust_text(scene: BundleScene, *, log_key: str = "log", policy: str = "") -> str:
    vkey = NoteSigner(ORIGIN, signer_named(log_key)).key
    lines = policy or "quorum none"
    return (
        f'origin = "{ORIGIN}"\nentry0 = "{scene.cast.log.leaves[0].hex()}"\n'
        f'policy = """\nlog {vkey}\n{lines}\n"""\n'
    )


def with_entry(bundle: Bundle, at: int, entry: BundledEntry) -> Bundle:
    """Return a copy in which the entry at place `at` of the list is another."""
    entries = [*bundle.entries[:at], entry, *bundle.entries[at + 1 :]]
    return replace(bundle, entries=tuple(entries))


def with_event(bundle: Bundle, at: int, event: BundledEvent) -> Bundle:
    """Return a copy in which the event at place `at` of the list is another."""
    events = [*bundle.events[:at], event, *bundle.events[at + 1 :]]
    return replace(bundle, events=tuple(events))


def flipped(digest: bytes) -> Hash:
    return Hash(bytes((digest[0] ^ 1,)) + digest[1:])


def swap(items: Sequence[BundledEvent], at: int, other: BundledEvent) -> BundledEvent:
    """Return the place of one event with the content and the path of another."""
    return replace(other, index=items[at].index, position=items[at].position)
