"""The gateway's line, wired: inbox → site → seal → outbox → ledger.

Each step is one method that does one durable write, so that a loop, a replay or a test can
drive them:

* `keep`      arrivals into the inbox; only then may they be acknowledged
* `process`   the next messages of the inbox into statements: quarantine, then one
              transaction of the outbox with all that came of them
* `deliver`   statements to the ledger, and their receipts, verified
* `see`       the log's newest checkpoint, verified, for later statements to name

What survives a crash between any two of these writes: `process` is a function of the inbox,
the plan and the state in the outbox, so what was not committed is done again, the same way.
`stage` is called with a name between the writes; tests crash there.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec

from ingest.delivery import Delivered, collect_receipts, deliver_once, see_checkpoint
from ingest.drafts import Draft, Notice, Outcome, Unresolved
from ingest.inbox import Inbox, Kept
from ingest.outbox import Outbox, Work
from ingest.plan import Plan
from ingest.reads import OWN_TOPICS, RETRY_TOPIC, TICK_TOPIC, Arrival, Message
from ingest.roster import ReaderView
from ingest.sealing import Head, Pen, Sealed, gap_of, seal, seal_bodies, sealed_of
from ingest.settings import FILE as SETTINGS_FILE
from ingest.settings import Settings, SettingsError, load_signers
from ingest.site import Site, encode_tick
from ingest.telling import keep_refused
from ledger.client.http import CaptureClient, LedgerRefusedError, LedgerUnavailableError
from ledger.client.receipt import pin_log
from ledger.cose import Signer
from ledger.disclosure import EVENT_KEY_SIZE
from ledger.errors import ParseError, VerificationError
from ledger.gs1.epc import canonical_key
from ledger.statement import Claims, Gap, Policy
from ledger.tlog.merkle import Hash

MESSAGES_PER_BATCH = 500
PLAN_POLICY = 0
TICK_PAUSE_US = 200_000
TICK_PATIENCE_US = 1_000_000
Signers = Mapping[str, tuple[str, Signer]]
_US = 1_000_000


def now_us() -> int:
    """Return the gateway's clock, in microseconds since the epoch."""
    return time.time_ns() // 1_000


def no_stage(_name: str) -> None:
    """Pass a stage by; tests crash here instead."""


class RetryMessage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The gateway's own message that a quarantined message is to be taken once more."""

    message: int
    time_us: int


def retry_arrival(message: int, time_us: int) -> Arrival:
    """Return the gateway's own message that `message` is to be taken once more."""
    asked = RetryMessage(message=message, time_us=time_us)
    return Arrival(RETRY_TOPIC, msgspec.json.encode(asked), time_us)


class Processor:
    """Inbox to outbox: one thread's, because the site's state is in its memory."""

    def __init__(
        self,
        settings: Settings,
        plan: Plan,
        *,
        signers: Signers | None = None,
        clock_us: Callable[[], int] = now_us,
        stage: Callable[[str], None] = no_stage,
    ) -> None:
        """Open the folder's databases and take the state back as of the last commit.

        `signers` are those of `open_signers`, opened here where they are not given: it takes
        a while, because the key files' passphrase is stretched.
        """
        self._signers = signers or open_signers(settings, plan)
        self._origin = settings.origin
        self._clock_us = clock_us
        self._stage = stage
        self._site = Site(plan)
        self._inbox = Inbox(settings.folder)
        self._outbox = Outbox(settings.folder)
        self._cursor = self._outbox.cursor()
        self._inbox.number_after(self._cursor)
        self._plan = plan
        self._last_tick_us = 0
        self.totals: Counter[str] = Counter()
        self.births: set[str] = set()
        gone = self._site.restore(self._outbox.states())
        if gone or self._plans_to_state():
            unresolved = [one for found in gone.values() for one in found]
            self._commit(self._cursor, Outcome(secret=b""), (list(gone), unresolved))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the databases back."""
        self._inbox.close()
        self._outbox.close()

    def process(self) -> int:
        """Process the next messages of the inbox, and return how many there were."""
        messages = self._inbox.load_after(self._cursor, MESSAGES_PER_BATCH)
        if not messages:
            return 0
        outcome = Outcome(secret=self._inbox.secret)
        again: list[int] = []
        for message in messages:
            if message.topic == RETRY_TOPIC:
                again += self._take_again(message, outcome)
            else:
                self._site.take_message(message, outcome)
        self._stage("before quarantine")
        if outcome.faults or again:
            self._inbox.store_faults(
                self._cursor, outcome.faults, taken=outcome.taken, again=again
            )
            self._stage("after quarantine")
        self._commit(messages[-1].id, outcome, ((), ()))
        self._cursor = messages[-1].id
        self.births |= outcome.births
        self._stage("after commit")
        return len(messages)

    def tick_if_due(self) -> bool:
        """Keep a tick if some place was silent for long enough, and say whether it was.

        The tick is processed in its turn, after what came in before it.
        """
        due_us = self._site.next_tick_us()
        now_us = self._clock_us()
        if due_us is None or now_us < due_us:
            return False
        if now_us - self._last_tick_us < TICK_PAUSE_US and now_us >= self._last_tick_us:
            return False
        if self._inbox.newest_id() != self._cursor and now_us - due_us < TICK_PATIENCE_US:
            return False  # messages wait that may end the silence
        self._last_tick_us = now_us
        return self.keep_tick(everything=False)

    def keep_tick(self, *, everything: bool) -> bool:
        """Keep a tick now; `everything` ends whatever is open.

        Returns False where the inbox has a tick of this very microsecond: try again later.
        """
        at = self._clock_us()
        tick = Arrival(TICK_TOPIC, encode_tick(at, everything=everything), at)
        kept = self._inbox.keep([tick])
        self._stage("after tick")
        return kept.new == 1

    def tell_refused(self) -> bool:
        """Keep a message of what the ledger does not take, and say whether there was any."""
        parties = self._site.roster.parties
        signing = {one: self._signers[one][1].kid for one in parties}
        now_us = self._clock_us()
        return keep_refused(self._inbox, self._outbox, signing, now_us, stage=self._stage)

    @property
    def lag(self) -> int:
        """How many messages of the inbox are not processed yet."""
        return self._inbox.newest_id() - self._cursor

    def readers(self) -> list[ReaderView]:
        """Return how each reader is now."""
        return self._site.readers(self._clock_us())

    def _take_again(self, retry: Message, outcome: Outcome) -> list[int]:
        """Take a quarantined message once more, as it was received; nothing of it was taken."""
        number = msgspec.json.decode(retry.payload, type=RetryMessage).message
        message = self._inbox.message(number)
        if message is None or message.topic in OWN_TOPICS:
            return []
        self._site.take_message(message, outcome)
        return [number]

    def _plans_to_state(self) -> dict[bytes, str]:
        """Return the keys, with their parties, that did not say yet that this plan is valid."""
        parties = {one.party for one in self._plan.stations}
        parties |= {one.party for one in self._plan.sensors}
        keys = {canonical_key(one): self._signers[canonical_key(one)][1] for one in parties}
        return {
            signer.kid: party
            for party, signer in keys.items()
            if self._outbox.plan_in_force(signer.kid) != self._plan.sha256
        }

    def _commit(
        self, cursor: int, outcome: Outcome, gone: tuple[Sequence[str], Sequence[Unresolved]]
    ) -> None:
        plans = self._plans_to_state() if cursor == self._cursor else {}
        sealed, heads = self._seal(outcome.drafts, outcome.notices, plans.values())
        counts = dict(outcome.counts)
        counts["statements"] = len(sealed)
        unresolved = [*outcome.unresolved, *gone[1]]
        counts["unresolved"] = len(unresolved)
        work = Work(
            cursor=cursor,
            sealed=sealed,
            forwarded=[sealed_of(one) for one in outcome.signed],
            heads=heads,
            states=self._site.encode_parts(),
            gone=gone[0],
            drafts=outcome.drafts,
            unresolved=unresolved,
            counts={name: count for name, count in counts.items() if count},
            is_open=self._site.is_open,
            now_us=self._clock_us(),
            plans=dict.fromkeys(plans, self._plan.sha256),
        )
        self._stage("before commit")
        self._outbox.commit(work)
        self.totals.update(work.counts)
        self.totals["quarantined"] += len(outcome.faults)

    def _seal(
        self, drafts: Sequence[Draft], notices: Sequence[Notice], plans: Iterable[str]
    ) -> tuple[list[Sealed], dict[bytes, Head]]:
        said: dict[str, tuple[list[Draft], list[Gap | Policy]]] = {}
        for party in plans:
            in_force = Policy(kind=PLAN_POLICY, digest=Hash(self._plan.sha256))
            said.setdefault(party, ([], []))[1].append(in_force)
        for draft in drafts:
            said.setdefault(canonical_key(draft.party), ([], []))[0].append(draft)
        for notice in notices:
            said.setdefault(canonical_key(notice.party), ([], []))[1].append(gap_of(notice))
        sealed: list[Sealed] = []
        heads: dict[bytes, Head] = {}
        for party, (mine, bodies) in said.items():
            signed, kid, head = self._sign(party, mine, bodies)
            sealed += signed
            heads[kid] = head
        return sealed, heads

    def _sign(
        self, party: str, drafts: Sequence[Draft], bodies: Sequence[Gap | Policy]
    ) -> tuple[list[Sealed], bytes, Head]:
        issuer, signer = self._signers[party]
        pen = Pen(
            signer=signer,
            claims=Claims(iss=issuer, aud=self._origin, iat=self._clock_us() // _US),
            draw=lambda: secrets.token_bytes(EVENT_KEY_SIZE),
            seen=self._outbox.seen(),
        )
        events, head = seal(drafts, pen, self._outbox.head(signer.kid))
        others, head = seal_bodies(bodies, pen, head)
        return [*events, *others], signer.kid, head


class Keeper:
    """Arrivals into the inbox, by a thread of its own."""

    def __init__(self, folder: Path, *, stage: Callable[[str], None] = no_stage) -> None:
        """Open the inbox in `folder`."""
        self._inbox = Inbox(folder)
        self._stage = stage

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._inbox.close()

    def keep(self, arrivals: Sequence[Arrival]) -> Kept:
        """Make `arrivals` durable; they may be acknowledged once this returns."""
        self._stage("before keep")
        kept = self._inbox.keep(arrivals)
        self._stage("after keep")
        return kept


class Courier:
    """Statements to the ledger, by a thread of its own."""

    def __init__(
        self,
        settings: Settings,
        ledger_url: str,
        *,
        stage: Callable[[str], None] = no_stage,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """Open the folder's outbox; connects to the ledger at the first request.

        Calls `beat` at each request. Raises `SettingsError` where the settings do not name the
        log's key: no receipt could be verified.
        """
        if settings.log is None:
            raise SettingsError(f"{SETTINGS_FILE} has no log, its vkey, to verify receipts by")
        self._policy = pin_log(settings.log)
        self._outbox = Outbox(settings.folder)
        self._client = CaptureClient(ledger_url, before=beat)
        self._settings = settings
        self._stage = stage

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections and the database back."""
        self._client.close()
        self._outbox.close()

    def deliver(self) -> Delivered:
        """Send what waits, once, and collect the receipts that are to be had."""
        sent = deliver_once(self._outbox, self._client, stage=self._stage)
        if sent.unavailable is not None:
            return sent
        proven = collect_receipts(self._outbox, self._client, self._policy, stage=self._stage)
        return Delivered(
            accepted=sent.accepted,
            proven=proven.proven,
            refused=sent.refused + proven.refused,
            unavailable=proven.unavailable,
            retry_after=proven.retry_after,
            is_receipt_pending=proven.is_receipt_pending,
        )

    def parked(self) -> int:
        """Return how many statements the ledger refused."""
        return self._outbox.parked()

    def see(self) -> str | None:
        """Look at the log's checkpoint; return what is wrong with it, None if nothing is.

        A log that cannot be asked now is nothing wrong.
        """
        assert self._settings.log is not None
        try:
            see_checkpoint(
                self._outbox,
                self._client,
                origin=self._settings.origin,
                vkey=self._settings.log,
            )
        except (LedgerUnavailableError, LedgerRefusedError):
            return None
        except (VerificationError, ParseError) as error:
            return str(error)
        self._stage("checkpoint seen")
        return None

    def unpark(self) -> int:
        """Let what was refused before try again; returns how many statements."""
        return self._outbox.unpark()


def open_signers(settings: Settings, plan: Plan) -> Signers:
    """Return each party's issuer URI and signer.

    Raises `SettingsError` where a party that the plan signs for has no key.
    """
    signers = load_signers(settings)
    signing = [station.party for station in plan.stations]
    signing += [rule.party for rule in plan.sensors]
    missing = sorted({one for one in signing if canonical_key(one) not in signers})
    if missing:
        raise SettingsError(
            f"the plan {plan.name!r} has the party {missing[0]}, for which gateway.toml"
            " has no key; enrol one with `tagtrail keys enrol`"
        )
    return signers
