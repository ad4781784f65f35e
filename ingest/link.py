"""The two ends of a connection to a broker: who one is, who is told, what is delivered."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.brokerurl import BrokerUrl
from ingest.pulse import Clock
from ingest.reads import Arrival
from ingest.tls import Credentials


def _pass_by(_said: object) -> None:
    """Tell nobody."""


class Delivery(NamedTuple):
    """A message as the broker delivered it, with what an acknowledgement needs."""

    arrival: Arrival
    packet_id: int
    qos: int
    connection: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A connection's ends: the broker, who one is, and who is told; paho's thread calls.

    `on_state` is told what is wrong with the connection, None once it is subscribed;
    `on_session` whether the broker had kept the session. With `is_passing` there is no
    session: nothing is collected while away, and paho acknowledges by itself. On `state_topic`,
    if it is not empty, the broker shows whether the client is there, to whoever asks. The
    `password` is asked for at each connection, for its file may have changed.
    """

    broker: BrokerUrl
    client_id: str
    on_delivery: Callable[[Delivery], None]
    on_state: Callable[[str | None], None] = _pass_by
    on_session: Callable[[bool], None] = _pass_by
    clock: Clock = field(default_factory=Clock)
    credentials: Credentials | None = None
    is_passing: bool = False
    state_topic: str = ""
    password: Callable[[], str | None] | None = None
