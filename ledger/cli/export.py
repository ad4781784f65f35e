"""`tagtrail export`: writes a ledger's evidence as static files that anyone can verify."""

from pathlib import Path
from typing import Annotated

import typer

from ledger.audit.report import printable
from ledger.client.exporting import export_evidence

app = typer.Typer(add_completion=False)


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="The ledger's folder.", metavar="DIR")],
    out: Annotated[Path, typer.Argument(help="A folder to be made.", metavar="OUT")],
) -> None:
    """Write checkpoint, tiles, entries and events as files (C2SP tlog-tiles)."""
    size = export_evidence(folder, out)
    typer.echo(printable(f"{out} holds the evidence of {size} entries."))
    typer.echo("Verify it with: tagtrail verify OUT --trust TRUST.TOML")
