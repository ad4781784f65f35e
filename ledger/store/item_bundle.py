"""Takes the bundle about one item: what the answer rests on, its proof, and the answer.

The answer in the bundle is worked out from what the bundle shows, so that it says nothing
that is withheld; where it then lacks something, that is remarked.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ledger.audit.bundle import known_events, known_gaps
from ledger.audit.bundle_answer import (
    Asked,
    Row,
    collect_places,
    collect_statements,
    encode_answer,
    work_out,
)
from ledger.bundle import Bundle
from ledger.provenance.answer import trace
from ledger.provenance.document import assemble_answer
from ledger.provenance.source import EventSource
from ledger.store.bundles import load_signed, take_bundle
from ledger.store.evidence import EvidenceReader


@dataclass(frozen=True, slots=True)
class Made:
    """A bundle, and what its reader will miss."""

    bundle: Bundle
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a bundle is about: the item, when, as known at which size, parts withheld."""

    key: str
    at_us: int
    known_at: int | None = None
    hidden: frozenset[int] = frozenset()
    with_answer: bool = True


def bundle_item(
    source: EventSource, evidence: EvidenceReader, question: Question
) -> Made | None:
    """Return the bundle about an item; None where no event under a checkpoint names it.

    Raises `RefusedError` (`checkpoint`) where the log has signed no checkpoint yet.
    """
    signed = load_signed(evidence)
    key, known_at = question.key, question.known_at
    size = min(signed.size, source.size(), signed.size if known_at is None else known_at)
    at_us = question.at_us
    story = trace(source, key, now_us=at_us, at_us=at_us, known_at=size)
    if story is None:
        return None
    told = json.loads(json.dumps(assemble_answer(story)))
    admitted = collect_statements(told)
    places = set(collect_places(told))
    made = take_bundle(evidence, signed, places, question.hidden, admitted)
    if not question.with_answer:
        return Made(made)
    root = signed.root.hex() if size == signed.size else None
    asked = Asked(key, size=size, root=root, at_us=at_us)
    claims = work_out(known_events(made), asked, known_gaps(made))
    if claims is None:
        return Made(made, ("no answer: what is shown no longer names the item",))
    answer = encode_answer(claims)
    return Made(replace(made, answer=answer), tuple(_compare(told, json.loads(answer))))


def _compare(told: Row, claims: Row) -> Iterator[str]:
    """Yield what the answer in the bundle lacks of the one that the ledger gives."""
    if told.get("truncated"):
        yield "the answer is cut: there is more than one answer may tell; ask with --at"
    lost = [
        name
        for name in told.keys() - {"as_of"}
        if claims.get(name) != told[name] and name in claims
    ]
    if lost:
        yield f"the answer differs from the ledger's in: {', '.join(sorted(lost))}"
