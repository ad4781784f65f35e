"""`tagtrail init`: makes a ledger, once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ledger.errors import ParseError

if TYPE_CHECKING:
    from ledger.app import Founded

app = typer.Typer()

Database = Annotated[
    str,
    typer.Option(
        "--db",
        metavar="URL",
        help="Keep its rows in this empty PostgreSQL database, postgresql://…; "
        "by default in files of the folder.",
    ),
]
DatabaseRole = Annotated[
    str,
    typer.Option(
        "--db-role",
        metavar="ROLE",
        help="The role that will serve it, made where it is missing; "
        "by default DATABASE_service.",
    ),
]


@app.command()
def init(  # noqa: PLR0913 - one for each option
    *,
    folder: Annotated[Path, typer.Option("--dir", help="A new or empty folder.")],
    origin: Annotated[
        str, typer.Option(help="The log's name for ever, such as tagtrail.example/demo.")
    ],
    operator: Annotated[
        str, typer.Option(help="The operator's URI; by default the origin as a URL.")
    ] = "",
    party: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IRI=NAME:PREFIX,…",
            help="Admit this party and enrol one gateway key for it; repeatable.",
        ),
    ] = None,
    ledger: Annotated[
        str, typer.Option(help="The URL under which the gateway will find the server.")
    ] = "http://127.0.0.1:8080",
    log_token: Annotated[
        str, typer.Option(help="The PKCS#11 URI of the log's key; by default a new key file.")
    ] = "",
    ml_dsa: Annotated[
        bool, typer.Option("--ml-dsa", help="Sign checkpoints with ML-DSA-44 too.")
    ] = False,
    database: Database = "",
    database_role: DatabaseRole = "",
) -> None:
    """Make a ledger: its keys, its first entries, its first checkpoint.

    The passphrase of the keys is TAGTRAIL_PASSPHRASE, or a new one in DIR/keys/passphrase.
    """
    from ledger.app import Founding, FoundingParty, create_ledger  # noqa: PLC0415 - lazily

    parties = tuple(
        FoundingParty(iss=iss, name=name, prefixes=prefixes)
        for iss, name, prefixes in map(parse_party, party or [])
    )
    founded = create_ledger(
        folder,
        Founding(
            origin=origin,
            operator=operator,
            parties=parties,
            ledger_url=ledger,
            log_token=log_token,
            ml_dsa=ml_dsa,
            database=database,
            database_role=database_role,
        ),
    )
    _tell(founded, folder, in_database=bool(database))


def _tell(founded: "Founded", folder: Path, *, in_database: bool) -> None:
    typer.echo(f"made the ledger {founded.origin} in {folder}")
    typer.echo(f"log key   {founded.vkey}")
    typer.echo(f"entry 0   {founded.entry0.hex()}")
    typer.echo(f"Give {folder / 'trust.toml'} to whoever will verify this log.")
    typer.echo(
        f"Take {folder / 'keys' / 'recovery.key'} offline: it can replace the admin key."
    )
    if founded.passphrase_made:
        typer.echo(
            f"The keys open with {folder / 'keys' / 'passphrase'}: keep it apart from them."
        )
    if in_database:
        typer.echo(f"Its rows are in the PostgreSQL database of {folder / 'database.toml'}.")
    typer.echo(f"Start it with: tagtrail serve --dir {folder}")


def parse_party(text: str) -> tuple[str, str, tuple[str, ...]]:
    """Return what IRI=NAME:PREFIX,… spells; NAME and prefixes may be missing."""
    iss, _, rest = text.partition("=")
    name, _, listed = rest.partition(":")
    prefixes = tuple(part for part in listed.split(",") if part)
    if not iss or ":" not in iss:
        raise ParseError("--party", f"{text!r} is not IRI=NAME:PREFIX,…")
    for prefix in prefixes:
        if not (prefix.isascii() and prefix.isdigit()):
            raise ParseError("--party", f"the GS1 prefix {prefix!r} is not all digits")
    return iss, name, prefixes
