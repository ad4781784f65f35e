"""Makes the vectors of notes, checkpoints, cosignatures and tiles by hand.

Nothing here imports the code under test. The private keys are hashes of their
names: they guard nothing.
"""

from base64 import b64encode
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.vectors.tlog.make_tree import EMPTY, mth

ORIGIN = "supplier.example/dairy-17"
TEXT = "The milk left the dairy.\nIt was cold.\n"


def b64(data: bytes) -> str:
    return b64encode(data).decode()


def private(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(
        sha256(b"tagtrail test key " + name.encode()).digest()
    )


def public(name: str) -> bytes:
    return private(name).public_key().public_bytes_raw()


def key_id(name: str, kind: int, key: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([kind]) + key).digest()[:4]


def vkey(name: str, kind: int = 1, key: bytes | None = None) -> str:
    key = public(name) if key is None else key
    return f"{name}+{key_id(name, kind, key).hex()}+{b64(bytes([kind]) + key)}"


def line(name: str, text: str) -> str:
    """A signature line of type 0x01."""
    signature = private(name).sign(text.encode())
    return f"— {name} {b64(key_id(name, 1, public(name)) + signature)}\n"


def cosignature(name: str, text: str, time: int) -> str:
    """A signature line of type 0x04."""
    signature = private(name).sign(f"cosignature/v1\ntime {time}\n{text}".encode())
    identity = key_id(name, 4, public(name))
    return f"— {name} {b64(identity + time.to_bytes(8, 'big') + signature)}\n"


def note_vectors() -> dict[str, Any]:
    """Notes, the keys known, and what comes of it."""
    one, two = "one.example", "two.example"
    first, second = line(one, TEXT), line(two, TEXT)
    broken = first[:60] + ("A" if first[60] != "A" else "B") + first[61:]
    broken_two = second[:60] + ("A" if second[60] != "A" else "B") + second[61:]
    keys = [vkey(one), vkey(two)]
    start = TEXT + "\n"
    other_id = f"— {one} {b64(b'abcd' + bytes(64))}\n"
    other_name = first.replace(one, "three.example")
    spare = "— three.example AAAAAAB=\n"
    verified = {
        "one-known-one-unknown": (start + first + second, keys[:1], [one]),
        "both-known": (start + first + second, keys, [one, two]),
        "unused-duplicated-verifier": (start + first, [*keys, keys[1]], [one]),
        "repeated-signature": (start + first + first, keys, [one]),
        "repeated-and-broken-unknown": (
            start + first + first + second + broken_two,
            keys[:1],
            [one],
        ),
        "known-name-with-unknown-id": (start + other_id + first, keys, [one]),
        "known-id-with-unknown-name": (start + other_name + first, keys, [one]),
        "hundred-signatures": (start + first + second * 99, keys[:1], [one]),
        "text-of-one-newline": ("\n\n" + line(one, "\n"), keys, [one]),
        "text-with-empty-lines": ("a\n\n\nb\n\n\n" + line(one, "a\n\n\nb\n\n"), keys, [one]),
        "text-with-delete-character": ("\x7f\n\n" + line(one, "\x7f\n"), keys, [one]),
    }
    refused = {
        "both-unknown": (start + first + second, [], "unverified"),
        "only-other-id": (start + other_id, keys, "unverified"),
        "only-other-name": (start + other_name, keys, "unverified"),
        "duplicated-verifier": (start + second, [keys[1], keys[0], keys[1]], "ambiguous"),
        "invalid-signature": (start + broken, keys, "bad signature"),
        "longer-signature": (start + first[:60] + "ABCD" + first[60:], keys, "bad signature"),
        "known-key-signs-well-then-badly": (start + first + broken, keys, "bad signature"),
        "other-text": ("The milk was warm.\n\n" + first, keys, "bad signature"),
        "hundred-and-one-signatures": (start + first * 101, keys, "malformed"),
        "no-signature-block": (TEXT, keys, "malformed"),
        "empty-signature-block": (start, keys, "malformed"),
        "last-newline-missing": (start + first[:-1], keys, "malformed"),
        "empty-line-missing": (TEXT + first, keys, "malformed"),
        "control-character": ("\x01" + start + first, keys, "malformed"),
        "carriage-return": (start.replace("\n", "\r\n") + first, keys, "malformed"),
        "tab": ("\t" + start + first, keys, "malformed"),
        "not-utf-8": ("\udcff" + start + first, keys, "malformed"),
        "unexpected-line": (start + first + "Unexpected line.\n", keys, "malformed"),
        "hyphen-for-dash": (start + first.replace("—", "-"), keys, "malformed"),
        "name-with-space": (start + first.replace(one, "one example"), keys, "malformed"),
        "name-with-plus": (start + first.replace(one, "one+example"), keys, "malformed"),
        "name-with-no-break-space": (
            start + first.replace(one, "one\u00a0e"),
            keys,
            "malformed",
        ),
        "name-missing": (start + first.replace(one, ""), keys, "malformed"),
        "signature-missing": (start + f"— {one}\n", keys, "malformed"),
        "signature-of-no-bytes": (start + f"— {one} {b64(b'abcd')}\n", keys, "malformed"),
        "signature-is-not-base64": (start + f"— {one} !!!!\n", keys, "malformed"),
        "base64-with-bits-to-spare": (start + first + spare, keys, "malformed"),
        "base64-without-padding": (start + first.rstrip("=\n") + "\n", keys, "malformed"),
    }
    made: dict[str, Any] = {}
    for name, (text, known, signers) in verified.items():
        made[name] = {"outcome": "verified", "keys": known, "signers": signers, "note": text}
    for name, (text, known, outcome) in refused.items():
        made[name] = {"outcome": outcome, "keys": known, "note": text}
    for case in made.values():
        case["note_hex"] = case.pop("note").encode(errors="surrogateescape").hex()
    return {f"note/{name}": case for name, case in made.items()}


def vkey_vectors() -> dict[str, Any]:
    """Verifier keys and their refusals."""
    name, key = "one.example", public("one.example")
    good = vkey(name)
    long = bytes([1]) + key + b"\x01"
    odd = sha256(b"one.example\n" + long).hexdigest()[:8]
    unknown = bytes([0x65]) + key
    unknown_id = sha256(b"one.example\n" + unknown).hexdigest()[:8]
    small, kind_1 = bytes(32), bytes([1])
    bad = {
        "wrong-key-id": f"{name}+00000000+{good.split('+', 2)[2]}",
        "key-id-in-capitals": good.replace(good.split("+")[1], good.split("+")[1].upper()),
        "key-id-of-other-kind": f"{name}+{key_id(name, 4, key).hex()}+{b64(kind_1 + key)}",
        "key-too-long": f"{name}+{odd}+{b64(long)}",
        "key-too-short": vkey(name, key=key[:31]),
        "kind-unknown": f"{name}+{unknown_id}+{b64(unknown)}",
        "kind-ecdsa": vkey(name, 2, key),
        "ml-dsa-key-too-short": vkey(name, 6, bytes(1311)),
        "small-order-key": vkey(name, key=small),
        "key-not-canonical": vkey(name, key=b"\xff" * 32),
        "no-key": f"{name}+00000000+",
        "two-parts": f"{name}+00000000",
        "no-parts": "",
        "not-base64": f"{name}+00000000+THIS_IS_NOT_BASE64!",
        "name-empty": good.replace(name, ""),
        "name-with-space": vkey("one example"),
        "name-with-newline": vkey("one\nexample"),
        "name-too-long": vkey("n" * 1025),
        "trailing-newline": good + "\n",
    }
    return {"vkey": {"good": [good, vkey(name, 4), vkey("\u00fc.example")], "bad": bad}}


def checkpoint(size: int, leaves: list[bytes], origin: str = ORIGIN) -> str:
    return f"{origin}\n{size}\n{b64(mth(leaves[:size]))}\n"


def checkpoint_vectors() -> dict[str, Any]:
    """Checkpoint bodies and their refusals."""
    root = b64(EMPTY)
    good = [f"{ORIGIN}\n0\n{root}\n", f"ü x+y\n1\n{root}\n", f"o\n{2**63 - 1}\n{root}\n"]
    bad = {
        "extension-line": f"{ORIGIN}\n1\n{root}\nextension\n",
        "root-missing": f"{ORIGIN}\n1\n",
        "last-newline-missing": f"{ORIGIN}\n1\n{root}",
        "empty-origin": f"\n1\n{root}\n",
        "origin-with-control-character": f"a\tb\n1\n{root}\n",
        "origin-too-long": f"{'o' * 1025}\n1\n{root}\n",
        "leading-zero": f"{ORIGIN}\n01\n{root}\n",
        "two-zeroes": f"{ORIGIN}\n00\n{root}\n",
        "signed-size": f"{ORIGIN}\n+1\n{root}\n",
        "negative-size": f"{ORIGIN}\n-1\n{root}\n",
        "size-with-space": f"{ORIGIN}\n1 \n{root}\n",
        "size-in-arabic-digits": f"{ORIGIN}\n\u0661\n{root}\n",
        "size-superscript": f"{ORIGIN}\n\u00b2\n{root}\n",
        "size-underscored": f"{ORIGIN}\n1_0\n{root}\n",
        "size-empty": f"{ORIGIN}\n\n{root}\n",
        "size-of-2-to-the-63": f"{ORIGIN}\n{2**63}\n{root}\n",
        "size-of-five-thousand-digits": f"{ORIGIN}\n{'9' * 5000}\n{root}\n",
        "root-too-short": f"{ORIGIN}\n1\n{b64(EMPTY[:31])}\n",
        "root-too-long": f"{ORIGIN}\n1\n{b64(EMPTY + EMPTY)}\n",
        "root-in-hex": f"{ORIGIN}\n1\n{EMPTY.hex()}\n",
        "root-without-padding": f"{ORIGIN}\n1\n{root[:-1]}\n",
        "root-with-bits-to-spare": f"{ORIGIN}\n1\n{root[:-2]}V=\n",
        "root-url-safe": f"{ORIGIN}\n1\n{root.replace('+', '-').replace('/', '_')}\n",
        "carriage-returns": f"{ORIGIN}\r\n1\r\n{root}\r\n",
    }
    return {"checkpoint": {"good": good, "bad": bad}}


def log_vectors() -> dict[str, Any]:
    """A log of 300 entries: signed checkpoints at every size up to 20 and at some above."""
    entries = [f"entry {number}".encode() for number in range(300)]
    leaves = [sha256(b"\x00" + entry).digest() for entry in entries]
    sizes = [*range(21), 255, 256, 257, 300]
    notes = {}
    for size in sizes:
        body = checkpoint(size, leaves)
        notes[str(size)] = f"{body}\n{line(ORIGIN, body)}"
    row = [mth(leaves[:256])]
    tiles = {
        "tile/0/000": b"".join(leaves[:256]),
        "tile/0/001.p/44": b"".join(leaves[256:]),
        "tile/0/000.p/17": b"".join(leaves[:17]),
        "tile/1/000.p/1": b"".join(row),
        "tile/entries/000": b"".join(len(e).to_bytes(2, "big") + e for e in entries[:256]),
        "tile/entries/001.p/44": b"".join(len(e).to_bytes(2, "big") + e for e in entries[256:]),
    }
    digests = {name: sha256(data).hexdigest() for name, data in tiles.items()}
    paths = {
        "0 0 256": "tile/0/000",
        "0 999 256": "tile/0/999",
        "0 1000 256": "tile/0/x001/000",
        "0 1234067 256": "tile/0/x001/x234/067",
        "63 0 1": "tile/63/000.p/1",
        "2 17 255": "tile/2/017.p/255",
        "entries 1234067 8": "tile/entries/x001/x234/067.p/8",
        f"0 {2**55 - 1} 256": "tile/0/x036/x028/x797/x018/x963/967",
    }
    bad = [
        "tile/64/000",
        "tile/00/000",
        "tile/-1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/000",
        "tile/0/001/067",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/08",
        "tile/0/000.p",
        "tile/0/000.p/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/x036/x028/x797/x018/x963/968",
        "tile/0/000\n",
        "tile/data/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/x001/x001/x001/x001/x001/x001/x001/001",
        "",
    ]
    return {
        "log": {"vkey": vkey(ORIGIN), "checkpoints": notes, "tile_sha256": digests},
        "tile-path": {"good": paths, "bad": bad},
    }


def cosignature_vectors() -> dict[str, Any]:
    body = checkpoint(7, [sha256(b"\x00%d" % n).digest() for n in range(7)])
    name = "witness.example/w1"
    signed = f"{body}\n{line(ORIGIN, body)}{cosignature(name, body, 1679315147)}"
    case = {"note": signed, "vkey": vkey(name, 4), "time": 1679315147, "name": name}
    return {"cosignature/ed25519": case}


def text_vectors() -> dict[str, Any]:
    """Return the content of each file, by its path without suffix."""
    return {
        **note_vectors(),
        **vkey_vectors(),
        **checkpoint_vectors(),
        **log_vectors(),
        **cosignature_vectors(),
    }
