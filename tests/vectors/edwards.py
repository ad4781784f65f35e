"""Edwards curve arithmetic by the book (RFC 8032 section 5.1), to forge what no library makes.

Slow, and it leaks its secrets through time: it signs test vectors, nothing else.
"""

from hashlib import sha256, sha512

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
_Point = tuple[int, int]
IDENTITY: _Point = (0, 1)


def recover_x(y: int, sign: int) -> int:
    """Return the x of the point with this y whose lowest bit is `sign`."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert x * x % P == square, "no point has this y"
    return x if x & 1 == sign else P - x


_BASE_Y = 4 * pow(5, -1, P) % P
BASE: _Point = (recover_x(_BASE_Y, 0), _BASE_Y)


def add(a: _Point, b: _Point) -> _Point:
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2 % P
    x = (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P
    return x, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P


def multiply(factor: int, point: _Point) -> _Point:
    total = IDENTITY
    while factor:
        if factor & 1:
            total = add(total, point)
        point, factor = add(point, point), factor >> 1
    return total


def encode(point: _Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def order_of(point: _Point) -> int | None:
    """Return the order of a point if it divides the cofactor, else None."""
    return next((n for n in (1, 2, 4, 8) if multiply(n, point) == IDENTITY), None)


def secret_scalar(seed: bytes) -> int:
    digest = bytearray(sha512(seed).digest()[:32])
    digest[0] &= 248
    digest[31] = digest[31] & 63 | 64
    return int.from_bytes(digest, "little")


def challenge(r: bytes, a: bytes, message: bytes) -> int:
    return int.from_bytes(sha512(r + a + message).digest(), "little") % L


def sign_with_nonce(name: str, message: bytes, *, nonce: int) -> bytes:
    """Return a valid signature, other than the usual one, of `signer_named(name)`."""
    a = secret_scalar(sha256(name.encode()).digest())
    r = encode(multiply(nonce, BASE))
    s = (nonce + challenge(r, encode(multiply(a, BASE)), message) * a) % L
    return r + s.to_bytes(32, "little")
