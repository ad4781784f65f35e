"""Keeps, as the gateway's own messages, what the ledger does not take (`ingest.refusals`).

What survives a crash here: the message is durable before it is noted as told, so that a crash
in between keeps the very same message again, which the inbox knows.
"""

from collections.abc import Callable, Mapping

from ingest.inbox import Inbox
from ingest.outbox import Outbox
from ingest.reads import REFUSED_TOPIC, Arrival
from ingest.refusals import encode_refused, issuer_of
from ledger.gs1.epc import canonical_key

AT_ONCE = 100


def keep_refused(
    inbox: Inbox,
    outbox: Outbox,
    signing: Mapping[str, bytes],
    at_us: int,
    *,
    stage: Callable[[str], None],
) -> bool:
    """Keep a message of statements that were not told of; say whether there were any.

    `signing` are the keys, by party, with which this gateway signs. One of which the ledger
    takes nothing cannot say so; the one that replaces it can.
    """
    parked = outbox.parked_keys()
    found = False
    for kid in parked:
        stuck = outbox.stuck(kid, AT_ONCE)
        issuer = issuer_of(stuck[0].submission) if stuck else None
        if issuer is None or signing.get(canonical_key(issuer), kid) in parked:
            continue
        inbox.keep([Arrival(REFUSED_TOPIC, encode_refused(issuer, stuck), at_us)])
        stage("after refused")
        outbox.mark_told(kid, stuck[-1].id)
        found = True
    return found
