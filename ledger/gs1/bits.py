"""Text in bits: the character codings of GS1 TDS 2.3 sections 14.3 to 14.5.

    7-bit text     ISO 646, padded with zero bits to a fixed width
    6-bit text     the last six bits of ISO 646, closed by six zero bits
    4-bit digits   one digit each, closed by F, or by E where other text follows
    alphanumeric   three bits that name the coding, five of length, then the characters
    URN Code 40    three characters in sixteen bits

`BitReader` takes bits from the front and never reads past the end; `BitWriter` is its
inverse. Every refusal is a `ParseError`, which the caller turns into a raw tag.

Pure: no I/O, no clock, no randomness.
"""

from collections.abc import Callable

from ledger.errors import ParseError

LENGTH_BITS = 5  # of every alphanumeric value in an EPC: at most 30 characters

_WHERE = "EPC bits"
_CSET82 = frozenset(
    "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
)
_DIGITS = "0123456789"
_SIX_BITS = {ord(c) & 0x3F: c for c in "#-/" + _DIGITS + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
_SIX_OF = {c: code for code, c in _SIX_BITS.items()}
_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BASE64 = _UPPER + _UPPER.lower() + _DIGITS + "-_"
_CODE40 = "\0" + _UPPER + "-.:" + _DIGITS
_TERMINATOR, _DELIMITER = 0xF, 0xE
_TEN = 10


class BitReader:
    """Reads unsigned numbers off the front of a bit string; it alone keeps its place."""

    __slots__ = ("_left", "_value")

    def __init__(self, value: int, bits: int) -> None:
        self._value = value
        self._left = bits

    def take(self, bits: int) -> int:
        """Return the next `bits` as a number. Raises `ParseError` where too few are left."""
        if bits > self._left:
            raise ParseError(_WHERE, f"end {bits - self._left} bits too early")
        self._left -= bits
        return self._value >> self._left & (1 << bits) - 1

    def is_rest_zero(self) -> bool:
        """Say whether all that is left is padding."""
        return not self._value & (1 << self._left) - 1


class BitWriter:
    """Collects numbers into a bit string."""

    __slots__ = ("_bits", "_value")

    def __init__(self) -> None:
        self._value = 0
        self._bits = 0

    def put(self, value: int, bits: int) -> None:
        """Append `value` as a number of `bits`. Raises `ParseError` where it does not fit."""
        if value >> bits:
            raise ParseError(_WHERE, f"{value} does not fit in {bits} bits")
        self._value = self._value << bits | value
        self._bits += bits

    def to_hex(self) -> str:
        """Return all bits as upper-case hex, filled with zeros to whole 16-bit words."""
        padding = -self._bits % 16
        return f"{self._value << padding:0{(self._bits + padding) // 4}X}"


def decode_text7(value: int, bits: int) -> str:
    """Return the 7-bit text in a field of `bits`, which must not be empty."""
    chars = []
    shift = bits - 7
    while shift >= 0:
        char = chr(value >> shift & 0x7F)
        if char not in _CSET82:
            break
        chars.append(char)
        shift -= 7
    if not chars or value & (1 << shift + 7) - 1:
        raise ParseError(_WHERE, "hold no 7-bit text, or none that zeros fill up")
    return "".join(chars)


def encode_text7(text: str, bits: int) -> int:
    """Return the field of `bits` that holds `text`."""
    if not text or len(text) > bits // 7 or not _CSET82.issuperset(text):
        raise ParseError(
            _WHERE, f"{text[:40]!r} is not 1 to {bits // 7} characters of GS1's 82"
        )
    value = 0
    for char in text:
        value = value << 7 | ord(char)
    return value << bits - 7 * len(text)


def take_text6(reader: BitReader, longest: int) -> str:
    """Return 6-bit text up to its closing zero bits, at most `longest` characters."""
    chars: list[str] = []
    while code := reader.take(6):
        if len(chars) == longest or code not in _SIX_BITS:
            raise ParseError(_WHERE, f"hold no 6-bit text of up to {longest} characters")
        chars.append(_SIX_BITS[code])
    return "".join(chars)


def put_text6(writer: BitWriter, text: str, longest: int) -> None:
    """Append 6-bit text with its closing zero bits."""
    if len(text) > longest or not all(char in _SIX_OF for char in text):
        raise ParseError(_WHERE, f"{text[:40]!r} is not up to {longest} 6-bit characters")
    for char in text:
        writer.put(_SIX_OF[char], 6)
    writer.put(0, 6)


def take_digits(reader: BitReader, count: int) -> str:
    """Return `count` digits of four bits each."""
    digits = [reader.take(4) for _ in range(count)]
    if any(digit >= _TEN for digit in digits):
        raise ParseError(_WHERE, "hold four bits that are no digit")
    return "".join(map(str, digits))


def put_digits(writer: BitWriter, digits: str) -> None:
    """Append four bits for each digit."""
    for digit in digits:
        writer.put(int(digit), 4)


def take_delimited(reader: BitReader, longest: int) -> str:
    """Return text that begins with digits of four bits each (section 14.5.5)."""
    digits: list[str] = []
    while (code := reader.take(4)) < _TEN:
        digits.append(str(code))
        if len(digits) > longest:
            raise ParseError(_WHERE, f"hold more than {longest} digits")
    head = "".join(digits)
    if code == _TERMINATOR:
        return head
    if code != _DELIMITER:
        raise ParseError(_WHERE, "hold four bits that are no digit")
    tail = take_alphanumeric(reader, longest - len(head))
    if tail[0] in _DIGITS:
        raise ParseError(_WHERE, "hold a digit after the end of the digits")
    return head + tail


def put_delimited(writer: BitWriter, text: str, longest: int) -> None:
    """Append text that begins with digits, each in four bits."""
    tail = text.lstrip(_DIGITS)
    head = text[: len(text) - len(tail)]
    put_digits(writer, head)
    writer.put(_DELIMITER if tail else _TERMINATOR, 4)
    if tail:
        put_alphanumeric(writer, tail, longest - len(head))


def take_number(reader: BitReader, length_bits: int, longest: int) -> str:
    """Return a number of digits, leading zeros kept, after its length (section 14.5.13)."""
    return _take_integer(reader, _length(reader.take(length_bits), longest))


def put_number(writer: BitWriter, digits: str, length_bits: int) -> None:
    """Append the length of `digits` and their value."""
    writer.put(len(digits), length_bits)
    _put_integer(writer, digits)


def _take_integer(reader: BitReader, length: int) -> str:
    value = reader.take(_integer_bits(length))
    if value >= 10**length:
        raise ParseError(_WHERE, f"hold {value}, which has more than {length} digits")
    return f"{value:0{length}d}"


def _put_integer(writer: BitWriter, digits: str) -> None:
    writer.put(int(digits), _integer_bits(len(digits)))


def _integer_bits(digits: int) -> int:
    largest: int = 10**digits - 1
    return largest.bit_length()


def _length(length: int, longest: int) -> int:
    if not 0 < length <= longest:
        raise ParseError(_WHERE, f"hold a length of {length}, not 1 to {longest}")
    return length


def take_code40(reader: BitReader, length: int) -> str:
    """Return `length` characters of URN Code 40 (section 14.5.6.5)."""
    chars = ""
    for _ in range(-(-length // 3)):
        packed = reader.take(16) - 1
        triple = (packed // 1600, packed // 40 % 40, packed % 40)
        if not 0 <= packed < len(_CODE40) ** 3:
            raise ParseError(_WHERE, "hold no URN Code 40")
        chars += "".join(_CODE40[code] for code in triple)
    text = chars.rstrip("\0")
    if len(text) != length or "\0" in text:
        raise ParseError(_WHERE, f"hold URN Code 40 that is not {length} characters long")
    return text


def put_code40(writer: BitWriter, text: str) -> None:
    """Append `text` in URN Code 40, three characters in sixteen bits."""
    padded = text + "\0" * (-len(text) % 3)
    for at in range(0, len(padded), 3):
        one, two, three = (_CODE40.index(char) for char in padded[at : at + 3])
        writer.put(1600 * one + 40 * two + three + 1, 16)


def _taker(alphabet: str, bits: int) -> Callable[[BitReader, int], str]:
    def take(reader: BitReader, length: int) -> str:
        return "".join(alphabet[reader.take(bits)] for _ in range(length))

    return take


def _putter(alphabet: str, bits: int) -> Callable[[BitWriter, str], None]:
    def put(writer: BitWriter, text: str) -> None:
        for char in text:
            writer.put(alphabet.index(char), bits)

    return put


def _take_ascii(reader: BitReader, length: int) -> str:
    text = "".join(chr(reader.take(7)) for _ in range(length))
    if not (_CSET82 | {"#"}).issuperset(text):
        raise ParseError(_WHERE, "hold 7 bits that are no character of GS1's 82")
    return text


def _put_ascii(writer: BitWriter, text: str) -> None:
    for char in text:
        writer.put(ord(char), 7)


# Table E: the coding's number is its place here; width is bits for each character.
_TAKERS: tuple[Callable[[BitReader, int], str], ...] = (
    _take_integer,
    _taker("0123456789ABCDEF", 4),
    _taker("0123456789abcdef", 4),
    _taker(_BASE64, 6),
    _take_ascii,
    take_code40,
)
_PUTTERS: tuple[
    tuple[frozenset[str], Callable[[int], int], Callable[[BitWriter, str], None]], ...
]
_PUTTERS = (
    (frozenset(_DIGITS), _integer_bits, _put_integer),
    (frozenset("0123456789ABCDEF"), lambda n: 4 * n, _putter("0123456789ABCDEF", 4)),
    (frozenset("0123456789abcdef"), lambda n: 4 * n, _putter("0123456789abcdef", 4)),
    (frozenset(_BASE64), lambda n: 6 * n, _putter(_BASE64, 6)),
    (_CSET82 | {"#"}, lambda n: 7 * n, _put_ascii),
    (frozenset(_CODE40) - {"\0"}, lambda n: 16 * -(-n // 3), put_code40),
)


def take_alphanumeric(reader: BitReader, longest: int) -> str:
    """Return text of 1 to `longest` characters in the coding that its bits name."""
    coding = reader.take(3)
    length = _length(reader.take(LENGTH_BITS), longest)
    if coding >= len(_TAKERS):
        raise ParseError(_WHERE, f"name the coding {coding}, which is reserved")
    return _TAKERS[coding](reader, length)


def put_alphanumeric(writer: BitWriter, text: str, longest: int) -> None:
    """Append text in the coding that takes the fewest bits, the first of those that tie."""
    if not 0 < len(text) <= longest:
        raise ParseError(_WHERE, f"{text[:40]!r} is not 1 to {longest} characters")
    fitting = [
        (width(len(text)), coding)
        for coding, (alphabet, width, _) in enumerate(_PUTTERS)
        if alphabet.issuperset(text)
    ]
    if not fitting:
        raise ParseError(_WHERE, f"{text[:40]!r} has a character outside of GS1's 82")
    _, coding = min(fitting)
    writer.put(coding, 3)
    writer.put(len(text), LENGTH_BITS)
    _PUTTERS[coding][2](writer, text)
