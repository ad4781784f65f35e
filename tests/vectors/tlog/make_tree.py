"""Makes the tree vectors out of RFC 6962's own recursive definitions, naively.

Nothing here imports the code under test. Each attack is a function from a good
case to the bad cases made of it; its name is the name of the file.
"""

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

Case = dict[str, Any]
Attack = Callable[[Case], Iterator[Case]]

GARBAGE = sha256(b"garbage").digest()
RANDOM = sha256(b"random").digest()
SHORT = b"WrongRoot"
EMPTY = sha256(b"").digest()
INCLUSIONS = [(0, 1), (0, 8), (5, 8), (2, 3), (1, 5), (6, 7), (255, 256), (256, 300)]
CONSISTENCIES = [(1, 1), (1, 8), (6, 8), (2, 5), (6, 7), (4, 8), (7, 300), (256, 300)]
SUBTREES = [(0, 7, 8), (4, 7, 7), (8, 13, 14), (4, 8, 300), (256, 300, 300), (2, 3, 3)]
MULTIPROOFS = [([0], 1), ([1, 4], 7), ([0, 1, 2], 3), ([5], 8), ([0, 255, 256, 299], 300)]


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, over leaf hashes."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def split(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subtree_proof(start: int, end: int, leaves: list[bytes], *, known: bool) -> list[bytes]:
    """SUBTREE_SUBPROOF of merkle-tree-certs section 4.4.1; from 0 it is RFC 6962's SUBPROOF."""
    n = len(leaves)
    if start == 0 and end == n:
        return [] if known else [mth(leaves)]
    k = split(n)
    if end <= k:
        return [*subtree_proof(start, end, leaves[:k], known=known), mth(leaves[k:])]
    if start >= k:
        rest = subtree_proof(start - k, end - k, leaves[k:], known=known)
        return [*rest, mth(leaves[:k])]
    return [*subtree_proof(0, end - k, leaves[k:], known=False), mth(leaves[:k])]


def unlisted(indexes: list[int], leaves: list[bytes]) -> list[bytes]:
    """The multiproof of FORMATS section 5."""
    if not indexes:
        return [mth(leaves)]
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    left = unlisted([i for i in indexes if i < k], leaves[:k])
    return left + unlisted([i - k for i in indexes if i >= k], leaves[k:])


def leaf_hashes(size: int) -> list[bytes]:
    return [sha256(b"\x00entry %d" % number).digest() for number in range(size)]


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def proof_attacks(roots: list[str]) -> dict[str, Attack]:
    """Attacks on the hashes of any proof, given the names of its roots."""

    def with_proof(change: Callable[[Case], Iterator[list[bytes]]]) -> Attack:
        return lambda case: ({**case, "proof": proof} for proof in change(case))

    attacks: dict[str, Attack] = {
        "empty-proof": with_proof(lambda c: iter([[]] if c["proof"] else [])),
        "modified-proof": with_proof(
            lambda c: (
                [flip(h, 8 * at + 4) if i == at else h for i, h in enumerate(c["proof"])]
                for at in range(len(c["proof"]))
            )
        ),
        "swapped-hashes": with_proof(
            lambda c: iter([c["proof"][::-1]] if len(c["proof"]) > 1 else [])
        ),
        "preceding-garbage": with_proof(lambda c: iter([[GARBAGE, *c["proof"]]])),
        "trailing-garbage": with_proof(lambda c: iter([[*c["proof"], GARBAGE]])),
        "repeated-first-hash": with_proof(
            lambda c: iter([c["proof"][:1] + c["proof"]] if c["proof"] else [])
        ),
        "truncated-proof": with_proof(lambda c: iter([c["proof"][:-1]] if c["proof"] else [])),
        "removed-component": with_proof(lambda c: iter([c["proof"][1:]] if c["proof"] else [])),
        "inserted-component": with_proof(
            lambda c: iter([[c["proof"][0], GARBAGE, *c["proof"][1:]]] if c["proof"] else [])
        ),
        "short-hash": with_proof(
            lambda c: iter([[c["proof"][0][:31], *c["proof"][1:]]] if c["proof"] else [])
        ),
    }
    for root in roots:
        attacks[f"preceding-{root}"] = with_proof(lambda c, r=root: iter([[c[r], *c["proof"]]]))
        attacks[f"trailing-{root}"] = with_proof(lambda c, r=root: iter([[*c["proof"], c[r]]]))
        attacks[f"wrong-{root}"] = lambda c, r=root: iter([{**c, r: SHORT}, {**c, r: RANDOM}])
        attacks[f"empty-{root}"] = lambda c, r=root: iter([{**c, r: EMPTY}, {**c, r: b""}])
    return attacks


def number_attacks(names: list[str]) -> dict[str, Attack]:
    """Attacks on the numbers of a case."""
    changes: dict[str, Callable[[int], int]] = {
        "plus-1": lambda n: n + 1,
        "minus-1": lambda n: n - 1,
        "xor-2": lambda n: n ^ 2,
        "half": lambda n: n // 2,
        "double": lambda n: 2 * n,
        "huge": lambda n: n + 2**64,
    }
    return {
        f"{name}-{word}": lambda c, n=name, f=change: iter(
            [{**c, n: f(c[n])}] if f(c[n]) != c[n] else []
        )
        for name in names
        for word, change in changes.items()
    }


def inclusion() -> dict[str, list[Case]]:
    good = []
    for index, size in INCLUSIONS:
        leaves = leaf_hashes(size)
        proof = path(index, leaves)
        good.append(
            {
                "index": index,
                "size": size,
                "leaf": leaves[index],
                "root": mth(leaves),
                "proof": proof,
            }
        )
    attacks = proof_attacks(["root"]) | {
        name: attack
        for name, attack in number_attacks(["index", "size"]).items()
        # A size that leaves the path's shape as it was is not bound by an inclusion proof.
        if name not in ("size-plus-1", "size-minus-1", "size-xor-2")
    }
    attacks["wrong-leaf"] = lambda c: iter([{**c, "leaf": x} for x in (SHORT, RANDOM, b"")])
    attacks["everything-empty"] = lambda c: iter([{**c, "leaf": b"", "root": b"", "proof": []}])
    attacks["leaf-is-root"] = lambda c: iter(
        [{**c, "leaf": c["root"]}] if c["size"] > 1 else []
    )
    attacks["empty-tree"] = lambda c: iter(
        {**c, "size": 0, "index": index, "root": root, "proof": []}
        for index in (0, 1)
        for root in (EMPTY, c["root"], c["leaf"], b"")
    )
    return attacked(good, attacks)


def consistency() -> dict[str, list[Case]]:
    good = []
    for old, new in CONSISTENCIES:
        leaves = leaf_hashes(new)
        proof = subtree_proof(0, old, leaves, known=True)
        roots = {"old_root": mth(leaves[:old]), "new_root": mth(leaves)}
        good.append({"old_size": old, "new_size": new, **roots, "proof": proof})
    attacks = proof_attacks(["old_root", "new_root"]) | {
        name: attack
        for name, attack in number_attacks(["old_size", "new_size"]).items()
        if name not in ("new_size-plus-1", "new_size-minus-1", "new_size-xor-2")
    }
    attacks["swapped-roots"] = lambda c: iter(
        [{**c, "old_root": c["new_root"], "new_root": c["old_root"]}]
        if c["old_size"] < c["new_size"]
        else []
    )
    attacks["from-the-empty-tree"] = lambda c: iter(
        {**c, "old_size": 0, "new_size": size, "old_root": old, "new_root": new, "proof": proof}
        for size in (0, 1, c["new_size"])
        for old, new in ((EMPTY, EMPTY), (EMPTY, c["new_root"]), (RANDOM, RANDOM))
        for proof in ([], [EMPTY], c["proof"])
    )
    attacks["shrinking"] = lambda c: iter(
        [{**c, "old_size": c["new_size"] + 1}, {**c, "new_size": 0, "proof": []}]
    )
    attacks["same-size"] = lambda c: iter(
        {**c, "old_size": 1, "new_size": 1, "old_root": old, "new_root": new, "proof": proof}
        for old, new, proof in ((RANDOM, GARBAGE, []), (RANDOM, RANDOM, [RANDOM]))
    )
    return attacked(good, attacks)


def subtrees() -> dict[str, list[Case]]:
    good = []
    for start, end, size in SUBTREES:
        leaves = leaf_hashes(size)
        proof = subtree_proof(start, end, leaves, known=True)
        roots = {"old_root": mth(leaves[start:end]), "new_root": mth(leaves)}
        good.append({"start": start, "end": end, "size": size, **roots, "proof": proof})
    attacks = proof_attacks(["old_root", "new_root"]) | number_attacks(["start"])
    attacks["no-subtree"] = lambda c: iter(
        {**c, "start": start, "end": end}
        for start, end in ((1, 3), (3, 5), (1, 15), (2, 6), (6, 4))
    )
    attacks["empty-subtree"] = lambda c: iter(
        {**c, "start": start, "end": start, "size": size, "old_root": EMPTY, "proof": []}
        for start, size in ((0, 0), (1, 1), (1, c["size"]))
    )
    attacks["beyond-the-tree"] = lambda c: iter([{**c, "size": c["end"] - 1}])
    attacks["huge"] = lambda c: iter([{**c, "start": 0, "end": 2**63 + 2, "size": 2**63 + 2}])
    return attacked(good, attacks)


def multiproofs() -> dict[str, list[Case]]:
    good = []
    for indexes, size in MULTIPROOFS:
        leaves = leaf_hashes(size)
        listed = [[index, leaves[index]] for index in indexes]
        good.append(
            {
                "size": size,
                "leaves": listed,
                "root": mth(leaves),
                "proof": unlisted(indexes, leaves),
            }
        )
    attacks = proof_attacks(["root"])
    attacks["no-leaf"] = lambda c: iter([{**c, "leaves": [], "proof": [c["root"]]}])
    attacks["repeated-leaf"] = lambda c: iter([{**c, "leaves": c["leaves"][:1] + c["leaves"]}])
    attacks["unordered-leaves"] = lambda c: iter(
        [{**c, "leaves": c["leaves"][::-1]}] if len(c["leaves"]) > 1 else []
    )
    attacks["dropped-leaf"] = lambda c: iter([{**c, "leaves": c["leaves"][1:]}])
    attacks["wrong-leaf"] = lambda c: iter(
        [{**c, "leaves": [*c["leaves"][:-1], [c["leaves"][-1][0], RANDOM]]}]
    )
    attacks["index-beyond"] = lambda c: iter([{**c, "leaves": [[c["size"], c["root"]]]}])
    attacks["index-below"] = lambda c: iter([{**c, "leaves": [[-1, c["root"]], *c["leaves"]]}])
    attacks["size-half"] = number_attacks(["size"])["size-half"]
    attacks["size-double"] = number_attacks(["size"])["size-double"]
    attacks["size-huge"] = number_attacks(["size"])["size-huge"]
    return attacked(good, attacks)


def attacked(good: list[Case], attacks: dict[str, Attack]) -> dict[str, list[Case]]:
    """Return the good cases and each attack on all of them, by name."""
    made = {
        name: [bad for case in good for bad in attack(case)] for name, attack in attacks.items()
    }
    return {"happy-path": good} | made


def tree_vectors() -> dict[str, list[Case]]:
    """Return the cases of each file, by its path without suffix."""
    groups = {
        "inclusion": inclusion(),
        "consistency": consistency(),
        "subtree": subtrees(),
        "multiproof": multiproofs(),
    }
    return {
        f"{group}/{name}": [{"verifies": name == "happy-path"} | to_hex(case) for case in cases]
        for group, files in groups.items()
        for name, cases in files.items()
        if cases
    }


def to_hex(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case list():
            return [to_hex(item) for item in value]
        case dict():
            return {key: to_hex(item) for key, item in value.items()}
        case _:
            return value
