"""Makes the vectors of policies, proof files and witness requests by hand.

Nothing here imports the code under test.
"""

from hashlib import sha256
from typing import Any

from tests.vectors.tlog.make_text import (
    ORIGIN,
    b64,
    checkpoint,
    cosignature,
    line,
    public,
    vkey,
)
from tests.vectors.tlog.make_tree import EMPTY, path, subtree_proof


def policy_vectors() -> dict[str, Any]:
    """Policies, and which sets of witnesses meet the quorum of a good one."""
    log = f"log {vkey(ORIGIN)}\n"
    w = {
        n: f"witness {n} {vkey(n + '.example', 4)}\n"
        for n in ("X1", "X2", "X3", "Y1", "Y2", "Y3")
    }
    groups = "group X 2 X1 X2 X3\ngroup Y any Y1 Y2 Y3\ngroup both all X Y\n"
    good = {
        "no-witness": (log + "quorum none\n", [[]], []),
        "no-log": ("quorum none\n", [[]], []),
        "one-witness": (log + w["X1"] + "quorum X1\n", [["X1"]], [[]]),
        "two-levels": (
            log + "".join(w.values()) + groups + "quorum both\n",
            [["X1", "X2", "Y3"], ["X1", "X2", "X3", "Y1", "Y2"]],
            [["X1", "X2"], ["X1", "Y1"], ["Y1", "Y2", "Y3"], []],
        ),
        "comments-and-space": (
            (
                "# a comment\n\n \t \n  #another \u00e9\n"
                f"\tlog \t{vkey(ORIGIN)}  https://l.example/ \nquorum\tnone\n"
            ),
            [[]],
            [],
        ),
        "witness-after-quorum": (log + "quorum none\n" + w["X1"], [[], ["X1"]], []),
        "url-and-unicode-name": (
            f"witness \u212a {vkey('k.example', 4)} https://w.example/\nquorum \u212a\n",
            [["\u212a"]],
            [["K"]],
        ),
        "octets-that-are-not-utf-8": (
            f"witness \udcff {vkey('k.example', 4)}\nquorum \udcff\n",
            [["\udcff"]],
            [[]],
        ),
        "names-that-are-keywords": (
            w["X1"].replace("X1 ", "all ", 1) + w["X2"] + "group 2 all all X2\nquorum 2\n",
            [["all", "X2"]],
            [["all"]],
        ),
        "space-of-other-kinds-parts-nothing": (
            w["X1"].replace("X1 ", "X\u00a01 ", 1) + "quorum X\u00a01\n",
            [["X\u00a01"]],
            [["X"]],
        ),
    }
    other_name = w["X2"].replace("X2 ", "X1 ", 1)
    same_key = f"witness Z {vkey('z.example', 4, public('X1.example'))}\n"
    three = w["X1"] + w["X2"] + w["X3"]
    bad = {
        "no-quorum": log,
        "two-quorums": log + "quorum none\nquorum none\n",
        "quorum-undefined": log + "quorum X1\n",
        "quorum-before-definition": "quorum X1\n" + w["X1"],
        "quorum-without-name": "quorum\n",
        "quorum-of-two-names": w["X1"] + "quorum X1 X1\n",
        "duplicate-log": log + log + "quorum none\n",
        "duplicate-log-key-under-other-name": log
        + f"log {vkey('z', 1, public(ORIGIN))}\nquorum none\n",
        "duplicate-witness-key": w["X1"] + same_key + "quorum none\n",
        "duplicate-witness-name": w["X1"] + other_name + "quorum none\n",
        "group-name-taken": w["X1"] + w["X2"] + "group X1 all X2\nquorum none\n",
        "witness-named-none": w["X1"].replace("X1 ", "none ", 1) + "quorum none\n",
        "group-named-none": w["X1"] + "group none all X1\nquorum none\n",
        "none-as-member": w["X1"] + "group G all X1 none\nquorum G\n",
        "member-twice": w["X1"] + "group G all X1 X1\nquorum G\n",
        "member-of-two-groups": w["X1"] + "group G all X1\ngroup H all X1\nquorum G\n",
        "member-undefined": w["X1"] + "group G all X1 X2\nquorum G\n",
        "group-of-itself": w["X1"] + "group G all G\nquorum G\n",
        "group-without-members": w["X1"] + "group G all\nquorum G\n",
        "threshold-0": three + "group G 0 X1 X2 X3\nquorum G\n",
        "threshold-above-members": three + "group G 4 X1 X2 X3\nquorum G\n",
        "threshold-with-leading-zero": three + "group G 02 X1 X2 X3\nquorum G\n",
        "threshold-of-a-word": three + "group G most X1 X2 X3\nquorum G\n",
        "threshold-huge": three + f"group G {'9' * 5000} X1 X2 X3\nquorum G\n",
        "log-with-cosigner-key": f"log {vkey(ORIGIN, 4)}\nquorum none\n",
        "witness-with-note-key": f"witness X {vkey('x')}\nquorum none\n",
        "log-with-bad-key": log.replace("A", "B", 1) + "quorum none\n",
        "log-with-too-many-words": log[:-1] + " https://a b\nquorum none\n",
        "unknown-keyword": "logs x\nquorum none\n",
        "control-character": "# \x01\nquorum none\n",
        "carriage-return": "quorum none\r\n",
        "delete-character": "# \x7f\nquorum none\n",
        "last-newline-missing": "quorum none",
        "empty": "",
    }
    return {
        "policy": {
            "good": {
                name: {
                    "policy_hex": text.encode(errors="surrogateescape").hex(),
                    "met": met,
                    "missed": missed,
                }
                for name, (text, met, missed) in good.items()
            },
            "bad": bad,
        }
    }


def proof_vectors() -> dict[str, Any]:
    leaves = [sha256(b"\x00%d" % n).digest() for n in range(7)]
    body = checkpoint(7, leaves)
    signed = f"{body}\n{line(ORIGIN, body)}{cosignature('w.example', body, 1)}"
    hashes = "".join(f"{b64(node)}\n" for node in path(4, leaves))
    head = "c2sp.org/tlog-proof@v1\n"
    policy = f"log {vkey(ORIGIN)}\nwitness w {vkey('w.example', 4)}\nquorum w\n"
    good = {
        "plain": f"{head}index 4\n{hashes}\n{signed}",
        "extra": f"{head}extra AAEC\nindex 4\n{hashes}\n{signed}",
    }
    bad = {
        "wrong-header": f"wrong-header\nindex 4\n{hashes}\n{signed}",
        "extra-not-base64": f"{head}extra !!notbase64!!\nindex 4\n{hashes}\n{signed}",
        "extra-empty": f"{head}extra \nindex 4\n{hashes}\n{signed}",
        "extra-after-index": f"{head}index 4\nextra AAEC\n{hashes}\n{signed}",
        "no-index": f"{head}\n\n{signed}",
        "no-index-but-hashes": f"{head}{hashes}\n{signed}",
        "index-not-a-number": f"{head}index notanumber\n{hashes}\n{signed}",
        "index-negative": f"{head}index -5\n{hashes}\n{signed}",
        "index-with-leading-zero": f"{head}index 04\n{hashes}\n{signed}",
        "index-of-2-to-the-63": f"{head}index {2**63 - 1}\n{hashes}\n{signed}",
        "hash-not-base64": f"{head}index 4\n!!notbase64!!\n\n{signed}",
        "hash-too-short": f"{head}index 4\nAAAA\n\n{signed}",
        "sixty-four-hashes": f"{head}index 4\n{(b64(EMPTY) + chr(10)) * 64}\n{signed}",
        "no-empty-line": f"{head}index 4\n{hashes}",
        "no-signatures": f"{head}index 4\n{hashes}\n{body}",
        "not-ascii": f"{head}index 4\n{hashes}é\n\n{signed}",
        "carriage-returns": good["plain"].replace("\n", "\r\n"),
    }
    return {"proof": {"good": good, "bad": bad, "policy": policy, "leaf": leaves[4].hex()}}


def witness_vectors() -> dict[str, Any]:
    """Requests to a witness that last cosigned size 4 of one log, and nothing of another."""
    leaves = [sha256(b"\x00%d" % n).digest() for n in range(8)]
    fork = [sha256(b"\x00fork").digest(), *leaves[1:]]
    new_log = "fresh.example/log"

    def request(old: object, new: int, proof: list[bytes] | None = None, **options: Any) -> str:
        origin, tree = options.get("origin", ORIGIN), options.get("tree", leaves)
        if proof is None:
            whole = 0 < int(str(old)) <= new and tree[:new]
            proof = subtree_proof(0, int(str(old)), whole, known=True) if whole else []
        body = options.get("body", checkpoint(new, tree, origin))
        lines = "".join(f"{b64(node)}\n" for node in proof)
        return f"old {old}\n{lines}\n{body}\n{options.get('lines', line(origin, body))}"

    body = checkpoint(7, leaves)
    broken = line(ORIGIN, body)[:-10] + "AAAAAAA==\n"
    empty_fork = f"{new_log}\n0\n{b64(leaves[0])}\n"
    cases = {
        "growth": (200, request(4, 7)),
        "same-size-again": (200, request(4, 4)),
        "first-checkpoint": (200, request(0, 7, origin=new_log)),
        "first-checkpoint-empty": (200, request(0, 0, origin=new_log)),
        "unknown-signature-besides": (
            200,
            request(4, 7, lines=line("x.example", body) + line(ORIGIN, body)),
        ),
        "no-old-line": (400, request(4, 7).removeprefix("old 4\n")),
        "old-with-leading-zero": (400, request(4, 7).replace("old 4", "old 04")),
        "old-not-a-number": (400, request(4, 7).replace("old 4", "old four")),
        "hash-not-base64": (400, request(4, 7).replace("\n", "\n!!\n", 1)),
        "sixty-four-hashes": (400, request(4, 7, [EMPTY] * 64)),
        "no-checkpoint": (400, "old 4\n"),
        "extension-line": (400, request(4, 7, body=body + "more\n")),
        "old-above-size": (400, request(5, 4, [])),
        "origin-unknown": (404, request(0, 7, origin="nobody.example")),
        "not-signed-by-the-log": (403, request(4, 7, lines=line("x.example", body))),
        "signature-broken": (403, request(4, 7, lines=broken)),
        "signature-of-other-size": (
            403,
            request(4, 7, lines=line(ORIGIN, checkpoint(8, leaves))),
        ),
        "old-too-small": (409, request(3, 7)),
        "old-too-large": (409, request(5, 7)),
        "old-zero-to-ask": (409, request(0, 7)),
        "old-not-zero-for-new-log": (409, request(1, 7, origin=new_log)),
        "fork": (422, request(4, 7, tree=fork)),
        "same-size-fork": (422, request(4, 4, tree=fork)),
        "same-size-with-proof": (422, request(4, 4, [EMPTY])),
        "proof-missing": (422, request(4, 7, [])),
        "proof-from-zero": (422, request(0, 7, [EMPTY], origin=new_log)),
        "empty-log-with-a-root": (422, request(0, 0, origin=new_log, body=empty_fork)),
    }
    return {
        "witness": {
            "logs": {origin: vkey(origin) for origin in (ORIGIN, new_log)},
            "latest": checkpoint(4, leaves),
            "cases": {
                name: {"status": status, "request": text}
                for name, (status, text) in cases.items()
            },
        }
    }


def judgement_vectors() -> dict[str, Any]:
    """Return the content of each file, by its path without suffix."""
    return {**policy_vectors(), **proof_vectors(), **witness_vectors()}
