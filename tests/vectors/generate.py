"""Write the test vectors of the evidence formats, or compare those that are checked in.

    python -m tests.vectors.generate            # write
    python -m tests.vectors.generate --check    # compare, exit 1 where one differs

Every vector is a JSON file named after its case or attack. Keys come from the SHA-256 of a
name, so the files are the same wherever they are made.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from tests.vectors import (
    bundle_cases,
    cose_cases,
    disclosure_cases,
    entry_cases,
    statement_cases,
    trust_body_cases,
    trust_cases,
    trust_key_cases,
)
from tests.vectors.scene import play, play_base

FOLDER = Path(__file__).parent


def cases_of(module: ModuleType) -> Iterator[str]:
    """Yield the names of the functions of `module` that are cases, in their order."""
    for name, value in vars(module).items():
        if callable(value) and getattr(value, "__module__", "") == module.__name__:
            annotations = getattr(value, "__annotations__", {})
            if list(annotations) == ["scene", "return"]:
                yield name


def trust_vectors() -> Iterator[tuple[str, dict[str, object]]]:
    yield "trust/full_cast", play_base().vector()
    for module in (trust_cases, trust_key_cases, trust_body_cases):
        for name in cases_of(module):
            base = "empty" if name.startswith("bootstrap") else "full_cast"
            yield f"trust/{name}", play(getattr(module, name), base=base).vector()


def vectors() -> Iterator[tuple[str, dict[str, object]]]:
    """Yield the name, folder first, and the content of every vector."""
    for module in (cose_cases, disclosure_cases, statement_cases, entry_cases, bundle_cases):
        yield from module.vectors()
    yield from trust_vectors()


def render(content: dict[str, object]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def main(arguments: list[str]) -> int:
    """Write or compare; return the exit code."""
    check = "--check" in arguments
    different = []
    for name, content in vectors():
        path = FOLDER / f"{name}.json"
        text = render(content)
        if not path.is_file() or path.read_text() != text:
            different.append(name)
            if not check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
    print(f"{len(different)} vectors {'differ' if check else 'written'}", *different)
    return 1 if check and different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
