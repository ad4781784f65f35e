"""Signing devices: readers and desks with a key of their own, and what they publish.

A device of the family `signed` decides by itself what a pass means, signs it as a statement
of grade 3 and publishes the whole submission (docs/reference/signed-device.md):

    {"type":"tagtrail.submission/v1","submission":"glkBAdKEWIGj…"}

Written from docs/spec/statement.md and docs/spec/disclosure.md; signature, CBOR and
commitment are those of the ledger's formats, which every device maker would use. The key of
a simulated device is made of the seed and its name, so that everybody can make it: it is no
secret. Each statement names the one before it of the same key; so what a device signs must
be asked for in order of time.

Pure: no I/O, no clock, no randomness.
"""

import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from device_sim.readers import Packet, Tell
from device_sim.tags import Epc
from device_sim.world import (
    MEANINGS,
    SECOND_US,
    Message,
    Note,
    Party,
    Read,
    Station,
    World,
    format_time,
)
from ledger.cose import Ed25519Signer
from ledger.disclosure import (
    Submission,
    WholeEvent,
    commitment,
    encode_submission,
    events_root,
)
from ledger.statement import (
    Capture,
    Claims,
    Link,
    parse_statement,
    sign_statement,
)

ORIGIN = "tagtrail.example/demo"
TYPE = "tagtrail.submission/v1"
GRADE = 3
THINKING_US = 2 * SECOND_US

# The fields of each part of an event (docs/spec/disclosure.md); such devices use no others.
_PARTS: tuple[tuple[str, ...], ...] = (
    ("eventID",), ("type",), ("epcList", "action"), ("eventTime", "eventTimeZoneOffset"),
    ("readPoint", "bizLocation"), ("bizStep", "disposition", "bizTransactionList"), (), (),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A device that signs: its name, the party that it works for, and its secret seed."""

    name: str
    party: Party
    seed: bytes


@dataclass(slots=True)
class _Chain:
    """Where the statements of one key go on."""

    signer: Ed25519Signer
    link: Link = field(default_factory=Link)


def devices(world: World, seed: int) -> list[Device]:
    """Return the devices of a world that sign, in the order of its file."""
    return [
        Device(name=one.name, party=one.site.party, seed=_secret(seed, one.name))
        for one in world.stations.values()
        if one.reader == "signed"
    ]


class Signing:
    """The signing devices of a run, each with its chain; `origin` is the ledger's."""

    def __init__(self, seed: int, origin: str) -> None:
        self._seed = seed
        self._origin = origin
        self._chains: dict[str, _Chain] = {}

    def sign_pass(
        self, station: Station, reads: Sequence[Read], clock: Tell | None = None
    ) -> list[Packet]:
        """Return what a device says of one pass: nothing of no items."""
        return self._sign_reads(station, reads, self._chain(station.name), clock)

    def forge_pass(self, station: Station, reads: Sequence[Read], number: int) -> list[Packet]:
        """Return what somebody without the key says in the device's name."""
        signer = Ed25519Signer(_secret(self._seed, f"forger {number}"))
        return self._sign_reads(station, reads, _Chain(signer), None)

    def steal_pass(self, station: Station, reads: Sequence[Read]) -> list[Packet]:
        """Return what a thief says with a copy of the key; the device knows nothing of it."""
        own = self._chain(station.name)
        return self._sign_reads(station, reads, _Chain(own.signer, own.link), None)

    def sign_note(self, note: Note) -> Message:
        """Return what a desk says of what it sends: the order, and its advice."""
        body, gln = note.body, note.station.site.party.gln
        event: dict[str, object] = {
            "type": "TransactionEvent", "eventTime": format_time(note.time_us),
            "eventTimeZoneOffset": "+00:00", "action": "ADD", "bizStep": "staging_outbound",
            "bizTransactionList": [
                {"type": "po", "bizTransaction": f"urn:epcglobal:cbv:bt:{gln}:{body['order']}"},
                {
                    "type": "desadv",
                    "bizTransaction": f"urn:epcglobal:cbv:bt:{gln}:{body['advice']}",
                },
            ],
            "epcList": body["epcs"],
        }  # fmt: skip
        chain = self._chain(note.station.name)
        return self._message(note.station, chain, event, note.time_us)

    def _chain(self, name: str) -> _Chain:
        if name not in self._chains:
            self._chains[name] = _Chain(Ed25519Signer(_secret(self._seed, name)))
        return self._chains[name]

    def _sign_reads(
        self, station: Station, reads: Sequence[Read], chain: _Chain, clock: Tell | None
    ) -> list[Packet]:
        epcs = _items(reads)
        if not epcs:
            return []
        step, disposition, action = MEANINGS[station.does]
        last_us = reads[-1].time_us
        event: dict[str, object] = {
            "type": "ObjectEvent",
            "eventTime": format_time(last_us if clock is None else clock(last_us)),
            "eventTimeZoneOffset": "+00:00", "action": action, "bizStep": step,
            "disposition": disposition, "readPoint": {"id": station.read_point},
            "bizLocation": {"id": station.site.sgln}, "epcList": epcs,
        }  # fmt: skip
        return [Packet(self._message(station, chain, event, last_us), reads)]

    def _message(
        self, station: Station, chain: _Chain, event: dict[str, object], now_us: int
    ) -> Message:
        """Return the submission of one event, and move the chain on."""
        draw = sha256(f"{chain.signer.kid.hex()} {chain.link.seq} {event}".encode()).digest()
        event["eventID"] = _uuid(draw)
        whole = WholeEvent(sha256(b"event key" + draw).digest(), _split(event))
        body = Capture(grade=GRADE, count=1, root=events_root([commitment(whole)]))
        claims = Claims(iss=station.site.party.id, aud=self._origin, iat=now_us // SECOND_US)
        raw = sign_statement(chain.signer, claims, chain.link, body)
        chain.link = Link(seq=chain.link.seq + 1, prev=parse_statement(raw).id)
        submission = encode_submission(Submission(statement=raw, events=(whole,)))
        said = {"type": TYPE, "submission": urlsafe_b64encode(submission).decode().rstrip("=")}
        payload = json.dumps(said, separators=(",", ":")).encode()
        return Message(now_us + THINKING_US, f"{station.topic}/signed", payload)


def submission_of(payload: bytes) -> bytes:
    """Return the submission in a message of a signing device."""
    text = str(json.loads(payload)["submission"])
    return b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")


def _items(reads: Sequence[Read]) -> list[Epc]:
    """Return the items among what was read, each once."""
    epcs = dict.fromkeys(read.tag.epc for read in reads)
    return [one for one in epcs if one.startswith("urn:epc:id:sgtin:")]


def _split(event: Mapping[str, object]) -> tuple[bytes | None, ...]:
    shares = [{field: event[field] for field in part if field in event} for part in _PARTS]
    return tuple(
        json.dumps(share, separators=(",", ":")).encode() if share else None for share in shares
    )


def _secret(seed: int, name: str) -> bytes:
    return sha256(f"tagtrail/sim/v1 device key\n{seed}\n{name}".encode()).digest()


def _uuid(draw: bytes) -> str:
    """Return a UUID of version 8 (RFC 9562): bits of one's own making."""
    digits = draw[:16].hex()
    return (
        f"urn:uuid:{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
    )
