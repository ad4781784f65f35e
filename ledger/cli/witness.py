"""`tagtrail witness`: cosigns the checkpoints of other people's logs (C2SP tlog-witness)."""

import logging
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ledger.audit.report import printable

app = typer.Typer(
    no_args_is_help=True, help="Cosign the checkpoints of logs, so that none tells two stories."
)

Folder = Annotated[Path, typer.Option("--dir", help="The witness's folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def init(
    folder: Folder,
    name: Annotated[str, typer.Option(help="Its name, such as witness.example/north.")],
) -> None:
    """Make a witness, and print what a log's policy has to say about it."""
    from ledger.federation.witnessing import (  # noqa: PLC0415 - lazily: the server's packages
        create_witness,
        load_witness_keys,
    )

    create_witness(folder, name)
    typer.echo(f"{printable(str(folder))} is a witness; in the policy of a log it is one of:")
    for key in load_witness_keys(folder).public:
        typer.echo(f"witness NAME {key} URL")
    typer.echo("Tell it which logs to cosign: tagtrail witness trust --dir DIR VKEY")


@app.command()
def trust(
    folder: Folder,
    vkey: Annotated[str, typer.Argument(help="The log's verifier key, from its trust.toml.")],
) -> None:
    """Cosign this log from now on; a running witness takes it over at once."""
    from ledger.federation.witnessing import trust_log  # noqa: PLC0415 - lazily

    trust_log(folder, vkey)


@app.command()
def serve(
    *,
    folder: Folder,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes any.")] = 8090,
) -> None:
    """Answer logs until SIGTERM or Ctrl-C.

    The first line on standard output is `listening on URL`, once requests are answered.
    """
    from ledger.api.server import bind, run_server  # noqa: PLC0415 - lazily
    from ledger.api.witness_application import create_witness_application  # noqa: PLC0415
    from ledger.federation.witnessing import WitnessService  # noqa: PLC0415

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    witness = WitnessService(folder, now_s=lambda: int(time.time()))
    try:
        with bind(host, port) as listener:
            run_server(
                create_witness_application(witness),
                listener,
                lambda url: print(f"listening on {url}", flush=True),
            )
    finally:
        witness.close()


@app.command(name="list")
def show(*, folder: Folder, as_json: AsJson = False) -> None:
    """List the logs it knows and the size that it cosigned last of each."""
    from ledger.federation.witnessing import list_logs  # noqa: PLC0415 - lazily

    rows = list_logs(folder)
    if as_json:
        typer.echo(msgspec.json.encode([{"origin": o, "size": s} for o, s in rows]).decode())
        return
    for origin, size in rows:
        typer.echo(printable(f"{size:>12}  {origin}"))
    if not rows:
        typer.echo("It knows no log yet: tagtrail witness trust --dir DIR VKEY")


@app.command()
def forks(
    *,
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="A folder for the proofs.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List signed checkpoints that were refused, and write what proves that a log forked.

    Exit code 1 where there is such a proof.
    """
    from ledger.federation.forks import find_forks  # noqa: PLC0415 - lazily

    found = find_forks(folder)
    rows = []
    for number, one in enumerate(found):
        path = None
        if out is not None and one.proof is not None:
            out.mkdir(parents=True, exist_ok=True)
            path = out / f"fork-{number}.json"
            path.write_bytes(one.proof)
        rows.append(
            {
                "origin": one.origin,
                "time": datetime.fromtimestamp(one.time_s, UTC).isoformat(),
                "why": one.why,
                "proves_a_fork": one.proof is not None,
                "file": str(path) if path else None,
            }
        )
    if as_json:
        typer.echo(msgspec.json.encode(rows).decode())
    for row in [] if as_json else rows:
        verdict = "proves a fork" if row["proves_a_fork"] else "proves nothing by itself"
        line = f"{row['time']}  {row['origin']}: {verdict}: {row['why']}"
        typer.echo(printable(line + (f" ({row['file']})" if row["file"] else "")))
    if not rows and not as_json:
        typer.echo("No signed checkpoint was refused.")
    if any(one.proof for one in found):
        raise typer.Exit(1)
