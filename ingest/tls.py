"""The gateway's TLS: TLS 1.2 or later, its own certificate, files that may change under it.

The broker is always verified, by the authorities in `ca` or else by the system's, host name
included. With `certificate` and `key` the gateway shows who it is (mutual TLS). The name in the
certificate, its subject's common name, is the MQTT client id and the level of the topics
that the broker's access list ties to it, so one name says all three.

A certificate that was renewed on disk is taken at the next connection: `refresh` looks at
the files' times, and one that cannot be read keeps the old one in use.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from ledger.errors import TagtrailError


class CertificateError(TagtrailError):
    """A certificate, a key or an authority that cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where the PEM files are; without `certificate` the gateway shows none."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What the gateway's certificate says: its name, and until when, in µs since 1970."""

    name: str
    expires_us: int


class Credentials:
    """An SSL context that follows its files; raises `CertificateError` at the start only.

    A certificate of another name is none that follows: the name is the client id.
    """

    def __init__(self, files: TlsFiles) -> None:
        """Load the files."""
        self._files = files
        self.context = _open_context(files)
        self._stamp = self._stamps()
        self.certificate = read_certificate(files.certificate) if files.certificate else None

    def refresh(self) -> bool:
        """Take files that changed; True if they did. Raises `CertificateError`, old ones kept.

        The context stays the same object: connections that are open are not touched.
        """
        stamp = self._stamps()
        if stamp == self._stamp:
            return False
        _open_context(self._files)  # all of them are good, or nothing is taken
        certificate = None
        if self._files.certificate is not None:
            certificate = read_certificate(self._files.certificate)
            if self.certificate is not None and certificate.name != self.certificate.name:
                raise CertificateError(
                    f"{self._files.certificate} is now of {certificate.name!r:.80}, and the"
                    f" gateway is {self.certificate.name!r:.80}: its session and topics hang"
                    " on the name"
                )
        _load(self.context, self._files)
        self._stamp, self.certificate = stamp, certificate
        return True

    def _stamps(self) -> tuple[tuple[int, int], ...]:
        found = []
        for path in (self._files.ca, self._files.certificate, self._files.key):
            if path is None:
                continue
            try:
                status = path.stat()
            except OSError as error:
                raise CertificateError(f"{path}: {error.strerror}") from error
            found.append((status.st_mtime_ns, status.st_ino))
        return tuple(found)


def read_certificate(path: Path) -> Certificate:
    """Return what the first certificate in the PEM file says."""
    try:
        parsed = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError as error:
        raise CertificateError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise CertificateError(f"{path} holds no PEM certificate: {error}") from error
    names = parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise CertificateError(f"{path}: its subject has {len(names)} common names, want one")
    expires = int(parsed.not_valid_after_utc.timestamp() * 1_000_000)
    return Certificate(name=str(names[0].value), expires_us=expires)


def _open_context(files: TlsFiles) -> ssl.SSLContext:
    if (files.certificate is None) != (files.key is None):
        raise CertificateError("certificate and key go together; one of them is missing")
    context = ssl.create_default_context() if files.ca is None else _bare_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, files)
    return context


def _bare_context() -> ssl.SSLContext:
    """Return a context that trusts nobody yet and verifies host names."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _load(context: ssl.SSLContext, files: TlsFiles) -> None:
    try:
        if files.ca is not None:
            context.load_verify_locations(files.ca)
        if files.certificate is not None and files.key is not None:
            context.load_cert_chain(files.certificate, files.key, password=_refuse_to_ask)
    except (OSError, ssl.SSLError) as error:
        named = ", ".join(str(one) for one in (files.ca, files.certificate, files.key) if one)
        raise CertificateError(f"TLS files ({named}): {error}") from error


def _refuse_to_ask() -> str:
    """Give no password: OpenSSL would ask on the terminal, and a daemon has none."""
    return ""
