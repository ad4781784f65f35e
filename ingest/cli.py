"""`tagtrail gateway`: run live, replay recordings, say how it is, show the quarantine."""

import dataclasses
import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from ingest.daemon import Gateway, GatewayRun
from ingest.folderlock import FolderLock
from ingest.health import read_health, read_unresolved
from ingest.inbox import Inbox
from ingest.inboxreader import InboxReader, Quarantined
from ingest.operate import (
    capture,
    go_on_in_epoch,
    parked_app,
    printable,
    run_doctor,
    start_logging,
    tail,
)
from ingest.pipeline import now_us, retry_arrival
from ingest.replay import (
    DELIVERY_SECONDS_MAX,
    Replayed,
    read_recordings,
    replay,
    require_folder_of_gateway,
)
from ingest.settings import SettingsError, load_settings
from ingest.start import (
    choose_client_id,
    find_broker,
    load_plan,
    own_client_id,
    password_of,
)
from ingest.workers import parse_worker
from ledger.epcis.times import format_time

EXIT_INCOMPLETE = 1
# The wheel carries the example beside this module; a checkout has it among its documents.
_PACKED_PLAN = Path(__file__).with_name("default_plan.toml")
_EXAMPLE_PLAN = Path(__file__).parents[1] / "docs" / "examples" / "plan.toml"
DEFAULT_PLAN = _PACKED_PLAN if _PACKED_PLAN.is_file() else _EXAMPLE_PLAN
_COUNTS = (
    "messages",
    "repeats",
    "reads",
    "samples",
    "line_messages",
    "events",
    "statements",
    "entries",
    "gaps",
    "unresolved",
)
_SHOWN_MAX = 50

app = typer.Typer(
    name="gateway", help="Read tags and sensors; sign what happened.", no_args_is_help=True
)
quarantine_app = typer.Typer(help="What could not be taken, and why.", no_args_is_help=True)
app.add_typer(quarantine_app, name="quarantine")
app.add_typer(parked_app, name="parked")
app.command("doctor")(run_doctor)
app.command("epoch")(go_on_in_epoch)
app.command("tail")(tail)
app.command("capture")(capture)

FolderOption = Annotated[
    Path, typer.Option("--dir", help="The gateway's folder, or the ledger's that holds it.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("run")
def run_gateway(
    *,
    folder: FolderOption,
    plan: Annotated[Path, typer.Option(help="The capture plan, TOML.")],
    broker: Annotated[
        str, typer.Option(help="mqtt://[user:password@]host[:port]; else gateway.toml's.")
    ] = "",
    ledger: Annotated[str, typer.Option(help="The ledger's URL; else gateway.toml's.")] = "",
    client_id: Annotated[
        str, typer.Option(help="The MQTT client id, the same at each start.")
    ] = "",
    worker: Annotated[
        str, typer.Option(help="K/N: take the share of worker K of N of the plan's topics.")
    ] = "",
) -> None:
    """Run until SIGTERM or Ctrl-C: MQTT in, signed statements out, nothing lost between.

    The first line on standard output is `subscribed at BROKER`, once messages are kept.
    SIGHUP reads the plan and the certificate again.
    """
    start_logging()
    gateway_folder = require_folder_of_gateway(folder)
    settings = load_settings(gateway_folder)
    url = ledger or settings.ledger
    if not url:
        raise SettingsError("no ledger: give --ledger URL, or ledger in gateway.toml")
    with FolderLock(gateway_folder):
        where, credentials = find_broker(settings, broker)
        with Inbox(gateway_folder) as inbox:
            own = own_client_id(inbox.secret)
        gateway = Gateway(
            GatewayRun(
                settings=settings,
                plan=load_plan(plan),
                broker=where,
                ledger_url=url,
                client_id=choose_client_id(settings, credentials, client_id, own),
                load_plan=lambda: load_plan(plan),
                credentials=credentials,
                password=password_of(settings, where),
                worker=parse_worker(worker) if worker else None,
            )
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: gateway.stop())
        signal.signal(signal.SIGHUP, lambda *_: gateway.reload())
        gateway.run(lambda: typer.echo(f"subscribed at {where}"))


@app.command("replay")
def replay_files(
    *,
    files: Annotated[
        list[Path], typer.Argument(help="Recorded output: JSON, arrays, NDJSON, text.")
    ],
    folder: Annotated[
        Path, typer.Option("--dir", help="The ledger's folder; made where it is new.")
    ],
    plan: Annotated[Path, typer.Option(help="The capture plan, TOML.")] = DEFAULT_PLAN,
    ledger: Annotated[
        str, typer.Option(help="A running ledger's URL; else the one in DIR is served.")
    ] = "",
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for a ledger that is away.")
    ] = DELIVERY_SECONDS_MAX,
    as_json: JsonOption = False,
) -> None:
    """Take recorded reader output through the same line as live, to the last entry.

    Exits 0 when each message is accounted for and each statement is in the ledger, else 1.
    """
    done = replay(
        read_recordings(files),
        load_plan(plan),
        folder,
        ledger_url=ledger or None,
        patience_s=patience,
    )
    typer.echo(json.dumps(_replay_json(done), indent=2) if as_json else _replay_text(done))
    if not done.is_complete:
        raise typer.Exit(EXIT_INCOMPLETE)


@app.command("status")
def show_status(*, folder: FolderOption, as_json: JsonOption = False) -> None:
    """Say what came in, what became of it, what waits and what is stuck."""
    gateway_folder = require_folder_of_gateway(folder)
    health = read_health(gateway_folder)
    unresolved = read_unresolved(gateway_folder, _SHOWN_MAX)
    if as_json:
        said = dataclasses.asdict(health) | {
            "unresolved_list": [dataclasses.asdict(one) for one in unresolved]
        }
        typer.echo(json.dumps(said, indent=2))
        return
    lines = _count_lines({name: getattr(health, name) for name in _COUNTS})
    lines += _count_lines(
        {
            "quarantined": health.quarantined_messages,
            "unprocessed": health.unprocessed,
            "waiting": health.waiting,
            "parked": len(health.parked),
        }
    )
    lines += [
        f"parked: key {one.kid[:16]} seq {one.seq}: {one.why} ({one.behind} wait behind it)"
        for one in health.parked
    ]
    lines += [
        f"unresolved: {one.place} {format_time(one.first_us)}: {one.why}" for one in unresolved
    ]
    typer.echo("\n".join(lines))


@quarantine_app.command("list")
def list_quarantine(
    *,
    folder: FolderOption,
    count: Annotated[int, typer.Option(help="How many lines at most; -1 for all.")] = -1,
    as_json: JsonOption = False,
) -> None:
    """List what could not be taken: the message, the place in it, the reason."""
    with InboxReader(require_folder_of_gateway(folder)) as inbox:
        found = inbox.quarantine(count=count)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
        return
    for one in found:
        typer.echo(_quarantine_line(one))


@quarantine_app.command("retry")
def retry_quarantined(
    *,
    messages: Annotated[
        list[int] | None, typer.Argument(help="The messages' numbers; none for all.")
    ] = None,
    folder: FolderOption,
) -> None:
    """Take quarantined messages once more, as after a better plan; the gateway may run.

    Of a message of which a part was taken nothing is taken again, for that would be twice.
    """
    gateway_folder = require_folder_of_gateway(folder)
    with InboxReader(gateway_folder) as reader:
        found = reader.quarantine()
    listed = {one.message: one.taken for one in found}
    wanted = messages or sorted(listed)
    missing = [one for one in wanted if one not in listed]
    if missing:
        raise SettingsError(f"message {missing[0]} is not in quarantine")
    partly = [one for one in wanted if listed[one]]
    chosen = [one for one in wanted if not listed[one]]
    with Inbox(gateway_folder) as inbox:
        inbox.keep([retry_arrival(one, now_us()) for one in chosen])
    typer.echo(f"{len(chosen)} messages will be taken once more")
    if partly:
        typer.echo(f"{len(partly)} were taken in part, and stay: {partly[0]} …")


@quarantine_app.command("show")
def show_quarantined(
    *,
    message: Annotated[int, typer.Argument(help="The message's number, as listed.")],
    folder: FolderOption,
) -> None:
    """Show one message exactly as it was received, and why it was not taken.

    On a terminal, what would steer it is shown as an escape; in a pipe nothing is changed.
    """
    with InboxReader(require_folder_of_gateway(folder)) as inbox:
        found = inbox.message(message)
        faults = [one for one in inbox.quarantine(after=message - 1) if one.message == message]
    if found is None:
        raise SettingsError(f"there is no message {message} in the inbox")
    typer.echo(f"message   {found.id}")
    typer.echo(f"topic     {printable(found.topic)}")
    typer.echo(f"received  {format_time(found.received_us)}")
    typer.echo(f"sha256    {found.sha256.hex()}")
    for one in faults:
        why = f"{one.place + ': ' if one.place else ''}{one.why}"
        typer.echo(f"because   {printable(why)}")
    typer.echo(f"payload   {found.oversize or len(found.payload)} bytes")
    if found.properties:
        typer.echo(f"with      {found.properties.decode()}")
    text = found.payload.decode("utf-8", "backslashreplace")
    typer.echo(printable(text, keep="\n\t") if sys.stdout.isatty() else text)


def _count_lines(counts: dict[str, int]) -> list[str]:
    return [f"{name.replace('_', ' '):<14}{count:>9,}" for name, count in counts.items()]


def _quarantine_line(one: Quarantined) -> str:
    place = f" {one.place}" if one.place else ""
    return printable(f"  message {one.message}, {one.topic}{place}: {one.why}")


def _replay_text(done: Replayed) -> str:
    counts = {name: done.count(name) for name in _COUNTS}
    counts["quarantined"] = done.count("quarantined_messages")
    lines = _count_lines(counts)
    lines += [_quarantine_line(one) for one in done.quarantined]
    if done.undelivered is not None:
        lines.append(f"not delivered: {done.undelivered}")
    return "\n".join(lines)


def _replay_json(done: Replayed) -> dict[str, object]:
    said: dict[str, object] = {name: done.count(name) for name in _COUNTS}
    said["quarantined_messages"] = done.count("quarantined_messages")
    said["quarantined"] = [dataclasses.asdict(one) for one in done.quarantined]
    said["complete"] = done.is_complete
    said["undelivered"] = done.undelivered
    return said
