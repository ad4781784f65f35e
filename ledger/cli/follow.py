"""`tagtrail follow`: anchors the checkpoints of a partner's log in one's own."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ledger.audit.report import printable

app = typer.Typer(add_completion=False)


@app.command()
def follow(
    url: Annotated[str, typer.Argument(help="Where the partner's log is served.")],
    *,
    folder: Annotated[Path, typer.Option("--dir", help="The ledger's folder.")],
    vkey: Annotated[str, typer.Option(help="The partner's log key, from its trust.toml.")],
    every: Annotated[int, typer.Option(help="Seconds between two looks.")] = 3600,
) -> None:
    """Write into DIR/follow.toml that a log is followed, and anchor it at once.

    Where a server has the ledger, that server takes it over within seconds.
    """
    from ledger.app import follow_now  # noqa: PLC0415 - lazily: the server's packages
    from ledger.config import load_trust  # noqa: PLC0415
    from ledger.federation.anchoring import follow_log  # noqa: PLC0415

    load_trust(folder)
    one = follow_log(folder, url, vkey, every)
    done = follow_now(folder, one, now_us=lambda: time.time_ns() // 1000)
    if done is None:
        typer.echo(printable(f"The running server follows {one.key.name} from now on."))
    elif done.index is None:
        typer.echo(printable(f"{done.origin} has nothing to anchor yet."))
    else:
        typer.echo(printable(f"Entry {done.index} anchors size {done.size} of {done.origin}."))
