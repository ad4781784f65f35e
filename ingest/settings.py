"""The settings of one gateway: `gateway.toml` in its folder, and the keys it names.

    ledger = "http://127.0.0.1:8080"          # may be overridden on the command line
    origin = "tagtrail.example/demo"          # of the log that statements are for
    log = "<vkey>"                            # the log's verification key
    passphrase_file = "../keys/passphrase"    # else the environment's TAGTRAIL_PASSPHRASE
    [broker]
    url = "mqtts://broker.example:8883"       # may be overridden on the command line
    client_id = "gw-1"                        # else the certificate's name, else the folder's
    user = "gw-1"
    password_file = "broker.password"
    state_topic = "tagtrail/gateways/gw-1"    # the default, with its client id; or "none"
    ca = "tls/ca.pem"
    certificate = "tls/gw-1.pem"
    key = "tls/gw-1.key"
    [spool]
    messages_max = 1000000                    # 0, the default, means no limit
    bytes_max = 1000000000
    age_max_s = 604800
    refuse_after_s = 0                        # 0: never refuse, wait
    retain_days = 0                           # 0: payloads are never deleted
    [monitor]
    listen = "127.0.0.1:9464"
    [[key]]
    party = "https://id.gs1.org/417/9506000134352"
    file = "keys/9506000134352.key"           # or env:NAME, or pkcs11:…
    heartbeat_s = 600                         # what the key promised when it was enrolled

Paths are relative to the folder. One process may sign for several parties, with one enrolled
key each; a party has one key here, for one key has one writer.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ingest.spool import Quota
from ingest.tls import TlsFiles
from ingest.tomltable import Table, parse_toml
from ingest.topics import check_topic
from ledger.client.http import parse_ledger_url
from ledger.cose import Signer
from ledger.errors import ParseError, TagtrailError
from ledger.gs1.epc import canonical_key, parse_epc
from ledger.keyfile import NO_PATH, load_signer, needs_passphrase
from ledger.tlog.note import parse_vkey

FILE = "gateway.toml"
PASSPHRASE_VARIABLE = "TAGTRAIL_PASSPHRASE"  # noqa: S105  # the name of a variable
SETTINGS_BYTES_MAX = 1024 * 1024
_QUOTA_BOUNDS = (0, 1 << 50)
_HEARTBEAT_BOUNDS = (0, 31_536_000)
_DAYS_BOUNDS = (0, 36_500)
_PORT_MAX = 65_535


class SettingsError(TagtrailError):
    """A gateway that cannot start because its folder does not have what it takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySetting:
    """One key: the party it signs for, and where it is.

    `heartbeat_s` is what it promised in the log: so many seconds between two statements at
    most, 0 for no promise.
    """

    party: str
    source: str
    heartbeat_s: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSetting:
    """Where the broker is and how to show who one is; None where nothing is said."""

    url: str | None = None
    client_id: str | None = None
    user: str | None = None
    password_file: Path | None = None
    state_topic: str | None = None
    tls: TlsFiles = field(default_factory=TlsFiles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `gateway.toml` says; `ledger` is None where only the command line can say it.

    `listen` is the address of the monitor, None for none.
    """

    folder: Path
    ledger: str | None
    origin: str
    log: str | None
    passphrase_file: str | None
    keys: tuple[KeySetting, ...]
    broker: BrokerSetting = field(default_factory=BrokerSetting)
    quota: Quota = field(default_factory=Quota)
    listen: tuple[str, int] | None = None


def load_settings(folder: Path) -> Settings:
    """Return the settings of the gateway in `folder`; raises `ParseError` with the line."""
    path = folder / FILE
    try:
        with path.open("rb") as file:
            data = file.read(SETTINGS_BYTES_MAX)
    except OSError as error:
        raise SettingsError(
            f"{path}: {error.strerror}; `tagtrail init --party …` writes one"
        ) from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ParseError(str(path), f"is no UTF-8 at byte {error.start}") from None
    return parse_settings(text, folder)


def parse_settings(text: str, folder: Path) -> Settings:
    """Return the settings that `text` writes, paths relative to `folder`."""
    root = parse_toml(text, str(folder / FILE))
    ledger, log = root.optional_text("ledger"), root.optional_text("log")
    if ledger is not None:
        root.check("ledger", parse_ledger_url, ledger)
    if log is not None:
        root.check("log", parse_vkey, log)
    keys = tuple(_parse_key(table) for table in root.tables("key"))
    if not keys:
        raise root.error("key", "is missing; a gateway signs with at least one")
    parties = [canonical_key(key.party) for key in keys]
    if len(set(parties)) != len(parties):
        raise root.error("key", "gives one party two keys")
    settings = Settings(
        folder=folder,
        ledger=ledger,
        origin=root.text("origin"),
        log=log,
        passphrase_file=root.optional_text("passphrase_file"),
        keys=keys,
        broker=_parse_broker(root.table("broker"), folder),
        quota=_parse_quota(root.table("spool")),
        listen=_parse_listen(root.table("monitor")),
    )
    root.close()
    return settings


def load_signers(settings: Settings) -> Mapping[str, tuple[str, Signer]]:
    """Return for each party's canonical key the issuer as written and its signer."""
    signers: dict[str, tuple[str, Signer]] = {}
    for key in settings.keys:
        source = key.source
        if not source.startswith(NO_PATH):
            source = str(settings.folder / source)
        passphrase = _load_passphrase(settings) if needs_passphrase(source) else b""
        signers[canonical_key(key.party)] = (key.party, load_signer(source, passphrase))
    return signers


def _parse_key(table: Table) -> KeySetting:
    party = table.check("party", parse_epc, table.text("party"))
    heartbeat_s = table.number("heartbeat_s", 0, _HEARTBEAT_BOUNDS)
    key = KeySetting(party=party, source=table.text("file"), heartbeat_s=heartbeat_s)
    table.close()
    return key


def _parse_broker(table: Table, folder: Path) -> BrokerSetting:
    def path(key: str) -> Path | None:
        text = table.optional_text(key)
        return None if text is None else folder / text

    setting = BrokerSetting(
        url=table.optional_text("url"),
        client_id=table.optional_text("client_id"),
        user=table.optional_text("user"),
        password_file=path("password_file"),
        state_topic=_parse_state_topic(table),
        tls=TlsFiles(ca=path("ca"), certificate=path("certificate"), key=path("key")),
    )
    table.close()
    return setting


def _parse_state_topic(table: Table) -> str | None:
    text = table.optional_text("state_topic")
    if text is not None:
        table.check("state_topic", lambda one: check_topic(one, "topic"), text)
    return "" if text == "none" else text


def _parse_quota(table: Table) -> Quota:
    quota = Quota(
        messages_max=table.number("messages_max", 0, _QUOTA_BOUNDS),
        bytes_max=table.number("bytes_max", 0, _QUOTA_BOUNDS),
        age_max_s=table.number("age_max_s", 0, _QUOTA_BOUNDS),
        refuse_after_s=table.number("refuse_after_s", 0, _QUOTA_BOUNDS),
        retain_days=table.number("retain_days", 0, _DAYS_BOUNDS),
    )
    table.close()
    return quota


def _parse_listen(table: Table) -> tuple[str, int] | None:
    text = table.optional_text("listen")
    table.close()
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > _PORT_MAX:
        raise table.error("listen", f"{text!r:.80} is not HOST:PORT")
    return host.strip("[]"), int(port)


def load_password(setting: BrokerSetting) -> str | None:
    """Return the broker's password, None where there is no file of it."""
    if setting.password_file is None:
        return None
    try:
        return setting.password_file.read_text("utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{setting.password_file}: cannot be read: {error}") from error


def _load_passphrase(settings: Settings) -> bytes:
    given = os.environ.get(PASSPHRASE_VARIABLE)  # noqa: TID251  # settings are parsed here
    if given:
        return given.encode()
    if settings.passphrase_file is None:
        raise SettingsError(
            f"no passphrase: set {PASSPHRASE_VARIABLE}, or passphrase_file in {FILE}"
        )
    path = settings.folder / settings.passphrase_file
    try:
        return path.read_bytes().removesuffix(b"\n")
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from error
