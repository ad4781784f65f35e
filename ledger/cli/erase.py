"""`tagtrail erase`: says in the log that events are erased, and only then erases them.

    tagtrail erase --dir DIR --entry 12 --position 0 --position 3 --reason 1

The notice is signed by a privacy key (any event), a party's key (events under its issuer) or
the gateway's or device's own. Without `--by` it is the party's key in the ledger's folder.
A gateway keeps its own chain: signing for it elsewhere would make its next statement a second
one for the same place, which proves it a liar; so its key needs `--last-word`.

Exit codes: 0 erased, 1 refused, 2 usage.
"""

import secrets
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from ledger.cli.keys import Folder, Reach, Server, find_key, sign_next
from ledger.errors import ParseError, RefusedError
from ledger.statement import Erasure
from ledger.tlog.merkle import Hash
from ledger.trust.state import DEVICE, GATEWAY

SALT_BYTES = 16
WHO_START = b"tagtrail/who/v1\n"
OUT_OF_REACH = (
    "Out of reach: backups, what the source itself keeps, bundles that others hold, and what "
    "a reader of the database was looking at."
)

app = typer.Typer(add_completion=False)


@app.command()
def erase(  # noqa: PLR0913 - one for each option
    *,
    folder: Folder = None,
    ledger: Server = None,
    entry: Annotated[int, typer.Option(min=0, help="The entry that holds the events.")],
    position: Annotated[
        list[int], typer.Option(min=0, help="The event's place in its statement; repeatable.")
    ],
    reason: Annotated[
        int, typer.Option(min=0, help="0 none, 1 asked by a person, 2 retention, 3 mistake.")
    ],
    by: Annotated[
        str | None, typer.Option("--by", help="The key that signs the notice.")
    ] = None,
    who: Annotated[
        str, typer.Option(help="Who asked for it: only a salted hash gets into the log.")
    ] = "",
    last_word: Annotated[
        bool, typer.Option("--last-word", help="This gateway's key will sign nothing more.")
    ] = False,
) -> None:
    """Erase events: first the notice in the log, then their bytes, for good."""
    reach = Reach(folder, ledger)
    source = by or _party_key(folder, entry)
    signer = reach.load_signer(source)
    origin, keys = reach.load_keys()
    own = find_key(keys, signer.kid.hex())
    if own["role"] in (GATEWAY, DEVICE) and not last_word:
        raise RefusedError(
            "by", f"a {own['role']} keeps its own chain; use its party's key, or --last-word"
        )
    salt = secrets.token_bytes(SALT_BYTES)
    places = tuple(sorted({(entry, one) for one in position}))
    body = Erasure(places, reason, commit_who(salt, who))
    index = _submit(reach, sign_next(signer, origin, own, body))
    typer.echo(f"entry {index}: notice of the erasure of {len(places)} events of entry {entry}")
    if who:
        typer.echo(f"who asked is committed to with the salt {salt.hex()}: keep both")
    typer.echo(OUT_OF_REACH)


def commit_who(salt: bytes, who: str) -> Hash:
    """Return the salted commitment to whoever asked for an erasure."""
    return Hash(sha256(WHO_START + salt + who.encode(errors="surrogateescape")).digest())


def _party_key(folder: Path | None, entry: int) -> Path:
    """Return the key file, in the ledger's folder, of the party that signed `entry`."""
    if folder is None:
        raise ParseError("--by", "name the key that signs: a privacy key or the party's")
    from ledger.config import KEYS_NAME  # noqa: PLC0415
    from ledger.founding import key_file_name  # noqa: PLC0415 - only where the folder is here
    from ledger.store.evidence import EvidenceReader  # noqa: PLC0415
    from ledger.store.recall import load_statement  # noqa: PLC0415

    reader = EvidenceReader(folder)
    try:
        iss = load_statement(reader, entry).iss
    finally:
        reader.close()
    path = folder / KEYS_NAME / "parties" / key_file_name(iss)
    if not path.is_file():
        raise ParseError(
            "--by", f"the key of {iss} is not in {folder}; name one that may erase"
        )
    return path


def _submit(reach: Reach, statement: bytes) -> int:
    """Bring the notice into the log, which then erases; let the index follow it."""
    index = reach.submit(statement)
    if reach.url is None and reach.folder is not None:
        from ledger.app import open_source  # noqa: PLC0415 - only where the folder is here

        with open_source(reach.folder):
            pass
    return index
