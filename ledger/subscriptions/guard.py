"""Where deliveries may go: public addresses, and networks that the operator names.

A subscriber names a URL, and the ledger's own network must not be reached through it. So an
address counts, never a name: the name is resolved, every address it has must be allowed, and
the connection is made to one of those addresses, not to the name again.

Refused besides: another scheme than http and https, a user name or a password in the URL,
control characters, and addresses that hide another one (IPv4 in IPv6, NAT64, 6to4).
"""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from ledger.errors import ParseError

URL_CHARS_MAX = 2000
PORTS = {"http": 80, "https": 443}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/32")


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL that deliveries go to, taken apart."""

    scheme: str
    host: str
    port: int
    target: str
    """Path and query, as the request line writes them."""

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def parse_destination(url: str) -> Destination:
    """Return the destination that `url` names. Raises `ParseError` at `dest`."""
    if len(url) > URL_CHARS_MAX or not url.isascii() or any(char <= " " for char in url):
        raise ParseError("dest", "is too long, or has spaces or characters outside of ASCII")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ParseError("dest", str(error)) from None
    if parts.scheme not in PORTS or not parts.hostname:
        raise ParseError("dest", f"{url[:80]!r} is no http or https URL")
    if parts.username is not None or parts.password is not None:
        raise ParseError("dest", "has a user name; a token signs deliveries instead")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Destination(parts.scheme, parts.hostname, port or PORTS[parts.scheme], target)


def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Return the networks that the operator names, such as 127.0.0.0/8."""
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise ParseError("callback network", str(error)) from None


def allowed_addresses(
    destination: Destination, networks: tuple[Network, ...]
) -> tuple[str, ...]:
    """Resolve the host, and return its addresses, all of which are allowed.

    Raises `ParseError` where one is not, and `OSError` where the name has none now.
    """
    found = socket.getaddrinfo(
        destination.host, destination.port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
    addresses = tuple(dict.fromkeys(str(one[4][0]) for one in found))
    for text in addresses:
        if not _is_allowed(ipaddress.ip_address(text.partition("%")[0]), networks):
            raise ParseError(
                "dest",
                f"{destination.host} is at {text}, which is no public address; the operator "
                "may allow its network: tagtrail serve --callback-network",
            )
    return addresses


def _is_allowed(address: Address, networks: tuple[Network, ...]) -> bool:
    inner = _hidden_in(address)
    if inner is not None:
        return _is_allowed(inner, networks)
    if any(address in network for network in networks if network.version == address.version):
        return True
    return address.is_global and not address.is_multicast


def _hidden_in(address: Address) -> Address | None:
    """Return the IPv4 address that an IPv6 address leads to, or None."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
