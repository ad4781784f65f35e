"""One delivery: one POST over a connection of its own, to an address that was checked.

    POST /callback HTTP/1.1
    Content-Type: application/ld+json
    GS1-Signature: t=1770000000,v1=<hex HMAC-SHA256 of "1770000000." and the body>
    Tagtrail-Delivery: urn:uuid:…

The connection is not used again: what a receiver says twice, or late, is never taken for the
answer to another delivery. Redirects are not followed. Only 2xx is an acknowledgement.
"""

import asyncio
import hmac
import re
import ssl
from collections.abc import Mapping
from hashlib import sha256

from ledger.errors import ParseError, TagtrailError
from ledger.subscriptions.guard import Destination, Network, allowed_addresses

HEAD_BYTES_MAX = 64 * 1024
INTERIM_MAX = 10
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: [^\r\n]*)?\r?\n")
_INTERIM = 200


class DeliveryError(TagtrailError):
    """A delivery that was not acknowledged; it is tried again."""


def sign_delivery(token: str, body: bytes, now_s: int) -> str:
    """Return the GS1-Signature of `body` sent at `now_s` seconds, under `token`."""
    text = f"{now_s}.".encode() + body
    return f"t={now_s},v1={hmac.new(token.encode(), text, sha256).hexdigest()}"


async def post(
    destination: Destination,
    body: bytes,
    headers: Mapping[str, str],
    *,
    networks: tuple[Network, ...],
    seconds_max: float,
) -> None:
    """Send `body` and return once it is acknowledged, or raise `DeliveryError`."""
    try:
        async with asyncio.timeout(seconds_max):
            addresses = await asyncio.to_thread(allowed_addresses, destination, networks)
            status = await _exchange(destination, addresses[0], body, headers)
    except TimeoutError:
        raise DeliveryError(f"no answer within {seconds_max:g} seconds") from None
    except (OSError, ParseError, asyncio.IncompleteReadError, ValueError) as error:
        raise DeliveryError(" ".join(str(error).split())[:200] or repr(error)) from error
    if not _INTERIM <= status < _INTERIM + 100:
        raise DeliveryError(f"the receiver answered {status}")


async def _exchange(
    destination: Destination, address: str, body: bytes, headers: Mapping[str, str]
) -> int:
    context = ssl.create_default_context() if destination.scheme == "https" else None
    reader, writer = await asyncio.open_connection(
        address,
        destination.port,
        ssl=context,
        server_hostname=destination.host if context else None,
        limit=HEAD_BYTES_MAX,
    )
    try:
        writer.write(_head(destination, len(body), headers) + body)
        await writer.drain()
        return await _read_status(reader)
    finally:
        writer.close()


def _head(destination: Destination, length: int, headers: Mapping[str, str]) -> bytes:
    lines = [
        f"POST {destination.target} HTTP/1.1",
        f"Host: {destination.authority}",
        "Connection: close",
        f"Content-Length: {length}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("ascii")


async def _read_status(reader: asyncio.StreamReader) -> int:
    """Return the status of the final answer; its body is nobody's business."""
    for _ in range(INTERIM_MAX):
        line = await reader.readline()
        match = _STATUS.fullmatch(line)
        if match is None:
            raise DeliveryError("the receiver does not speak HTTP/1.1")
        status = int(match[1])
        if status >= _INTERIM:
            return status
        while (await reader.readline()).strip():
            pass
    raise DeliveryError("the receiver never came to an answer")
