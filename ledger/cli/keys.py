"""`tagtrail keys`: makes keys and says in the log what they may do.

A key statement is signed by one key (`--by`) about another. The log is reached through its
folder (`--dir`, where no server runs) or through its server (`--ledger`), which also tells
where the chain of the signing key stands. The passphrase is TAGTRAIL_PASSPHRASE, or the
file `passphrase` in the folder of keys next to `--dir`.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ledger.config import find_passphrase, load_trust
from ledger.cose import Signer
from ledger.disclosure import Submission, encode_submission
from ledger.errors import ParseError, RefusedError, TagtrailError
from ledger.keyfile import (
    create_keyfile,
    load_signer,
    needs_passphrase,
    read_public_key,
    store_token_key,
)
from ledger.statement import (
    Body,
    Claims,
    Key,
    KeyOp,
    Last,
    Link,
    proof_of_possession,
    sign_statement,
)
from ledger.tlog.merkle import parse_hash

app = typer.Typer(no_args_is_help=True, help="Make keys, and say in the log what they may do.")

Folder = Annotated[Path | None, typer.Option("--dir", help="The ledger's folder.")]
Server = Annotated[str | None, typer.Option("--ledger", help="The URL of its server.")]
By = Annotated[str, typer.Option("--by", help="The key that signs the statement.")]
Kid = Annotated[str, typer.Argument(help="The key's kid in hex, or enough of its start.")]


@dataclass(frozen=True, slots=True)
class Reach:
    """The two ways to a log; one is given."""

    folder: Path | None
    url: str | None

    def load_signer(self, source: Path | str) -> Signer:
        """Return the signer whose key `source` names, opened by the passphrase found here."""
        return load_signer(
            source,
            find_passphrase(self.folder or Path()) if needs_passphrase(source) else b"",
        )

    def load_keys(self) -> tuple[str, list[dict[str, Any]]]:
        """Return the log's origin and its keys."""
        if self.url is not None:
            return _load_keys_over_http(self.url)
        if self.folder is None:
            raise ParseError("keys", "say --dir DIR or --ledger URL")
        from ledger.api.routes_keys import describe_keys  # noqa: PLC0415 - lazily
        from ledger.store.evidence import EvidenceReader  # noqa: PLC0415
        from ledger.store.recall import load_state  # noqa: PLC0415

        origin = load_trust(self.folder).origin
        reader = EvidenceReader(self.folder)
        try:
            return origin, describe_keys(load_state(reader, origin))
        finally:
            reader.close()

    def submit(self, statement: bytes) -> int:
        """Bring `statement` into the log and return its index, or raise what refused it."""
        submission = Submission(statement, ())
        if self.url is not None:
            from ledger.client.http import Accepted, CaptureClient  # noqa: PLC0415 - lazily

            with CaptureClient(self.url) as client:
                (result,) = client.submit([encode_submission(submission)])
            if isinstance(result, Accepted):
                return result.index
            raise RefusedError(result.check or result.problem, result.detail)
        assert self.folder is not None
        from ledger.app import open_ledger  # noqa: PLC0415 - lazily

        with open_ledger(self.folder) as ledger:
            return ledger.sequencer.submit(submission).result().index


def _load_keys_over_http(url: str) -> tuple[str, list[dict[str, Any]]]:
    import urllib3  # noqa: PLC0415 - lazily

    try:
        pool = urllib3.PoolManager(retries=False, timeout=10.0)
        with pool:
            origin = msgspec.json.decode(pool.request("GET", f"{url}/status").data)["origin"]
            keys = msgspec.json.decode(pool.request("GET", f"{url}/keys").data)["keys"]
    except (urllib3.exceptions.HTTPError, msgspec.DecodeError, LookupError, TypeError) as error:
        raise TagtrailError(f"{url} does not answer as a ledger does: {error}") from error
    return origin, keys


@app.command("make")
def make(
    path: Annotated[Path, typer.Argument(help="Where to write the key file.")],
    *,
    iss: Annotated[str, typer.Option(help="The URI of the party it will speak for.")],
    role: Annotated[str, typer.Option(help="party, gateway, device, log, privacy, …")],
    folder: Folder = None,
    token: Annotated[
        str | None, typer.Option(help="Make no key: name this one, by its PKCS#11 URI.")
    ] = None,
) -> None:
    """Make a key file; it may say nothing until it is enrolled."""
    if token is not None:
        public = store_token_key(path, token, (iss, role))
    else:
        passphrase = find_passphrase(folder or Path())
        public = create_keyfile(path, passphrase=passphrase, iss=iss, role=role)
    typer.echo(f"made {path}  kid {public.kid.hex()}")


@app.command("list")
def list_keys(
    *,
    folder: Folder = None,
    ledger: Server = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every key that was ever enrolled, with what became of it."""
    _, keys = Reach(folder, ledger).load_keys()
    if as_json:
        typer.echo(msgspec.json.encode(keys))
        return
    for key in keys:
        state = "suspended" if key["suspended"] else "valid"
        if key["ended_at"] is not None:
            state = f"ended at entry {key['ended_at']}"
        typer.echo(f"{key['kid'][:16]}  {key['role']:<8}  {state:<20}  {key['iss']}")


@app.command("admit")
@app.command("enrol")
def enrol(  # noqa: PLR0913 - one parameter for each option
    path: Annotated[str, typer.Argument(help="The key file to enrol.")],
    *,
    by: By,
    folder: Folder = None,
    ledger: Server = None,
    grade_max: Annotated[int, typer.Option(help="The highest grade it may claim.")] = 3,
    heartbeat_s: Annotated[int, typer.Option(help="Seconds between heartbeats, 0 none.")] = 0,
    prefix: Annotated[list[str] | None, typer.Option(help="A GS1 prefix; repeatable.")] = None,
) -> None:
    """Enrol a key: the operator admits a party, a party enrols its gateways and devices."""
    reach = Reach(folder, ledger)
    new = reach.load_signer(path)
    public = read_public_key(path)
    origin, _ = reach.load_keys()
    body = Key(
        op=KeyOp.ENROL,
        kid=parse_hash(public.kid),
        iss=public.iss,
        role=public.role,
        x=public.x,
        grade_max=grade_max,
        heartbeat_s=heartbeat_s,
        prefixes=tuple(prefix or ()),
        pop=proof_of_possession(new, aud=origin, iss=public.iss),
    )
    _say(reach, by, body)


@app.command("rotate")
def rotate(
    kid: Kid,
    path: Annotated[str, typer.Argument(help="The new key file.")],
    *,
    by: By,
    folder: Folder = None,
    ledger: Server = None,
) -> None:
    """Close a key and open a new one in its place, with the same powers."""
    reach = Reach(folder, ledger)
    new = reach.load_signer(path)
    origin, keys = reach.load_keys()
    old = find_key(keys, kid)
    body = Key(
        op=KeyOp.ROTATE,
        kid=parse_hash(bytes.fromhex(old["kid"])),
        iss=old["iss"],
        role=old["role"],
        x=new.x,
        last=last_of(old),
        grade_max=old["grade_max"],
        heartbeat_s=old["heartbeat_s"],
        prefixes=tuple(old["prefixes"]),
        pop=proof_of_possession(new, aud=origin, iss=old["iss"]),
    )
    _say(reach, by, body)


@app.command("epoch")
def epoch(kid: Kid, *, by: By, folder: Folder = None, ledger: Server = None) -> None:
    """Open a new epoch of a key that lost its state; lifts a suspension."""
    reach = Reach(folder, ledger)
    old = find_key(reach.load_keys()[1], kid)
    body = Key(
        op=KeyOp.NEW_EPOCH,
        kid=parse_hash(bytes.fromhex(old["kid"])),
        iss=old["iss"],
        role=old["role"],
        x=bytes.fromhex(old["x"]),
        epoch=old["epoch"] + 1,
        last=last_of(old),
        grade_max=old["grade_max"],
        heartbeat_s=old["heartbeat_s"],
        prefixes=tuple(old["prefixes"]),
    )
    _say(reach, by, body)


@app.command("revoke")
def revoke(kid: Kid, *, by: By, folder: Folder = None, ledger: Server = None) -> None:
    """End a key for good; what it signed before stands."""
    _end(Reach(folder, ledger), by, kid, KeyOp.REVOKE, None)


@app.command("suspend")
def suspend(kid: Kid, *, by: By, folder: Folder = None, ledger: Server = None) -> None:
    """Stop a key until a new epoch is opened for it."""
    _end(Reach(folder, ledger), by, kid, KeyOp.SUSPEND, None)


@app.command("compromised")
def compromised(
    kid: Kid,
    *,
    since: Annotated[int, typer.Option(help="The first entry that is not to be trusted.")],
    by: By,
    folder: Folder = None,
    ledger: Server = None,
) -> None:
    """End a key that somebody else holds, and mark what it signed since."""
    _end(Reach(folder, ledger), by, kid, KeyOp.COMPROMISED, since)


def find_key(keys: list[dict[str, Any]], kid: str) -> dict[str, Any]:
    """Return the one key whose kid starts with `kid`, or raise `ParseError`."""
    found = [key for key in keys if key["kid"].startswith(kid.lower())]
    if len(found) != 1:
        raise ParseError("kid", f"{len(found)} keys start with {kid!r}, want one")
    return found[0]


def last_of(key: dict[str, Any]) -> Last | None:
    """Return the newest logged statement of the key's chain, as a key statement names it."""
    if not key["next_seq"]:
        return None
    return Last(key["next_seq"] - 1, parse_hash(bytes.fromhex(key["last_id"])))


def _end(reach: Reach, by: str, kid: str, op: KeyOp, since: int | None) -> None:
    old = find_key(reach.load_keys()[1], kid)
    body = Key(
        op=op,
        kid=parse_hash(bytes.fromhex(old["kid"])),
        iss=old["iss"],
        role=old["role"],
        epoch=old["epoch"],
        suspect_since=since,
    )
    _say(reach, by, body)


def _say(reach: Reach, by: str, body: Key) -> None:
    """Sign `body` with the key `by`, at the end of its chain, and submit it."""
    signer = reach.load_signer(by)
    origin, keys = reach.load_keys()
    own = find_key(keys, signer.kid.hex())
    statement = sign_next(signer, origin, own, body)
    index = reach.submit(statement)
    typer.echo(f"entry {index}: {KeyOp(body.op).name.lower()} {body.kid.hex()}")


def sign_next(signer: Signer, origin: str, own: dict[str, Any], body: Body) -> bytes:
    """Return `body` as the next statement of the key `own`, where it keeps no other state."""
    if own["seen_size"]:
        raise ParseError("--by", "that key names checkpoints; sign where its state is kept")
    link = Link(own["epoch"], own["next_seq"], parse_hash(bytes.fromhex(own["last_id"])))
    return sign_statement(signer, Claims(own["iss"], origin, int(time.time())), link, body)
