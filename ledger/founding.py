"""Makes a ledger: its keys, its founding entries, its first checkpoint, its trust file.

    create_ledger(folder, Founding(origin="tagtrail.example/demo"))

Entry 0 enrols the admin key and entry 1 the recovery key; then come the log's key, the key
with which the ledger signs what it captures for partners, the one for COSE receipts, and the
parties that are admitted from the start. A ledger's folder is described in
`docs/reference/ledger-folder.md`.
"""

import json
import secrets
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from ledger.audit.trustfile import TRUST_NAME
from ledger.config import KEYS_NAME, PASSPHRASE_NAME, environment_passphrase
from ledger.cose import Ed25519Signer as KeySigner
from ledger.cose import Signer
from ledger.errors import RefusedError
from ledger.keyfile import (
    SCRYPT_N,
    SCRYPT_N_LEAST,
    load_ml_dsa_signer,
    load_signer,
    store_seed,
    store_token_key,
)
from ledger.statement import (
    Body,
    Claims,
    Key,
    KeyOp,
    Link,
    parse_statement,
    proof_of_possession,
    sign_statement,
)
from ledger.store.lock import LOCK_NAME
from ledger.store.log import Log, create_log
from ledger.store.publish import Endorser, Publisher
from ledger.tlog.checkpoint import check_origin
from ledger.tlog.cosignature import DatedSigner, MlDsa44Signer
from ledger.tlog.merkle import Hash, leaf_hash
from ledger.tlog.note import Ed25519Signer, NoteSigner, check_key_name, format_vkey

LOG_KEY_NAME = "log.key"
CAPTURE_KEY_NAME = "capture.key"
RECEIPT_KEY_NAME = "receipt.key"
GATEWAY_NAME = "gateway"
PASSPHRASE_BYTES = 32
SEED_BYTES = 32
ENROLLED_GRADE_MAX = 3
DOCUMENT_GRADE = 1
"""The grade of what a partner's document says (FORMATS section 2)."""

_TRUST = '''origin = {origin}
entry0 = "{entry0}"
policy = """
{logs}quorum none
"""
'''


def clock_us() -> int:
    """Return the time, in microseconds since 1970-01-01 UTC."""
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundingParty:
    """A party that is admitted while the ledger is made, with one gateway key."""

    iss: str
    name: str = ""
    prefixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """What a new ledger starts with.

    `operator` is the issuer of the admin, recovery and log keys; by default the origin as
    a URL. `ledger_url` is where the gateway of the founding parties finds the server.
    `log_token` is the PKCS#11 URI of the log's key, where no key file is to hold it.
    With `ml_dsa` the log signs its checkpoints with ML-DSA-44 too. `database` is the URL of an
    empty PostgreSQL database of one's own, `database_role` the role that will serve it.
    """

    origin: str
    operator: str = ""
    parties: tuple[FoundingParty, ...] = ()
    ledger_url: str = "http://127.0.0.1:8080"
    log_token: str = ""
    ml_dsa: bool = False
    database: str = ""
    database_role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Founded:
    """What pins a new ledger: hand it to everyone who will audit it."""

    origin: str
    entry0: Hash
    vkey: str
    passphrase_made: bool


def create_ledger(
    folder: Path, founding: Founding, *, passphrase: bytes | None = None
) -> Founded:
    """Make a ledger in `folder`, which must not exist or be empty; all of it or nothing.

    The keys are encrypted under `passphrase`, or TAGTRAIL_PASSPHRASE, or a new one that
    is written beside them. Raises `RefusedError` with check `exists` where `folder` holds
    something, `ParseError` for an origin that cannot name a log.
    """
    check_key_name(founding.origin, "origin")
    check_origin(founding.origin, "origin")
    if folder.exists() and any(folder.iterdir()):
        raise RefusedError("exists", f"{folder} is not empty; a ledger is made once")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    with ExitStack() as undoing:
        undoing.callback(rmtree, draft)
        founded = _Founder(draft, founding, passphrase, undoing).found()
        draft.rename(folder)
        undoing.pop_all()
    return founded


@dataclass(slots=True, kw_only=True)
class Voice:
    """A key with its place in its chain: what it says comes out signed and linked."""

    signer: Signer
    iss: str
    role: str
    aud: str
    iat: int
    prefixes: tuple[str, ...] = ()
    grade_max: int = ENROLLED_GRADE_MAX
    link: Link = field(default_factory=Link)

    def say(self, body: Body) -> bytes:
        """Return the next statement of this key, and move on."""
        raw = sign_statement(self.signer, Claims(self.iss, self.aud, self.iat), self.link, body)
        done = self.link
        self.link = Link(done.epoch, done.seq + 1, parse_statement(raw).id, done.seen)
        return raw

    def enrol(self, other: "Voice") -> bytes:
        """Return the statement by which this key enrols that of `other`."""
        return self.say(
            Key(
                op=KeyOp.ENROL,
                kid=Hash(other.signer.kid),
                iss=other.iss,
                role=other.role,
                x=other.signer.x,
                grade_max=other.grade_max,
                prefixes=other.prefixes,
                pop=proof_of_possession(other.signer, aud=self.aud, iss=other.iss),
            )
        )


class _Founder:
    """Makes the files of a new ledger, in a folder that nobody else knows yet."""

    def __init__(
        self, folder: Path, founding: Founding, passphrase: bytes | None, undoing: ExitStack
    ) -> None:
        self._folder = folder
        self._undoing = undoing
        self._founding = founding
        self._operator = founding.operator or f"https://{founding.origin}"
        (folder / KEYS_NAME).mkdir(mode=0o700)
        given = passphrase or environment_passphrase()
        self._passphrase_made = given is None
        self._passphrase = given or secrets.token_hex(PASSPHRASE_BYTES).encode()
        # A passphrase of 256 random bits needs no slow derivation on top.
        self._scrypt_n = SCRYPT_N_LEAST if given is None else SCRYPT_N

    def found(self) -> Founded:
        """Make everything: keys, log, first checkpoint, trust file, gateway's folder."""
        folder, origin = self._folder, self._founding.origin
        if self._passphrase_made:
            path = folder / KEYS_NAME / PASSPHRASE_NAME
            path.touch(0o600)
            path.write_bytes(self._passphrase + b"\n")
        admin = self._make_voice("admin", self._operator, folder / KEYS_NAME / "admin.key")
        recovery = self._make_voice(
            "recovery", self._operator, folder / KEYS_NAME / "recovery.key"
        )
        log = self._make_log_voice(folder / KEYS_NAME / LOG_KEY_NAME)
        capture = self._make_voice(
            "capture", self._operator, folder / KEYS_NAME / CAPTURE_KEY_NAME
        )
        capture.grade_max = DOCUMENT_GRADE
        receipt = self._make_voice(
            "receipt", self._operator, folder / KEYS_NAME / RECEIPT_KEY_NAME
        )
        founders = (admin, recovery, log, capture, receipt)
        statements = [admin.enrol(each) for each in founders]
        for party in self._founding.parties:
            statements += self._admit(admin, party)
        undo = create_log(
            folder,
            origin,
            statements,
            now_us=clock_us,
            database=self._founding.database or None,
            role=self._founding.database_role,
        )
        self._undoing.callback(undo)
        twin = self._load_twin(folder / KEYS_NAME / LOG_KEY_NAME)
        signers = note_signers(origin, log.signer, twin)
        with closing(Log(folder, origin, now_us=clock_us)) as opened:
            make_publisher(opened, signers).publish(*opened.committed)
            entry0 = leaf_hash(opened.reader.load_entry(0))
        (folder / LOCK_NAME).unlink()
        vkey = format_vkey(signers[0].key)
        logs = "".join(f"log {format_vkey(signer.key)}\n" for signer in signers)
        trust = _TRUST.format(origin=_quote(origin), entry0=entry0.hex(), logs=logs)
        (folder / TRUST_NAME).write_text(trust, encoding="utf-8")
        if self._founding.parties:
            self._write_gateway(vkey)
        return Founded(
            origin=origin, entry0=entry0, vkey=vkey, passphrase_made=self._passphrase_made
        )

    def _load_twin(self, path: Path) -> MlDsa44Signer | None:
        """Return the ML-DSA-44 twin of the log's key where the founder wants one."""
        if not self._founding.ml_dsa:
            return None
        twin = load_ml_dsa_signer(path, self._passphrase)
        if twin is None:
            raise RefusedError(
                "ml-dsa", "ML-DSA-44 needs a newer `cryptography`, and a key outside a token"
            )
        return twin

    def _make_log_voice(self, path: Path) -> Voice:
        """Make the log's key, or let the file `path` name the one in a token."""
        uri = self._founding.log_token
        if not uri:
            return self._make_voice("log", self._operator, path)
        store_token_key(path, uri, (self._operator, "log"))
        return self._voice("log", self._operator, load_signer(path, self._passphrase))

    def _make_voice(
        self, role: str, iss: str, path: Path, prefixes: tuple[str, ...] = ()
    ) -> Voice:
        """Make a key of `role` for `iss` in the file `path`."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        seed = secrets.token_bytes(SEED_BYTES)
        store_seed(path, seed, self._passphrase, (iss, role), n=self._scrypt_n)
        return self._voice(role, iss, KeySigner(seed), prefixes)

    def _voice(
        self, role: str, iss: str, signer: Signer, prefixes: tuple[str, ...] = ()
    ) -> Voice:
        return Voice(
            signer=signer,
            iss=iss,
            role=role,
            prefixes=prefixes,
            aud=self._founding.origin,
            iat=clock_us() // 1_000_000,
        )

    def _admit(self, admin: Voice, party: FoundingParty) -> list[bytes]:
        """Make the keys of `party` and of its gateway; return what enrols them."""
        name = key_file_name(party.iss)
        own = self._make_voice(
            "party", party.iss, self._folder / KEYS_NAME / "parties" / name, party.prefixes
        )
        gateway = self._make_voice(
            "gateway", party.iss, self._folder / GATEWAY_NAME / KEYS_NAME / name, party.prefixes
        )
        return [admin.enrol(own), own.enrol(gateway)]

    def _write_gateway(self, vkey: str) -> None:
        """Write `gateway.toml`, which the gateway reads."""
        lines = [
            f"ledger = {_quote(self._founding.ledger_url)}",
            f"origin = {_quote(self._founding.origin)}",
            f"log = {_quote(vkey)}",
        ]
        if self._passphrase_made:
            lines.append(f'passphrase_file = "../{KEYS_NAME}/{PASSPHRASE_NAME}"')
        for party in self._founding.parties:
            lines += [
                "",
                f"[[key]]  # {party.name}" if party.name else "[[key]]",
                f"party = {_quote(party.iss)}",
                f'file = "{KEYS_NAME}/{key_file_name(party.iss)}"',
            ]
        path = self._folder / GATEWAY_NAME / "gateway.toml"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def note_signers(
    origin: str, key: Signer, twin: MlDsa44Signer | None
) -> tuple[Ed25519Signer | DatedSigner, ...]:
    """Return what signs the checkpoints of the log `origin`: Ed25519, then its twin if any."""
    signers: list[Ed25519Signer | DatedSigner] = [Ed25519Signer(origin, key)]
    if twin is not None:
        now_s = lambda: clock_us() // 1_000_000  # noqa: E731 - it reads as an argument
        signers.append(DatedSigner(name=origin, private=twin, now_s=now_s))
    return tuple(signers)


def make_publisher(
    log: Log, signers: Sequence[NoteSigner], endorser: Endorser | None = None
) -> Publisher:
    """Return what signs the checkpoints of `log`, once `endorser` agrees."""
    return Publisher(
        origin=log.origin,
        reader=log.reader,
        signed=log.signed,
        signers=signers,
        store_checkpoint=log.store_checkpoint,
        endorser=endorser,
    )


def key_file_name(iss: str) -> str:
    """Return the name of the key file of the party `iss`: its GLN, or a hash of the rest."""
    gln = iss.rsplit("/", 1)[-1]
    stem = gln if gln.isascii() and gln.isdigit() else sha256(iss.encode()).hexdigest()[:16]
    return f"{stem}.key"


def _quote(text: str) -> str:
    """Return `text` as a basic string of TOML, which JSON's strings are."""
    return json.dumps(text, ensure_ascii=False)
