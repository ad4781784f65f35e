"""`tagtrail proof`: fetches the file that shows that an entry is in a log."""

import time
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from ledger.audit.report import printable
from ledger.client.http import CaptureClient
from ledger.entry import parse_entry
from ledger.errors import ParseError, RefusedError
from ledger.statement import parse_statement

app = typer.Typer(add_completion=False)


@app.command()
def proof(
    index: Annotated[int, typer.Argument(min=0, help="The entry's index.")],
    *,
    url: Annotated[str | None, typer.Option(help="The URL of the ledger's server.")] = None,
    folder: Annotated[Path | None, typer.Option("--dir", help="The ledger's folder.")] = None,
    cose: Annotated[bool, typer.Option("--cose", help="A COSE receipt (RFC 9942).")] = False,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="The file to write.")] = None,
) -> None:
    """Write a C2SP tlog-proof with the entry in it, or a COSE receipt.

    A COSE receipt proves membership only; a tlog-proof is under a checkpoint.
    """
    if (url is None) == (folder is None):
        raise ParseError("proof", "give either --url or --dir")
    suffix = "receipt.cose" if cose else "tlog-proof"
    path = out or Path(f"entry-{index}.{suffix}")
    if url is not None:
        with CaptureClient(url) as client:
            data = client.fetch_cose_receipt(index) if cose else client.fetch_proof(index)
    else:
        assert folder is not None
        data = _prove(folder, index, cose=cose)
    path.write_bytes(data)
    typer.echo(printable(f"{path} shows entry {index}."))


def _prove(folder: Path, index: int, *, cose: bool) -> bytes:
    # Only here, so that asking a server needs no database toolkit.
    from ledger.app import open_receipt_key  # noqa: PLC0415
    from ledger.receipt import Claims, sign_receipt  # noqa: PLC0415
    from ledger.store.evidence import EvidenceReader  # noqa: PLC0415
    from ledger.tlog.checkpoint import parse_signed_checkpoint  # noqa: PLC0415
    from ledger.tlog.merkle import LeafIndex  # noqa: PLC0415
    from ledger.tlog.proof import TlogProof, format_tlog_proof  # noqa: PLC0415

    with closing(EvidenceReader(folder)) as reader:
        newest = reader.load_newest_checkpoint()
        if newest is None or index >= newest[0]:
            size = 0 if newest is None else newest[0]
            raise RefusedError("not-yet", f"the newest checkpoint covers {size} entries")
        size, note = newest
        entry, path = reader.load_entry(index), reader.prove_inclusion(LeafIndex(index), size)
        if not cose:
            signed = parse_signed_checkpoint(note)
            whole = TlogProof(index=LeafIndex(index), path=path, signed=signed, extra=entry)
            return format_tlog_proof(whole)
        signer, origin = open_receipt_key(folder, reader)
        sub = parse_statement(parse_entry(entry).statement).sub
        return sign_receipt(
            signer,
            Claims(origin=origin, sub=sub, iat=int(time.time())),
            index=LeafIndex(index),
            size=size,
            path=path,
            root=reader.tree(size).root(),
        )
