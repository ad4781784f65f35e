"""What cosigning costs those who append: nobody, three witnesses, one of them hanging.

    .venv/bin/python -m tests.bench.cosign [--quick]

The log takes statements of 32 events as fast as it can while its checkpoints are published
five times a second, in turns: without witnesses, with three that run beside it as processes
of their own, and with one of them stopped in the middle of its answers (SIGSTOP). Prints the
rate and the waits for acknowledgements, medians of several runs, and what each checkpoint
waited for its cosignatures.
"""

import argparse
import os
import platform
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread

from ledger.audit.trustfile import Trust
from ledger.federation.cosigning import Cosigning
from ledger.federation.witnessing import create_witness, load_witness_keys, trust_log
from ledger.store.publish import Publisher
from ledger.tlog.merkle import Hash
from ledger.tlog.note import Ed25519Signer, format_vkey
from ledger.tlog.policy import parse_policy
from tests.bench.append import Measured, append_all, copy_of, percentile
from tests.bench.workload import Work
from tests.ledger.store.parties import ORIGIN, World

NAMES = ("north", "south", "west")
EVENTS = 32
PUBLISH_EVERY_S = 0.2


@contextmanager
def witness(
    folder: Path, name: str, vkey: str
) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run a witness as a process; yield it and its line of a policy."""
    create_witness(folder, f"{name}.example")
    trust_log(folder, vkey)
    command = [sys.executable, "-m", "ledger.cli", "witness", "serve", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--dir", str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().removeprefix("listening on ").strip()
        yield process, f"witness {name} {load_witness_keys(folder).public[0]} {url}\n"
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.communicate(timeout=20)


def measure(work: Work, lines: str, waits: list[float]) -> Measured:
    """Append all of `work` on a fresh log that publishes under the policy `lines`."""
    with copy_of(work.world.folder) as folder, ExitStack() as stack:
        # A name of its own for every run: to the witnesses it is another log.
        log = stack.enter_context(closing(World(folder, log_key=work.world.log_key).open()))
        signer = Ed25519Signer(ORIGIN, work.world.log_key.key)
        names = " ".join(line.split()[1] for line in lines.splitlines())
        quorum = f"group all 2 {names}\nquorum all\n" if lines else "quorum none\n"
        policy = parse_policy(f"log {format_vkey(signer.key)}\n{lines}{quorum}")
        trust = Trust(origin=ORIGIN, entry0=Hash(bytes(32)), policy=policy)
        cosigning = stack.enter_context(closing(Cosigning(trust, log.reader, folder)))
        publisher = Publisher(
            origin=ORIGIN,
            reader=log.reader,
            signed=log.signed,
            signers=[signer],
            store_checkpoint=log.store_checkpoint,
            endorser=cosigning,
        )
        done = Event()

        def publish() -> None:
            while not done.wait(PUBLISH_EVERY_S):
                size, root = log.committed
                began = time.perf_counter()
                publisher.publish(size, root)
                waits.append(time.perf_counter() - began)

        thread = Thread(target=publish, daemon=True)
        thread.start()
        try:
            return append_all(log, work)
        finally:
            done.set()
            thread.join()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    runs, seconds = (1, 1.0) if quick else (5, 4.0)
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    with TemporaryDirectory() as name:
        work = Work(EVENTS)
        work.make(Path(name) / "log", seconds)
        vkey = format_vkey(Ed25519Signer(ORIGIN, work.world.log_key.key).key)
        results: dict[str, list[tuple[Measured, list[float]]]] = {}
        for run in range(runs):
            for case in ("nobody", "three witnesses", "one of them hangs"):
                with ExitStack() as stack:
                    lines = ""
                    for which in NAMES if case != "nobody" else ():
                        folder = Path(name) / f"{run}-{case[:3]}-{which}"
                        process, line = stack.enter_context(witness(folder, which, vkey))
                        lines += line
                        if case.startswith("one") and which == NAMES[0]:
                            process.send_signal(signal.SIGSTOP)
                    waits: list[float] = []
                    results.setdefault(case, []).append((measure(work, lines, waits), waits))
    show(results)


def show(results: dict[str, list[tuple[Measured, list[float]]]]) -> None:
    """Print medians, and ratios to the run without witnesses of the same turn."""
    base = [measured.rate for measured, _ in results["nobody"]]
    for case, runs in results.items():
        ratio = statistics.median(m.rate / b for (m, _), b in zip(runs, base, strict=True))
        p50, p99 = (
            statistics.median(percentile(m.waits, share) for m, _ in runs)
            for share in (0.5, 0.99)
        )
        published = [wait for _, waits in runs for wait in waits]
        print(
            f"{case:18} {statistics.median(m.rate for m, _ in runs):9,.0f} events/s, "
            f"{ratio:5.2f} of nobody's; acknowledged in p50 {p50:.0f} ms, p99 {p99:.0f} ms; "
            f"a checkpoint took {statistics.median(published) * 1e3:.0f} ms"
        )


if __name__ == "__main__":
    main()
