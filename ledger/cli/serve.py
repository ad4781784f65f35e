"""`tagtrail serve`: opens a ledger for writing and serves it over HTTP."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from ledger.errors import ParseError

app = typer.Typer()


@app.command()
def serve(  # noqa: PLR0913 - one for each option
    *,
    folder: Annotated[Path, typer.Option("--dir", help="The ledger's folder.")],
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 takes any.")] = 8080,
    callback_network: Annotated[
        list[str] | None,
        typer.Option(
            help="A network that subscribers may be in beside the public ones, such as "
            "127.0.0.0/8 or 10.1.0.0/16; may be given more than once."
        ),
    ] = None,
    publish_every: Annotated[
        float, typer.Option(help="Seconds between two checkpoints while there is news.")
    ] = 1.0,
    cosign_wait: Annotated[
        float, typer.Option(help="Seconds that witnesses have to cosign a checkpoint.")
    ] = 2.0,
    publish_lacking: Annotated[
        bool, typer.Option(help="Publish checkpoints that lack the quorum's cosignatures too.")
    ] = False,
    database: Annotated[
        str,
        typer.Option(
            "--db",
            metavar="URL",
            help="The PostgreSQL database; by default the one that the folder names.",
        ),
    ] = "",
    tsa: Annotated[
        str, typer.Option(help="Who dates a checkpoint once a day: an RFC 3161 URL.")
    ] = "",
    tsa_root: Annotated[
        Path | None, typer.Option(help="The root certificate of --tsa, PEM.")
    ] = None,
) -> None:
    """Serve a ledger until SIGTERM or Ctrl-C.

    The first line on standard output is `listening on URL`, once requests are answered.
    """
    from ledger.app import open_ledger  # noqa: PLC0415 - lazily: the server's packages
    from ledger.app import serve as serve_ledger  # noqa: PLC0415
    from ledger.config import ServeSettings  # noqa: PLC0415

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    if bool(tsa) != bool(tsa_root):
        raise ParseError("--tsa", "give --tsa and --tsa-root together")
    settings = ServeSettings(
        host=host,
        port=port,
        publish_every_s=publish_every,
        callback_networks=tuple(callback_network or ()),
        cosign_wait_s=cosign_wait,
        publish_lacking=publish_lacking,
        database=database,
        authority=tsa,
        authority_root=tsa_root,
    )
    with open_ledger(folder, settings) as ledger:
        serve_ledger(ledger, settings, on_listening=_say_listening)


def _say_listening(url: str) -> None:
    print(f"listening on {url}", flush=True)
