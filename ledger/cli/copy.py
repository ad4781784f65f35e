"""`tagtrail copy`: moves the rows of a ledger between files and PostgreSQL databases."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ledger.errors import ParseError

app = typer.Typer()

_SCHEMES = ("postgresql://", "postgres://")


@app.command()
def copy(
    source: Annotated[
        str, typer.Argument(help="Where the rows are: DIR or postgresql://…", metavar="FROM")
    ],
    target: Annotated[
        str,
        typer.Argument(
            help="Where they go: DIR, or the URL of an empty database as its owner.",
            metavar="TO",
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--dir", help="The ledger's folder, where neither FROM nor TO is it."),
    ] = None,
    role: Annotated[
        str, typer.Option("--db-role", metavar="ROLE", help="The role that will serve it.")
    ] = "",
) -> None:
    """Move a ledger's rows into another database, verifying every one; the folder stays.

    Nothing may serve the ledger meanwhile. A copy that is cut off goes on where it was when
    it is asked for again; until it is whole, the ledger is where it was.
    """
    from ledger.cli.progress import show_progress  # noqa: PLC0415 - lazily
    from ledger.config import load_trust  # noqa: PLC0415
    from ledger.founding import clock_us  # noqa: PLC0415
    from ledger.store.database import home_of  # noqa: PLC0415
    from ledger.store.moving import Move, move_ledger  # noqa: PLC0415

    place = _find_folder(source, target, folder)
    trust = load_trust(place)
    old = home_of(place).url
    if _place(source) != _place(old or ""):
        raise ParseError(
            "FROM", f"the rows of {place} are in {_place(old or '') or 'its files'}"
        )
    url = target if target.startswith(_SCHEMES) else None
    with ExitStack() as stack:

        def progress(done: int, size: int) -> Callable[[int], None]:
            if done:
                typer.echo(f"going on after {done} of {size} entries", err=True)
            return stack.enter_context(show_progress(size, "copying"))

        move = Move(folder=place, origin=trust.origin, url=url, role=role)
        size, _ = move_ledger(move, now_us=clock_us(), progress=progress)
    typer.echo(f"{size} entries of {trust.origin} are now in {_place(target) or target}")
    typer.echo(f"Verify them with: tagtrail verify {place}")


def _find_folder(source: str, target: str, folder: Path | None) -> Path:
    """Return the ledger's folder: the one of the two that is no URL, or `folder`."""
    named = {Path(one) for one in (source, target) if not one.startswith(_SCHEMES)}
    if folder is not None:
        named.add(folder)
    if len(named) != 1:
        raise ParseError("copy", "one of FROM and TO is the ledger's folder, or --dir names it")
    return named.pop()


def _place(text: str) -> str:
    """Return host and database of a URL, or nothing of a folder."""
    if not text.startswith(_SCHEMES):
        return ""
    return text.partition("://")[2].rpartition("@")[2].partition("?")[0]
