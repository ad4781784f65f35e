"""What an operator does beside the running gateway: doctor, tail, capture, parked."""

import dataclasses
import json
import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from ingest.brokerprobe import gives_one_id
from ingest.decode import Known, decode_message
from ingest.doctor import LEDGER_SECONDS_MAX, Ask, examine
from ingest.epochs import move_to_epoch
from ingest.folderlock import FolderLock
from ingest.health import read_health
from ingest.inbox import Inbox
from ingest.inboxreader import InboxReader
from ingest.link import Delivery, Link
from ingest.mqtt import Subscriber
from ingest.outbox import FILE as OUTBOX_FILE
from ingest.outbox import Outbox
from ingest.plan import Plan, find_stations
from ingest.pulse import wall_us
from ingest.readers.sparkplug import Node, Nodes
from ingest.reads import AGAIN_TOPIC, OWN_TOPICS, AgainMessage, Message, Read
from ingest.recording import format_recorded
from ingest.replay import require_folder_of_gateway
from ingest.settings import SettingsError, load_settings, load_signers
from ingest.site import NODE_PART
from ingest.start import find_broker, load_plan, own_client_id
from ingest.topics import check_topic_filter
from ledger.client.http import CaptureClient
from ledger.client.keys import fetch_keys
from ledger.epcis.times import format_time

EXIT_WARNED = 1
POLL_SECONDS = 0.2
_SHOWN_EPCS = 3
_COLOURS = {"ok": "green", "warning": "yellow", "fault": "red"}

FolderOption = Annotated[
    Path, typer.Option("--dir", help="The gateway's folder, or the ledger's that holds it.")
]

parked_app = typer.Typer(help="Statements that the ledger refused.", no_args_is_help=True)


class _JsonLines(logging.Formatter):
    """One JSON object a line: time, level, who, what."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": format_time(int(record.created * 1_000_000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


def printable(text: str, keep: str = "") -> str:
    """Return `text` with an escape for what would steer a terminal, but for `keep`."""
    if text.isprintable():
        return text
    return "".join(
        one
        if one.isprintable() or one in keep
        else one.encode("unicode_escape", "backslashreplace").decode()
        for one in text
    )


def start_logging() -> None:
    """Log as JSON lines on standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])


@parked_app.command("list")
def list_parked(
    *,
    folder: FolderOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the statements that the ledger refused, why, and how many wait behind each."""
    parked = read_health(require_folder_of_gateway(folder)).parked
    if as_json:
        rows = [
            {name: getattr(one, name) for name in one.__dataclass_fields__} for one in parked
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    for one in parked:
        typer.echo(f"key {one.kid[:16]} seq {one.seq}: {one.why} ({one.behind} wait behind it)")


@parked_app.command("retry")
def retry_parked(*, folder: FolderOption) -> None:
    """Let the parked statements try once more; the gateway may run meanwhile."""
    with Outbox(require_folder_of_gateway(folder)) as outbox:
        count = outbox.unpark()
    typer.echo(f"{count} statements will be sent once more")


def go_on_in_epoch(
    *,
    folder: FolderOption,
    ledger: Annotated[str, typer.Option(help="The ledger; else gateway.toml's.")] = "",
) -> None:
    """Go on with the folder's keys in the epochs that `tagtrail keys epoch` opened for them.

    The gateway must not run. What waits is signed anew, in the same order.
    """
    gateway_folder = require_folder_of_gateway(folder)
    settings = load_settings(gateway_folder)
    url = ledger or settings.ledger
    if not url:
        raise SettingsError("no ledger: give --ledger URL, or ledger in gateway.toml")
    told = fetch_keys(url, seconds=LEDGER_SECONDS_MAX)
    with (
        FolderLock(gateway_folder),
        Outbox(gateway_folder) as outbox,
        CaptureClient(url) as client,
    ):
        for party, signer in load_signers(settings).values():
            key = told.keys.get(signer.kid.hex())
            if key is None:
                raise SettingsError(f"{url} has no key {signer.kid.hex()[:16]}… of {party}")
            moved = move_to_epoch(outbox, client, signer, key, wall_us)
            who = f"{key.kid[:16]}… of {party}"
            if moved is None:
                typer.echo(f"{who} is in epoch {key.epoch} already")
            else:
                typer.echo(
                    f"{who} goes on in epoch {moved.epoch}: {moved.signed} statements signed"
                    f" anew, {moved.known} were in the ledger"
                )


def run_doctor(
    *,
    folder: FolderOption,
    plan: Annotated[Path, typer.Option(help="The capture plan, TOML.")],
    broker: Annotated[str, typer.Option(help="The broker; else gateway.toml's.")] = "",
    ledger: Annotated[str, typer.Option(help="The ledger; else gateway.toml's.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Look for what would lose data or stop the gateway: broker, clock, plan, keys, ledger.

    Exits 0 where nothing is found, 1 with a warning, 2 with a fault.
    """
    ask = Ask(
        folder=require_folder_of_gateway(folder),
        plan_path=plan,
        broker=broker,
        ledger=ledger,
    )
    findings = []
    console = Console(highlight=False, soft_wrap=True)
    for one in examine(ask):
        findings.append(one)
        if not as_json:
            line = Text(f"{one.level:<8}", style=_COLOURS[one.level])
            line += Text(f"{one.part:<8} {one.said}")
            console.print(line + Text(f" → {one.mend}" if one.mend else "", style="dim"))
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in findings], indent=2))
    levels = {one.level for one in findings}
    if "fault" in levels:
        raise typer.Exit(2)
    if "warning" in levels:
        raise typer.Exit(EXIT_WARNED)


def tail(
    *,
    folder: FolderOption,
    plan: Annotated[
        Path | None, typer.Option(help="The plan: its mappings, and the stations of a message.")
    ] = None,
    count: Annotated[int, typer.Option(help="End after so many messages; 0 for never.")] = 0,
    back: Annotated[int, typer.Option(min=0, help="Begin so many messages ago.")] = 10,
) -> None:
    """Show what comes into the inbox as it comes: reader, tags, what could not be taken."""
    shown_plan = None if plan is None else load_plan(plan)
    console = Console(highlight=False, soft_wrap=True)
    left = count
    gateway_folder = require_folder_of_gateway(folder)
    with InboxReader(gateway_folder):
        pass  # it has to be there: who looks makes no inbox
    known = _known(gateway_folder, shown_plan)
    with Inbox(gateway_folder) as inbox:
        cursor = max(inbox.newest_id() - back, 0)
        while True:
            messages = inbox.load_after(cursor, left or 100)
            for message in messages:
                cursor = message.id
                stations = find_stations(shown_plan, message.topic) if shown_plan else ()
                console.print(_line(message, [one.name for one in stations], known))
            left -= len(messages) if count else 0
            if count and left <= 0:
                return
            if not messages:
                time.sleep(POLL_SECONDS)


def _known(folder: Path, plan: Plan | None) -> Known:
    """Return what the gateway knows beside a message: the plan's, and Sparkplug's births."""
    nodes: dict[str, Node] = {}
    if (folder / OUTBOX_FILE).is_file():
        with Outbox(folder) as outbox:
            states = outbox.states()
        nodes = {
            name.removeprefix(NODE_PART): msgspec.msgpack.decode(data, type=Node)
            for name, data in states.items()
            if name.startswith(NODE_PART)
        }
    if plan is None:
        return Known(nodes=Nodes(known=nodes))
    return Known(nodes=Nodes(known=nodes), mappings=plan.mappings, keys=plan.device_keys)


def _line(message: Message, stations: list[str], known: Known) -> Text:
    line = Text(f"{format_time(message.received_us)} ", style="dim")
    line.append(f"{printable(message.topic)} ", style="cyan")
    if message.topic in OWN_TOPICS:
        return line.append(message.payload.decode("utf-8", "replace"), style="dim")
    decoded = decode_message(message, known)
    epcs = [one.epc for one in decoded.items if isinstance(one, Read)]
    if stations:
        line.append(f"[{', '.join(stations)}] ")
    line.append(f"{len(epcs)} reads, {len(decoded.items) - len(epcs)} other")
    for epc in epcs[:_SHOWN_EPCS]:
        line.append(f" {epc}", style="green")
    if len(epcs) > _SHOWN_EPCS:
        line.append(" …", style="green")
    for fault in decoded.faults[:_SHOWN_EPCS]:
        why = f" {fault.where}: {fault.why}".replace(" : ", " ")
        line.append(printable(why), style="red")
    return line


def capture(
    *,
    folder: FolderOption,
    output: Annotated[Path, typer.Argument(help="The file to write, NDJSON.")],
    topics: Annotated[
        list[str] | None, typer.Option("--topic", help="Topic filters; else the inbox.")
    ] = None,
    broker: Annotated[str, typer.Option(help="The broker; else gateway.toml's.")] = "",
    seconds: Annotated[float, typer.Option(min=0, help="End then; 0 for never.")] = 0,
    count: Annotated[int, typer.Option(help="End after so many messages; 0 for all.")] = 0,
) -> None:
    """Record messages for `replay`: those of the inbox, or with --topic those on the broker.

    On the broker it is a subscriber of its own, without a session, and takes nothing from
    the gateway. It ends by Ctrl-C; a broker that cannot be subscribed to exits 2.
    """
    gateway_folder = require_folder_of_gateway(folder)
    if not topics:
        done = _capture_inbox(gateway_folder, output, count)
    else:
        for topic in topics:
            check_topic_filter(topic, "topic")
        done = _capture_live(gateway_folder, output, (broker, topics), (seconds, count))
    typer.echo(f"{done} messages in {output}")


def _capture_inbox(folder: Path, output: Path, count: int) -> int:
    done, cursor = 0, 0
    with InboxReader(folder):
        pass  # it has to be there: what records makes no inbox
    with Inbox(folder) as inbox, output.open("wb") as file:
        while messages := inbox.load_after(cursor, 1_000):
            for one in messages:
                cursor = one.id
                topic, payload = one.topic, one.payload
                if topic == AGAIN_TOPIC:
                    said = msgspec.json.decode(payload, type=AgainMessage)
                    topic, payload = said.topic, said.payload
                if topic in OWN_TOPICS or one.oversize:
                    continue
                file.write(format_recorded(topic, payload, one.received_us))
                done += 1
                if done == count:
                    return done
    return done


def _capture_live(
    folder: Path, output: Path, where: tuple[str, list[str]], until: tuple[float, int]
) -> int:
    settings = load_settings(folder)
    url, credentials = find_broker(settings, where[0])
    over = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: over.set())
    done = 0
    client_id = f"{own_client_id(str(output.resolve()).encode())}-capture"
    with output.open("wb") as file:

        def write(delivery: Delivery) -> None:
            nonlocal done
            if over.is_set():
                return
            one = delivery.arrival
            file.write(format_recorded(one.topic, one.payload, one.received_us))
            done += 1
            if done == until[1]:
                over.set()

        link = Link(
            broker=url,
            client_id=client_id,
            on_delivery=write,
            on_state=_tell_once(),
            credentials=credentials,
            is_passing=True,
        )
        if credentials is not None and credentials.certificate and gives_one_id(link):
            name = credentials.certificate.name
            raise SettingsError(
                f"{url} gives whoever shows this certificate the client id {name!r:.80}, so"
                " the gateway would lose its session: record its inbox, without --topic"
            )
        wrong = listen(link, where[1], over, until[0] or None)
    if wrong is not None:
        raise SettingsError(wrong)
    return done


def _tell_once() -> Callable[[str | None], None]:
    """Return what says on standard error how the connection is, where that is news."""
    told: list[str | None] = [None]

    def tell(wrong: str | None) -> None:
        if wrong != told[0] and wrong is not None:
            typer.echo(wrong, err=True)
        told[0] = wrong

    return tell


def listen(
    link: Link, filters: list[str], over: threading.Event, seconds: float | None
) -> str | None:
    """Subscribe until `over` or so many seconds have passed; return why it never could."""
    subscriber = Subscriber(link, filters)
    subscriber.start()
    try:
        deadline = None if seconds is None else time.monotonic() + seconds
        is_met = False
        while not over.wait(POLL_SECONDS):
            is_met = is_met or subscriber.subscribed.is_set()
            if not is_met:
                subscriber.try_other_version()
            if deadline is not None and time.monotonic() >= deadline:
                break
        is_met = is_met or subscriber.subscribed.is_set()
        return None if is_met else subscriber.refused or f"{link.broker} did not answer"
    finally:
        over.set()
        subscriber.stop()
