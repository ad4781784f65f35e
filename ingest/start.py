"""What a gateway needs at its start: its plan, its broker, its name there, its certificate.

The MQTT client id is the name in the gateway's certificate where it has one, and another one
is refused: the broker's access list ties topics to that name. Else it is what the settings say,
else one that is made of the folder's secret and stays the folder's for ever.
"""

from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from ingest.brokerurl import BrokerUrl, check_client_id, parse_broker_url
from ingest.plan import Plan
from ingest.planfile import parse_plan
from ingest.settings import BrokerSetting, Settings, SettingsError, load_password
from ingest.tls import Credentials
from ledger.errors import ParseError, TagtrailError

STATE_TOPICS = "tagtrail/gateways"
PLAN_BYTES_MAX = 4 * 1024 * 1024


def load_plan(path: Path) -> Plan:
    """Return the plan in the file at `path`; raises `ParseError` with line and key."""
    try:
        with path.open("rb") as file:
            data = file.read(PLAN_BYTES_MAX + 1)
    except OSError as error:
        raise TagtrailError(f"{path}: {error.strerror}") from error
    if len(data) > PLAN_BYTES_MAX:
        raise ParseError(str(path), f"is over {PLAN_BYTES_MAX} bytes")
    try:
        return parse_plan(data.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise ParseError(str(path), f"is no UTF-8 at byte {error.start}") from None


def find_broker(settings: Settings, given: str) -> tuple[BrokerUrl, Credentials | None]:
    """Return where the broker is and the TLS credentials for it, None without TLS.

    `given` overrides the settings' URL. Raises `SettingsError` where none is said, or a
    certificate is configured and TLS is not: it would protect nothing.
    """
    text = given or settings.broker.url
    if not text:
        raise SettingsError("no broker: give --broker URL, or [broker] url in gateway.toml")
    url = parse_broker_url(text)
    if url.user is None and settings.broker.user is not None:
        url = replace(url, user=settings.broker.user, password=load_password(settings.broker))
    if url.tls:
        return url, Credentials(settings.broker.tls)
    if settings.broker.tls.certificate is not None or settings.broker.tls.ca is not None:
        raise SettingsError(f"{url} is not TLS, but gateway.toml names certificates: mqtts://")
    return url, None


def password_of(settings: Settings, broker: BrokerUrl) -> Callable[[], str | None] | None:
    """Return what reads the broker's password anew, None where no file has it."""
    setting = settings.broker
    if setting.password_file is None or broker.user != setting.user:
        return None
    return lambda: load_password(setting)


def choose_client_id(
    settings: Settings, credentials: Credentials | None, given: str, own: str
) -> str:
    """Return the MQTT client id, or raise `SettingsError` where the certificate has another."""
    wanted = given or settings.broker.client_id
    certificate = None if credentials is None else credentials.certificate
    if certificate is None:
        return check_client_id(wanted or own)
    if wanted and wanted != certificate.name:
        name = certificate.name
        raise SettingsError(
            f"the client id {wanted!r:.80} is not the certificate's name {name!r:.80}"
        )
    return check_client_id(certificate.name)


def state_topic(setting: BrokerSetting, client_id: str) -> str:
    """Return the topic on which the gateway shows whether it is there, empty for none."""
    if setting.state_topic is not None:
        return setting.state_topic
    plain = "".join("-" if one in "+#/" else one for one in client_id)
    return f"{STATE_TOPICS}/{plain}"


def own_client_id(secret: bytes) -> str:
    """Return a client id that is that of the folder with this secret, and no other's."""
    return f"tagtrail-{sha256(b'client id' + secret).hexdigest()[:16]}"
