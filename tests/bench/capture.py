"""Captures documents of 100 events: events a second to durable, beside parsing alone.

    .venv/bin/python -m tests.bench.capture [--quick]

Measured in turns in the same run, over the same documents (each event a packing of 10 cartons):

    json.loads   the standard library reads the JSON
    judge        read the document, judge every event, hash it and write its parts
    seal         and sign, and check again as the sequencer does, without storing anything
    capture      hand over all documents at once; until the last one is durable in the log

`capture` is the server's own path without HTTP, under a real capture key. Medians of several
turns, each on a new ledger, by the clock and by processor time (of all threads: that of capture
has the index in it, which follows in the same process). Where others use the machine, too, the
processor time tells more.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger.app import Founding, create_ledger, open_ledger
from ledger.capture.handling import Handling
from ledger.capture.sealing import Sealer
from ledger.cose import Ed25519Signer
from ledger.epcis.received import ReceivedEvent, judge_document, read_document
from ledger.store.intake import verify_submission

EVENTS = 100
DOCUMENTS, DOCUMENTS_QUICK = 100, 10
TURNS, TURNS_QUICK = 5, 3
MEDIA = "application/ld+json"


def make_document(number: int) -> bytes:
    """Return a document of `EVENTS` packings, different for every number."""
    events = []
    for n in range(EVENTS):
        serial = (number * EVENTS + n) * 10
        events.append(
            {
                "eventID": f"urn:uuid:{sha256(b'%d' % serial).hexdigest()[:32]}",
                "type": "AggregationEvent",
                "action": "ADD",
                "eventTime": f"2026-01-05T06:{n % 60:02d}:00.000Z",
                "eventTimeZoneOffset": "+01:00",
                "parentID": f"urn:epc:id:sscc:9506000.{serial % 10**10:010d}",
                "childEPCs": [
                    f"urn:epc:id:sgtin:9506000.013435.{serial + k}" for k in range(10)
                ],
                "bizStep": "packing",
                "disposition": "in_progress",
                "readPoint": {"id": "urn:epc:id:sgln:9506000.00001.packer"},
                "bizTransactionList": [
                    {"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:9506000134369:4711"}
                ],
            }
        )
    head = {
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-01-05T12:00:00.000Z",
    }
    return json.dumps(head | {"epcisBody": {"eventList": events}}).encode()


def judge(data: bytes) -> list[ReceivedEvent]:
    """Return the judged events of a document."""
    document = read_document(data, MEDIA)
    return list(judge_document(document, cites=sha256(data).hexdigest()))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return how many seconds `work` takes, and how much processor time."""
    began, spent = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - spent


_Times = tuple[float, float]


def capture_all(folder: Path, documents: Sequence[bytes]) -> tuple[_Times, _Times]:
    """Return the seconds to seal, and to capture, `documents` on a new ledger."""
    create_ledger(folder, Founding(origin="tagtrail.example/bench"))
    with open_ledger(folder) as ledger:
        assert ledger.capture is not None
        record = next(k for k in ledger.log.keys().values() if k.role == "capture")
        sealer = Sealer(ledger.log, _Stranger(record.kid))
        judged = [judge(data) for data in documents]

        def seal() -> None:
            for data, events in zip(documents, judged, strict=True):
                submission, _ = sealer.seal(events, 0)
                verify_submission(submission, {}, document=data)

        sealing = timed(seal)
        reception = ledger.capture

        def run() -> None:
            taken = [reception.accept(data, MEDIA, Handling())[1] for data in documents]
            assert all(done.result().captured == EVENTS for done in taken)

        return sealing, timed(run)


class _Stranger:
    """A key of the bench's own, which goes by the kid of the ledger's."""

    def __init__(self, kid: bytes) -> None:
        self._signer = Ed25519Signer(bytes(32))
        self.kid = kid
        self.x = self._signer.x

    def sign(self, message: bytes) -> bytes:
        return self._signer.sign(message)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    documents = [make_document(n) for n in range(DOCUMENTS_QUICK if quick else DOCUMENTS)]
    events = EVENTS * len(documents)
    runs: dict[str, list[_Times]] = {}
    for turn in range(TURNS_QUICK if quick else TURNS):
        loads = timed(lambda: [json.loads(data) for data in documents])
        judging = timed(lambda: [judge(data) for data in documents])
        with TemporaryDirectory() as folder:
            sealing, capturing = capture_all(Path(folder) / f"ledger{turn}", documents)
        sealed = (judging[0] + sealing[0], judging[1] + sealing[1])
        steps = (loads, judging, sealed, capturing)
        for name, times in zip(("json.loads", "judge", "seal", "capture"), steps, strict=True):
            runs.setdefault(name, []).append(times)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{len(documents)} documents of {EVENTS} events, {len(documents[0]):,} bytes each")
    wall, cpu = _medians(runs["judge"])
    for name, times in runs.items():
        clock, spent = _medians(times)
        by_clock = f"{events / clock:>9,.0f} events/s ({clock / wall:5.2f} x judge)"
        by_processor = f"{events / spent:>9,.0f} a second of processor ({spent / cpu:5.2f} x)"
        print(f"{name:<10} {by_clock}  {by_processor}")


def _medians(times: Sequence[_Times]) -> _Times:
    return statistics.median(t[0] for t in times), statistics.median(t[1] for t in times)


if __name__ == "__main__":
    main()
