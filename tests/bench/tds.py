"""How many SGTIN-96 tags one core decodes in a second, epcpy beside it where it is there.

    .venv/bin/python -m tests.bench.tds [--quick]

Every tag is another (company prefixes of all lengths, serial numbers at random from a seed),
so that no cache helps. Both decode the same hex words, in turns, to the pure identity URN;
differences are counted. Medians of several turns, on one core, by processor time.

epcpy is no dependency: `pip install --target DIR epcpy`, then PYTHONPATH=DIR.
"""

import argparse
import importlib.util
import os
import platform
import random
import statistics
import time
from collections.abc import Callable

from ledger.gs1.tds import decode_epc_memory, encode_tag

TAGS, TAGS_QUICK = 20_000, 2_000
TAGS_OF_OTHER, TAGS_OF_OTHER_QUICK = 4_000, 500
TURNS, TURNS_QUICK = 9, 3
GOAL_PER_S = 100_000


def make_tags(count: int, turn: int) -> list[str]:
    """Return SGTIN-96 tags in hex, others in every turn, the same in every run."""
    dice = random.Random(turn)
    tags = []
    for _ in range(count):
        digits = dice.randrange(6, 13)
        prefix = f"{dice.randrange(10**digits):0{digits}d}"
        reference = f"{dice.randrange(10 ** (13 - digits)):0{13 - digits}d}"
        serial = dice.randrange(2**38)
        tags.append(encode_tag(f"urn:epc:tag:sgtin-96:1.{prefix}.{reference}.{serial}"))
    return tags


def find_other() -> Callable[[str], str] | None:
    """Return how epcpy decodes a tag to its pure identity, or None where it is not there."""
    if importlib.util.find_spec("epcpy") is None:
        return None
    from epcpy import hex_to_tag_encodable  # noqa: PLC0415 - only where it is there

    return lambda tag: str(hex_to_tag_encodable(tag).epc_uri)


def per_second(decode: Callable[[str], str], tags: list[str]) -> float:
    """Return tags per second of processor time."""
    began = time.process_time()
    for tag in tags:
        decode(tag)
    return len(tags) / (time.process_time() - began)


def ours(tag: str) -> str:
    """Return the pure identity that a tag names."""
    return decode_epc_memory(tag).epc_uri


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    other = find_other()
    mine, theirs, compared, differ = [], [], 0, 0
    for turn in range(TURNS_QUICK if quick else TURNS):
        tags = make_tags(TAGS_QUICK if quick else TAGS, turn)
        mine.append(per_second(ours, tags))
        if other is not None:
            fewer = tags[: TAGS_OF_OTHER_QUICK if quick else TAGS_OF_OTHER]
            theirs.append(per_second(other, fewer))
            compared += len(fewer)
            differ += sum(ours(tag) != other(tag) for tag in fewer)
    rate = statistics.median(mine)
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    spread = f"{min(mine):,.0f} to {max(mine):,.0f}"
    print(f"tagtrail  {rate:>10,.0f} SGTIN-96/s per core ({spread}; goal {GOAL_PER_S:,})")
    if other is None:
        print("epcpy     not installed here")
        return
    beside = statistics.median(theirs)
    print(f"epcpy     {beside:>10,.0f} SGTIN-96/s per core: tagtrail is {rate / beside:.1f} x")
    print(f"of {compared:,} tags they read {differ} differently")


if __name__ == "__main__":
    main()
