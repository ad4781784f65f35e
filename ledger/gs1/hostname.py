"""The host name of a `++` tag, after GS1 TDS 2.3 section 14.5.16.

One bit names the coding, six bits its length: 0 is URN Code 40 (upper case only), 1 is
7-bit text in which `www.`, `.com` and the like take seven bits and country domains take
fourteen. Refused is a name with a character that no host name has: a slash or a question
mark in it would make another identity of the link that it stands in.

Pure: no I/O, no clock, no randomness.
"""

import re

from ledger.errors import ParseError
from ledger.gs1.bits import BitReader, BitWriter, put_code40, take_code40

HOST_CHARS_MAX = 63

_WHERE = "EPC host name"
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9\-.]*[A-Za-z0-9])?(?::[0-9]{1,5})?")
_CODE40_HOST = re.compile(r"[A-Z0-9\-.:]+")
# Tables 14-11 to 14-15. Seven bits that stand for more than one character:
_SHORT = {0x1E: "qr.", 0x1F: "www.", 0x20: "id.", 0x5B: ".com", 0x5C: ".org", 0x5D: ".net"}
_SHORT |= {0x5E: ".int", 0x60: ".edu", 0x7B: ".gov", 0x7C: ".mil", 0x7D: ".biz", 0x7E: ".eco"}
_SHORT |= {0x7F: ".med"}
_COUNTRIES_TO_LI = (
    "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn "
    "bo bq br bs bt bw by bz ca cc cd cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de "
    "dj dk dm do dz ec ee eg eh er es et eu "
    "fi fj fk fm fo fr ga gd ge "  # codespell:ignore fo
    "gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq "
    "ir is it je jm jo jp ke kg kh ki km kn kp kr kw ky kz la lb lc li "
)
_COUNTRIES_FROM_LK = """
    lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na
    nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs
    ru rw sa sb sc sd se sg sh si sk sl sm sn sr ss st su sv sx sy sz tc td tf tg th tj tk tl
    tm tn to tr tt tv tw tz ua ug us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw
"""
_COMPOUNDS = """
    com.au net.au org.au co.at com.bd co.bd com.br net.br co.nz com.ng com.pk co.in com.in
    co.il co.jp co.za co.kr com.es com.lk co.th co.tt com.tt com.tr biz.tr com.ua co.uk co.zm
    com.zm com.cn org.cn net.cn gov.cn
"""
_PAGES = (_COUNTRIES_TO_LI, _COUNTRIES_FROM_LK, _COMPOUNDS, "tech")
_LONG = {
    page << 7 | n: f".{name}"
    for page, names in enumerate(_PAGES)
    for n, name in enumerate(names.split())
}
# What saves bits, the longest first: sequence, its bits, how many of them.
_SAVINGS = sorted(
    [(text, code, 7) for code, text in _SHORT.items()]
    + [(text, code, 14) for code, text in _LONG.items()],
    key=lambda one: (-len(one[0]), one[0]),
)


def take_hostname(reader: BitReader) -> str:
    """Return the host name at the front of `reader`. Raises `ParseError` for none."""
    is_text = reader.take(1)
    length = reader.take(6)
    host = _take_text(reader, length) if is_text else take_code40(reader, length)
    if len(host) > HOST_CHARS_MAX or _HOST.fullmatch(host) is None:
        raise ParseError(_WHERE, f"{host[:80]!r} is no host name")
    return host


def _take_text(reader: BitReader, length: int) -> str:
    chars: list[str] = []
    while length > 0:
        code = reader.take(7)
        length -= 1
        if code < len(_PAGES):
            code = code << 7 | reader.take(7)
            length -= 1
            if code not in _LONG:
                raise ParseError(_WHERE, "names a reserved sequence")
            chars.append(_LONG[code])
        else:
            chars.append(_SHORT.get(code, chr(code)))
    if length < 0:
        raise ParseError(_WHERE, "ends within a sequence of fourteen bits")
    return "".join(chars)


def put_hostname(writer: BitWriter, host: str) -> None:
    """Append `host`; upper-case names take URN Code 40, all others 7-bit text."""
    if len(host) > HOST_CHARS_MAX or _HOST.fullmatch(host) is None:
        raise ParseError(_WHERE, f"{host[:80]!r} is no host name of up to {HOST_CHARS_MAX}")
    if _CODE40_HOST.fullmatch(host):
        writer.put(len(host), 7)  # the coding's bit 0 and six bits of length
        put_code40(writer, host)
        return
    pieces = []
    at = 0
    while at < len(host):
        text, code, bits = next(
            (one for one in _SAVINGS if host.startswith(one[0], at)),
            (host[at], ord(host[at]), 7),
        )
        pieces.append((code, bits))
        at += len(text)
    writer.put(1, 1)
    writer.put(sum(bits for _, bits in pieces) // 7, 6)
    for code, bits in pieces:
        writer.put(code, bits)
