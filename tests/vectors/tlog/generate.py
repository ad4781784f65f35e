"""Writes the vectors of the log: `python -m tests.vectors.tlog.generate`.

Each file is named after its case or attack. The trees follow RFC 6962's own
recursive definitions and the texts are put together by hand, so no vector is
made by the code it tests. ML-DSA-44 signs at random: its one signature is kept
in `cosignature/ml-dsa-44.json` and is not written again.
"""

import json
from pathlib import Path

from tests.vectors.tlog.make_judgement import judgement_vectors
from tests.vectors.tlog.make_text import text_vectors
from tests.vectors.tlog.make_tree import tree_vectors

FOLDER = Path(__file__).parent


def files() -> dict[str, bytes]:
    """Return the bytes of each file, by its path in this folder."""
    made = {**tree_vectors(), **text_vectors(), **judgement_vectors()}
    # What replaces a lone surrogate is its escape in JSON.
    return {
        f"{name}.json": layout(value).encode(errors="backslashreplace")
        for name, value in sorted(made.items())
    }


def layout(value: object) -> str:
    """Return JSON with one case a line."""
    if isinstance(value, list):
        return "[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]\n"
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for name, data in files().items():
        target = FOLDER / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)
    print(f"wrote {len(files())} files")
