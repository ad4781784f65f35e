"""Seeded mutation of valid samples, and the vectors of a folder, for tests of parsers."""

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledger.errors import ParseError

FOLDER = Path(__file__).parents[1] / "vectors"


def load_vectors(folder: str) -> dict[str, dict[str, Any]]:
    """Return the vectors of a folder by name."""
    paths = sorted((FOLDER / folder).glob("*.json"))
    return {path.stem: json.loads(path.read_text()) for path in paths}


@dataclass
class Tally:
    """How many mutants were accepted, and how many refused."""

    accepted: int = 0
    refused: int = 0


def fuzz(samples: Sequence[bytes], respell: Callable[[bytes], bytes], *, count: int) -> Tally:
    """Mutate samples `count` times: each mutant is respelled as it is, or refused.

    `respell` parses and formats. Only `ParseError` may come out of it. The seed is in the
    environment as `TAGTRAIL_SEED`, 1 without, and is printed with what fails; so many more
    as `TAGTRAIL_FUZZ` says (a factor).
    """
    seed = int(os.environ.get("TAGTRAIL_SEED", "1"))
    count *= int(os.environ.get("TAGTRAIL_FUZZ", "1"))
    generator = random.Random(seed)
    tally = Tally()
    print(f"TAGTRAIL_SEED={seed}, {count} mutants of {len(samples)} samples")
    for number in range(count):
        mutant = mutate(generator, samples)
        try:
            spelled = respell(mutant)
        except ParseError:
            tally.refused += 1
            continue
        except BaseException as error:
            error.add_note(f"TAGTRAIL_SEED={seed}, mutant {number}: {mutant.hex()}")
            raise
        assert spelled == mutant, f"TAGTRAIL_SEED={seed}, mutant {number}: {mutant.hex()}"
        tally.accepted += 1
    print(Counter(accepted=tally.accepted, refused=tally.refused))
    return tally


def mutate(generator: random.Random, samples: Sequence[bytes]) -> bytes:
    """Return a sample with one to three changes of bits, bytes, spans or halves."""
    data = bytearray(generator.choice(samples))
    for _ in range(generator.randint(1, 3)):
        at = generator.randint(0, len(data))
        span = slice(at, at + generator.randint(1, 4))
        match generator.randrange(6):
            case 0 if data:
                data[at % len(data)] ^= 1 << generator.randrange(8)
            case 1 if data:
                data[at % len(data)] = generator.randrange(256)
            case 2:
                del data[span]
            case 3:
                data[at:at] = generator.randbytes(generator.randint(1, 3))
            case 4:
                data[at:at] = data[span]
            case 5:
                other = generator.choice(samples)
                data[at:] = other[generator.randint(0, len(other)) :]
            case _:
                pass
    return bytes(data)
