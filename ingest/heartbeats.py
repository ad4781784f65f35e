"""The gateway's own heartbeats: each key that promised one says that it lives.

A key's record in the log may promise a statement every `heartbeat_s` seconds; whoever audits
the log remarks where there was none for two of them (check 10). Where nothing else was said for
that long, the gateway signs a capture of no events, in the chain of the key, so that an empty
store is told from one whose gateway was held silent.

A heartbeat that would wait behind other statements of its key adds nothing to them, and is left
out. The chain of a key has one writer: this is the processor's thread's, as its statements are.
"""

from collections.abc import Callable, Mapping
from typing import Self

from ingest.outbox import Outbox
from ingest.sealing import GRADE, Pen, seal_bodies
from ingest.settings import Settings
from ledger.cose import Signer
from ledger.disclosure import EVENT_KEY_SIZE
from ledger.gs1.epc import canonical_key
from ledger.statement import Capture, Claims
from ledger.tlog.merkle import EMPTY_ROOT

_US = 1_000_000
_LIVES = Capture(grade=GRADE, count=0, root=EMPTY_ROOT)


class Heartbeats:
    """The keys of one folder that promised a heartbeat, and when each spoke last."""

    def __init__(
        self,
        settings: Settings,
        signers: Mapping[str, tuple[str, Signer]],
        clock_us: Callable[[], int],
    ) -> None:
        """Open the folder's outbox; raises `SpoolError` where the disk refuses."""
        self._outbox = Outbox(settings.folder)
        self._origin = settings.origin
        self._clock_us = clock_us
        self._keys = [
            (*signers[canonical_key(one.party)], one.heartbeat_s * _US)
            for one in settings.keys
            if one.heartbeat_s and canonical_key(one.party) in signers
        ]
        self._said_us: dict[bytes, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._outbox.close()

    def say_if_due(self) -> int:
        """Sign a heartbeat for each key that is due, and return how many.

        Due is who said nothing for the heartbeat that was promised, by a clock that may be set.
        """
        return sum(
            self._say(issuer, signer)
            for issuer, signer, heartbeat_us in self._keys
            if self._is_due(signer.kid, heartbeat_us)
        )

    def _is_due(self, kid: bytes, heartbeat_us: int) -> bool:
        now_us = self._clock_us()
        if abs(now_us - self._said_us.get(kid, 0)) < heartbeat_us:
            return False
        said_us = self._said_us[kid] = self._outbox.said_us(kid)
        if abs(now_us - said_us) < heartbeat_us:
            return False
        return not self._outbox.is_waiting(kid)

    def _say(self, issuer: str, signer: Signer) -> int:
        now_us = self._clock_us()
        pen = Pen(
            signer=signer,
            claims=Claims(iss=issuer, aud=self._origin, iat=now_us // _US),
            draw=lambda: bytes(EVENT_KEY_SIZE),  # it has no events, so no key of one
            seen=self._outbox.seen(),
        )
        sealed, head = seal_bodies([_LIVES], pen, self._outbox.head(signer.kid))
        self._outbox.append(sealed, {signer.kid: head}, now_us)
        self._said_us[signer.kid] = now_us
        return len(sealed)
