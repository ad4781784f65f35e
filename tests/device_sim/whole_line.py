"""The whole line in memory: a run's messages through the gateway's meaning to answers.

Real code of every room, without a broker, a database or a signature in between.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from device_sim.play import Run
from device_sim.signing import devices, submission_of
from ingest.drafts import Outcome
from ingest.planfile import parse_plan
from ingest.reads import TICK_TOPIC, Message, message_hash
from ingest.site import Site, encode_tick
from ledger.cose import Ed25519Signer, key_thumbprint
from ledger.disclosure import WholeEvent, decode_submission, verify_events
from ledger.epcis.parts import join_parts
from ledger.errors import ParseError, VerificationError
from ledger.provenance.answer import trace
from ledger.provenance.document import assemble_answer
from ledger.provenance.listed import select_wanted
from ledger.provenance.source import KnownEvent, Wanted
from ledger.statement import NO_HASH, Capture, parse_statement, verify_signature
from tests.ledger.provenance.fakes import ListSource

NOW_US = 2_000_000_000_000_000


class KeyedSource(ListSource):
    """A list of events that is looked up by key, so that hundreds of answers are quick."""

    def index(self) -> None:
        self.by_key: dict[str, list[KnownEvent]] = defaultdict(list)
        for entry in self.entries:
            for known, _ in entry:
                for key in known.roles:
                    self.by_key[key].append(known)

    def events_of(
        self,
        wanted: Sequence[Wanted],
        *,
        before_entry: int | None = None,
        limit: int | None = None,  # noqa: ARG002 - a run of the simulator is shorter
    ) -> list[KnownEvent]:
        assert before_entry is None or before_entry >= len(self.entries)
        found = {
            id(known): known
            for one in wanted
            for known in select_wanted(self.by_key.get(one.key, ()), one)
        }
        return list(found.values())


def interpret(run: Run) -> Outcome:
    """Return what a gateway with the run's plan makes of the run's messages."""
    site, outcome = Site(parse_plan(run.plan_text)), Outcome(secret=b"s" * 32)
    last_us = run.messages[-1].time_us + 10**9
    tick = (TICK_TOPIC, encode_tick(last_us, everything=True), last_us)
    seen: set[bytes] = set()
    sent = [
        (one.topic, one.payload, one.time_us)
        for one in run.messages
        if not one.topic.endswith("/signed")
    ]
    for n, (topic, payload, time_us) in enumerate([*sent, tick], start=1):
        identity = message_hash(topic, payload)
        if identity not in seen:
            seen.add(identity)
            message = Message(
                id=n, topic=topic, payload=payload, received_us=time_us, sha256=identity
            )
            site.take_message(message, outcome)
    return outcome


def signed(run: Run) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield who signed what itself, as a ledger takes it: each key's statements in a chain.

    What breaks the chain, or was signed by a key that nobody enrolled, is refused.
    """
    known = {Ed25519Signer(one.seed).x: one.party.id for one in devices(run.world, run.seed)}
    heads: dict[bytes, tuple[int, bytes]] = {}
    for message in run.messages:
        if not message.topic.endswith("/signed"):
            continue
        try:
            submission = decode_submission(submission_of(message.payload))
            statement = parse_statement(submission.statement)
        except (ParseError, ValueError):
            continue
        x = next((x for x in known if key_thumbprint(x) == statement.kid), None)
        head = heads.get(statement.kid, (0, NO_HASH))
        if x is None or (statement.seq, statement.prev) != head:
            continue
        assert isinstance(statement.body, Capture)
        count, root = statement.body.count, statement.body.root
        try:
            verify_signature(statement, x)
            verify_events(submission.events, count=count, root=root)
        except VerificationError:
            continue
        assert (statement.iss, statement.body.grade) == (known[x], 3)
        heads[statement.kid] = (statement.seq + 1, statement.id)
        for one in submission.events:
            assert isinstance(one, WholeEvent)
            yield statement.iss, join_parts(one.parts)


def capture(run: Run, *, faulty: bool = False) -> KeyedSource:
    """Return the events that the gateway makes of a run, ready to be asked about."""
    outcome = interpret(run)
    assert faulty or not outcome.faults
    source = KeyedSource()
    for draft in outcome.drafts:
        source.capture(*draft.events, iss=draft.party)
    for iss, event in signed(run):
        source.capture(event, iss=iss)
    source.index()
    return source


def answers(source: KeyedSource, keys: Iterable[str]) -> dict[str, dict[str, Any] | None]:
    """Return the answer about each key as its JSON reads."""
    found: dict[str, dict[str, Any] | None] = {}
    for key in keys:
        answer = trace(source, key, now_us=NOW_US)
        found[key] = None if answer is None else json.loads(json.dumps(assemble_answer(answer)))
    return found
