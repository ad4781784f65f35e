"""What the routes reach: the parts of one open ledger, handed over by `ledger.app`."""

from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request

from ledger.api.page_token import ReleasedTokens
from ledger.capture.reception import Reception
from ledger.cose import Signer
from ledger.federation.cosigning import Cosigning
from ledger.store.evidence import EvidenceReader
from ledger.store.index_source import IndexReader
from ledger.store.log import Log
from ledger.store.query_names import NameReader
from ledger.store.query_reader import QueryReader
from ledger.store.sequencer import Sequencer
from ledger.store.standing import StandingQueries
from ledger.subscriptions.dispatcher import Dispatcher


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One open ledger.

    `checkpoint` returns size and note of the newest published checkpoint, or None before
    the first; `indexed` how many entries the index has followed; `now_us` the clock;
    `capture` is what captures documents, None where the ledger has no key for that;
    `cosigning` is who asks the witnesses; `receipt_signer` is the key of COSE receipts, None
    where the ledger has none that is enrolled; `released` are page tokens that were given back,
    `streams` the connections over which events are streamed.
    """

    log: Log
    sequencer: Sequencer
    reader: EvidenceReader
    index: IndexReader
    checkpoint: Callable[[], tuple[int, bytes] | None]
    indexed: Callable[[], int]
    now_us: Callable[[], int]
    queries: QueryReader
    names: NameReader
    standing: StandingQueries
    dispatcher: Dispatcher
    capture: Reception | None = None
    cosigning: Cosigning | None = None
    released: ReleasedTokens = field(default_factory=ReleasedTokens)
    receipt_signer: Signer | None = None
    streams: set[int] = field(default_factory=set)


def served(request: Request) -> Served:
    """Return the ledger that this application serves."""
    found = request.app.state.served
    assert isinstance(found, Served)
    return found


def describe_witnesses(ledger: Served) -> dict[str, object]:
    """Return how the witnesses stand: whether a quorum agrees, who is lacking, each one."""
    cosigning = ledger.cosigning
    if cosigning is None:
        return {"agreed": True, "lacking": [], "asked": []}
    return {
        "agreed": cosigning.is_agreed,
        "lacking": list(cosigning.lacking),
        "asked": [
            {"name": one.name, "url": one.url, "size": one.size, "why": one.why}
            for one in cosigning.states
        ],
    }
