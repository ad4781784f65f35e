"""Settings and secrets of a ledger's folder, parsed once; nothing else reads them.

    DIR/trust.toml         origin, entry 0, the log's verifier key (`ledger.audit.trustfile`)
    DIR/keys/passphrase    what opens the key files, mode 0600; made by `tagtrail init`
                           where TAGTRAIL_PASSPHRASE is not set

TAGTRAIL_PASSPHRASE in the environment goes before the file, so that the file may live on
another machine, or nowhere.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ledger.audit.trustfile import TRUST_NAME, Trust, parse_trust
from ledger.errors import ParseError, TagtrailError

PASSPHRASE_VARIABLE = "TAGTRAIL_PASSPHRASE"  # noqa: S105 - the name of a variable
PASSPHRASE_BYTES_MAX = 4096
KEYS_NAME = "keys"
PASSPHRASE_NAME = "passphrase"  # noqa: S105 - the name of a file
PORT_MAX = 65_535


class FolderError(TagtrailError):
    """A folder that is no ledger's, or not one that this user may open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeSettings:
    """How a server listens, and how often its clockwork turns, in seconds.

    Witnesses have `cosign_wait_s` to cosign a checkpoint; one that then lacks the quorum is
    published only with `publish_lacking`. `database` is the URL of the PostgreSQL database,
    where it is not the one that the folder names. `authority` is the URL of who dates a
    checkpoint a day (RFC 3161), `authority_root` the PEM file of its root; nobody does
    without them.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    publish_every_s: float = 1.0
    publish_idle_s: float = 3600.0
    follow_every_s: float = 0.05
    callback_networks: tuple[str, ...] = ()
    """Networks besides the public ones that subscribers may be in, such as 10.0.0.0/8."""
    cosign_wait_s: float = 2.0
    publish_lacking: bool = False
    database: str = ""
    authority: str = ""
    authority_root: Path | None = None

    def __post_init__(self) -> None:
        """Raise `ParseError` for a port that does not exist or a clock that stands still."""
        if not 0 <= self.port <= PORT_MAX:
            raise ParseError("port", f"{self.port} is not from 0 to {PORT_MAX}")
        if (
            min(
                self.publish_every_s,
                self.publish_idle_s,
                self.follow_every_s,
                self.cosign_wait_s,
            )
            <= 0
        ):
            raise ParseError("interval", "is not above 0 seconds")


def load_trust(folder: Path) -> Trust:
    """Return what `trust.toml` in `folder` says, or raise `FolderError` or `ParseError`."""
    path = folder / TRUST_NAME
    try:
        return parse_trust(path.read_bytes())
    except FileNotFoundError as error:
        raise FolderError(
            f"{folder} is no ledger: it has no {TRUST_NAME}; make one with: "
            f"tagtrail init --dir {folder} --origin NAME"
        ) from error


def environment_passphrase() -> bytes | None:
    """Return the passphrase that the environment gives, or None."""
    text = os.environ.get(PASSPHRASE_VARIABLE)
    return None if text is None else text.encode(errors="surrogateescape")


def find_passphrase(folder: Path) -> bytes:
    """Return the passphrase of the keys in `folder`, or raise `FolderError`.

    A file that group or others may read is refused: it is then no secret any more.
    """
    given = environment_passphrase()
    if given is not None:
        return given
    path = folder / KEYS_NAME / PASSPHRASE_NAME
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise FolderError(f"{path} is open to others (mode {mode:04o}): chmod 600 {path}")
        with path.open("rb") as file:
            return file.read(PASSPHRASE_BYTES_MAX).strip()
    except FileNotFoundError as error:
        raise FolderError(
            f"the keys need a passphrase: set {PASSPHRASE_VARIABLE}, or write {path}"
        ) from error
