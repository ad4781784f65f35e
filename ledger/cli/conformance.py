"""`tagtrail conformance URL`: holds any EPCIS 2.0 server against the standard."""

import json
import secrets
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def conformance(
    *,
    url: Annotated[str, typer.Argument(help="Where the server's EPCIS 2.0 resources begin.")],
    run: Annotated[
        int | None, typer.Option(help="The number of the run; another one each time.")
    ] = None,
    wait: Annotated[float, typer.Option(help="Seconds that capture may take.")] = 60.0,
    failed: Annotated[
        bool, typer.Option("--failed", help="Print what is not met only.")
    ] = False,
    report: Annotated[
        Path | None, typer.Option("--json", help="Write the results to this file, too.")
    ] = None,
) -> None:
    """Capture events in a server, ask everything, and report each requirement.

    The server keeps the run's events. Ends with 1 where a requirement is not met.
    """
    from ledger.conformance.events import RUNS_MAX, Run  # noqa: PLC0415 - lazily
    from ledger.conformance.pack import run_pack  # noqa: PLC0415

    number = secrets.randbelow(RUNS_MAX) if run is None else run
    results = []
    for result in run_pack(url.rstrip("/"), Run(number), wait_s=wait):
        results.append(result)
        if not (failed and result.is_met):
            mark = "met    " if result.is_met else "NOT MET"
            print(f"{mark} {result.group:11} {result.requirement}", flush=True)
            if result.why:
                print(f"        {result.why}")
    unmet = [one for one in results if not one.is_met]
    print(f"{len(results) - len(unmet)} of {len(results)} requirements met (run {number})")
    if report is not None:
        rows = [
            {
                "group": one.group,
                "requirement": one.requirement,
                "met": one.is_met,
                "why": one.why,
            }
            for one in results
        ]
        report.write_text(json.dumps({"url": url, "run": number, "results": rows}, indent=1))
    if unmet:
        raise typer.Exit(1)
