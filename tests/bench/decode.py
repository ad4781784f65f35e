"""How many reads a second the gateway's meaning takes on one core, without disk or broker.

    python -m tests.bench.decode [--quick]

Batches of 100 reads and single reads of each hot shape go through `decode_message` alone and
through `Site.take_message` (decode, tag data standard, clocks, passes, events). Each figure is
the best of several runs, in CPU time, beside `msgspec.json.decode` of the same bytes, which no
gateway in Python can beat.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence

import msgspec

from ingest.decode import decode_message
from ingest.drafts import Outcome
from ingest.reads import Message, message_hash
from ingest.site import Site
from tests.ingest.scene import OBSERVE, SECRET, STATION, T0, hex_of, plan_of

TAGS, BATCH, PASS_READS = 40, 100, 2_000  # 50 reads a tag and pass, as at a real gate
SHAPES = ("zebra", "impinj", "smartreader", "llrp", "plain")


def one_read(shape: str, n: int, at_us: int) -> dict[str, object]:
    """Return one read as its reader writes it, with the fields that are on by default."""
    when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_us // 1_000_000))
    millis = f"{when}.{at_us // 1_000 % 1_000:03d}"
    match shape:
        case "zebra":
            data = {
                "CRC": "0b18", "PC": "3000", "antenna": 1 + n % 2, "channel": 866.3,
                "eventNum": n, "format": "epc", "idHex": hex_of(n % TAGS).lower(),
                "peakRssi": -34, "phase": 148.04, "reads": 1,
            }  # fmt: skip
            return {"data": data, "timestamp": f"{millis}+0000", "type": "CUSTOM"}
        case "impinj":
            event = {
                "epcHex": hex_of(n % TAGS), "antennaPort": 1 + n % 2, "peakRssiCdbm": -6150,
                "lastSeenTime": f"{millis}Z", "frequency": 866_300, "phaseAngle": 12.5,
            }  # fmt: skip
            return {
                "timestamp": f"{millis}Z", "hostname": "impinj-1",
                "eventType": "tagInventory", "tagInventoryEvent": event,
            }  # fmt: skip
        case "smartreader":
            return {
                "epc": hex_of(n % TAGS), "isHeartBeat": False, "antennaPort": 1,
                "peakRssi": -50, "firstSeenTimestamp": f"{millis}000Z",
            }  # fmt: skip
        case "llrp":
            return {
                "EPC-96": hex_of(n % TAGS), "AntennaID": 1, "PeakRSSI": -53,
                "C1G2PC": 12_288, "FirstSeenTimestampUTC": at_us,
                "LastSeenTimestampUTC": at_us, "TagSeenCount": 1,
            }  # fmt: skip
        case _:
            return {"epc": hex_of(n % TAGS), "antenna": 1, "rssi": -50, "timestamp": at_us}


def messages_of(shape: str, count: int, size: int) -> list[Message]:
    """Return `count` messages of `size` reads, 2 ms apart, with a pause between passes."""
    found = []
    at_us = T0
    for number in range(count):
        reads = []
        for n in range(size):
            at_us += 2_000
            reads.append(one_read(shape, number * size + n, at_us))
        if number * size % PASS_READS < size:
            at_us += 5_000_000
        body: object = reads if size > 1 else reads[0]
        if shape == "smartreader":
            body = {"reader_name": "r", "mac_address": "00:16:25:00:00:01", "tag_reads": reads}
        if shape == "llrp":
            body = {"reader": "r", "message": "RO_ACCESS_REPORT", "TagReportData": reads}
        data = json.dumps(body, separators=(",", ":")).encode()
        found.append(
            Message(
                id=number,
                topic="gate/r",
                payload=data,
                received_us=at_us,
                sha256=message_hash("gate/r", data),
            )
        )
    return found


def bare(messages: Sequence[Message]) -> None:
    """Parse the JSON, and nothing else."""
    for one in messages:
        msgspec.json.decode(one.payload)


def decoded(messages: Sequence[Message]) -> None:
    """Decode the messages into reads."""
    for one in messages:
        assert not decode_message(one).faults


def meant(messages: Sequence[Message]) -> None:
    """Take the messages through the whole of the gateway's meaning."""
    site, outcome = Site(plan_of(STATION, OBSERVE)), Outcome(secret=SECRET)
    for one in messages:
        site.take_message(one, outcome)
    assert not outcome.faults


def rate(
    work: Callable[[Sequence[Message]], None], messages: list[Message], reads: int
) -> float:
    """Return the most reads a CPU second of several runs."""
    best = 0.0
    for _ in range(5):
        start = time.process_time()
        work(messages)
        best = max(best, reads / (time.process_time() - start))
    return best


def main() -> None:
    """Print one line for each shape and batch size."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    total = 4_000 if parser.parse_args().quick else 40_000
    print(f"{platform.machine()}, Python {platform.python_version()}, k reads per CPU second")
    print(f"{'shape':12} {'batch':>5} {'bare JSON':>10} {'decode':>8} {'meaning':>8}")
    for shape in SHAPES:
        for size in (BATCH, 1):
            messages = messages_of(shape, total // size, size)
            figures = [rate(one, messages, total) / 1_000 for one in (bare, decoded, meant)]
            print(f"{shape:12} {size:5} {figures[0]:10.0f} {figures[1]:8.0f} {figures[2]:8.0f}")


if __name__ == "__main__":
    main()
