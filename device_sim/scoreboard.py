"""The score board: a report on answers as tables, for a terminal and for a document."""

from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table

from device_sim.measure import Share
from device_sim.score import ScoreReport
from device_sim.verdicts import VERDICTS

FINDINGS_SHOWN = 20


def print_score(report: ScoreReport, console: Console) -> None:
    """Print the tables of a score and the first findings."""
    title = f"{report.scenario}, seed {report.seed}: {report.items} items, {report.sold} sold"
    aspects = [(name, *map(str, counts.values())) for name, counts in report.aspects.items()]
    _print(console, ("claim", *_WORDS), aspects, title)
    if report.measures:
        rows = [
            (name, _say(one.precision), _say(one.recall))
            for name, one in report.measures.items()
        ]
        _print(console, ("measure", "precision (95 %)", "recall (95 %)"), rows)
    if report.faults:
        faults = [
            (
                one.kind, one.where, str(one.touched), str(one.complete), str(one.alarmed),
                str(one.harmed), _say(one.measure.precision), _say(one.measure.recall),
            )
            for one in report.faults
        ]  # fmt: skip
        _print(console, _FAULT_HEAD, faults)
    console.print(
        f"complete answers: {report.complete} of {report.items} ({report.share:.1%}); "
        f"sold items: {report.sold_complete} of {report.sold} ({report.sold_share:.1%})"
    )
    for finding in report.findings[:FINDINGS_SHOWN]:
        text = f"  {finding.verdict}: {finding.epc} {finding.aspect}: {finding.what}"
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    hidden = len(report.findings) - FINDINGS_SHOWN
    if hidden > 0:
        console.print(f"  and {hidden} more; --json prints all")


_COUNTED = (
    "messages", "repeats", "reads", "samples", "events", "unresolved", "quarantined_messages",
)  # fmt: skip
_WORDS = ("right", "named gap", "unknowable", "silent hole", "wrong")
_FAULT_HEAD = (
    "fault", "where", "touched", "complete", "alarmed", "harmed", "precision", "recall",
)  # fmt: skip


Scored = tuple[ScoreReport, Mapping[str, int]]


def format_scores(runs: Sequence[Scored], alone: Sequence[Scored], intro: Iterable[str]) -> str:
    """Return the scores of several runs as a Markdown page, each with the gateway's counts.

    `alone` are runs with one fault each, called by its kind.
    """
    reports, counts = [one for one, _ in runs], [counted for _, counted in runs]
    lines = [*intro, "", "## What the gateway made of it", ""]
    lines += _table(
        ("scenario", *(name.replace("_", " ") for name in _COUNTED)),
        (
            (one.scenario, *(str(counted.get(name, 0)) for name in _COUNTED))
            for one, counted in zip(reports, counts, strict=True)
        ),
    )
    lines += ["", "## Answers", ""]
    lines += _table(
        ("scenario", "items", "complete", *_WORDS),
        (
            (
                one.scenario, str(one.items), f"{one.share:.1%}",
                *(str(sum(counts[v] for counts in one.aspects.values())) for v in VERDICTS),
            )
            for one in reports
        ),
    )  # fmt: skip
    lines += ["", "Verdicts are counted over all aspects of all items.", "", "## Claims", ""]
    names = list(reports[0].measures) if reports else []
    for title in ("precision", "recall"):
        lines += [f"### {title.capitalize()}", ""]
        lines += _table(
            ("scenario", *names),
            (
                (one.scenario, *(_say(getattr(m, title)) for m in one.measures.values()))
                for one in reports
            ),
        )
        lines.append("")
    lines += ["## Faults", ""]
    lines += _table(
        ("scenario", *_FAULT_HEAD),
        (
            (
                report.scenario, one.kind, one.where, str(one.touched), str(one.complete),
                str(one.alarmed), str(one.harmed), _say(one.measure.precision),
                _say(one.measure.recall),
            )
            for report in reports
            for one in report.faults
        ),
    )  # fmt: skip
    if alone:
        lines += ["", "## Each fault by itself", "", *_ALONE, ""]
        lines += _table(
            (
                "fault", "complete", "named gap", "unknowable", "silent hole", "wrong",
                "quarantined", "unresolved", "refused", *_FAULT_HEAD[2:],
            ),
            (_row_alone(report, counted) for report, counted in alone),
        )  # fmt: skip
    return "\n".join(lines) + "\n"


_ALONE = (
    "A small dairy without a missed read, and one fault at a time. The first columns count",
    "over all aspects of all items, the last ones are the fault's own as above; `refused` are",
    "the statements that the ledger did not take.",
)


def _row_alone(report: ScoreReport, counted: Mapping[str, int]) -> list[str]:
    """Return the row of a fault that was alone; `-` where the truth has no label of it."""
    totals = [str(sum(counts[v] for counts in report.aspects.values())) for v in VERDICTS[1:]]
    own = next((one for one in report.faults if one.kind == report.scenario), None)
    numbers = ["-"] * 6
    if own is not None:
        numbers = [
            str(own.touched), str(own.complete), str(own.alarmed), str(own.harmed),
            _say(own.measure.precision), _say(own.measure.recall),
        ]  # fmt: skip
    names = ("quarantined_messages", "unresolved", "parked")
    said = [str(counted.get(name, 0)) for name in names]
    return [report.scenario, f"{report.share:.1%}", *totals, *said, *numbers]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]


def _print(
    console: Console, head: Sequence[str], rows: Iterable[Sequence[str]], title: str = ""
) -> None:
    table = Table(title=title or None, title_justify="left")
    for n, name in enumerate(head):
        table.add_column(name, justify="right" if n else "left")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _say(share: Share) -> str:
    """Return a share with its interval, `-` for none of nothing."""
    value, interval = share.value, share.interval
    if value is None or interval is None:
        return "-"
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
