"""`tagtrail timestamp`: lets an outside authority date checkpoints (RFC 3161)."""

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from ledger.audit.report import printable
from ledger.errors import RefusedError

app = typer.Typer(no_args_is_help=True, help="Date checkpoints by an outside authority.")

Roots = Annotated[Path, typer.Option("--root", help="The authority's root, PEM.")]


@app.command()
def ask(
    *,
    folder: Annotated[Path, typer.Option("--dir", help="The ledger's folder.")],
    authority: Annotated[str, typer.Option("--tsa", help="The authority's URL.")],
    root: Roots,
) -> None:
    """Have the newest checkpoint dated; keep it in DIR/timestamps."""
    from ledger.federation.timestamps import (  # noqa: PLC0415 - lazily: the server's packages
        load_roots,
        stamp_checkpoint,
    )
    from ledger.store.evidence import EvidenceReader  # noqa: PLC0415

    roots = load_roots(root)
    with closing(EvidenceReader(folder)) as reader:
        newest = reader.load_newest_checkpoint()
    if newest is None:
        raise RefusedError("not-yet", "nothing is published yet")
    when = stamp_checkpoint(folder, newest[1], authority, roots)
    typer.echo(
        printable(f"The checkpoint over {newest[0]} entries is dated {when.isoformat()}.")
    )


@app.command()
def verify(
    token: Annotated[Path, typer.Argument(help="The answer, SIZE.tsr.")],
    note: Annotated[Path, typer.Argument(help="The signed checkpoint, SIZE.note.")],
    *,
    root: Roots,
) -> None:
    """Verify, offline, when an authority saw a checkpoint; exit code 1 where it did not."""
    from ledger.federation.timestamps import load_roots, verify_timestamp  # noqa: PLC0415

    when = verify_timestamp(token.read_bytes(), note.read_bytes(), load_roots(root))
    typer.echo(printable(f"{note} was signed before {when.isoformat()}."))
