"""A witness: cosigns the checkpoints of the logs that it knows (C2SP tlog-witness).

    W/keys/witness.key     its key, whose issuer is the witness's name
    W/keys/passphrase      what opens it, where TAGTRAIL_PASSPHRASE is not set
    W/logs.policy          the logs it knows: a tlog-policy with `log` lines alone
    W/witness.db           what it has cosigned (`ledger.store.witnessed`)

It knows nothing of what a log holds, needs none of its data, and costs next to nothing: so
trading partners witness each other's logs. It cosigns with Ed25519 and, where the installed
cryptography has it, with ML-DSA-44, each under its own name.

Lines are added to `logs.policy` while it runs, with `tagtrail witness trust`; a file that
does not parse is refused at the start, and keeps the old list when it turns bad later.
"""

import logging
import os
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ledger.config import KEYS_NAME, PASSPHRASE_NAME, environment_passphrase, find_passphrase
from ledger.errors import ParseError, RefusedError
from ledger.keyfile import (
    SCRYPT_N,
    SCRYPT_N_LEAST,
    create_keyfile,
    load_ml_dsa_signer,
    load_signer,
    needs_passphrase,
    read_public_key,
)
from ledger.store.witnessed import Witnessed, create_witnessed
from ledger.tlog.cosignature import Cosigner, cosign_checkpoint, verifier_for
from ledger.tlog.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_ML_DSA_44,
    MessageSigner,
    NoteVerifier,
    VerifierKey,
    check_key_name,
    parse_vkey,
)
from ledger.tlog.policy import NO_QUORUM, Policy, format_policy, parse_policy
from ledger.tlog.witness import Refusal

KEY_NAME = "witness.key"
LOGS_NAME = "logs.policy"
_NO_LOGS = f"quorum {NO_QUORUM}\n"

_log = logging.getLogger("tagtrail.witness")


def create_witness(folder: Path, name: str) -> None:
    """Make the folder of a witness called `name`, which knows no log yet.

    Raises `ParseError` for a name that no signature line may carry, `RefusedError` with check
    `exists` where `folder` holds something.
    """
    check_key_name(name, "witness name")
    if folder.exists() and any(folder.iterdir()):
        raise RefusedError("exists", f"{folder} is not empty; a witness is made once")
    keys = folder / KEYS_NAME
    keys.mkdir(mode=0o700, parents=True)
    given = environment_passphrase()
    passphrase = given or secrets.token_hex(32).encode()
    if given is None:
        path = keys / PASSPHRASE_NAME
        path.touch(0o600)
        path.write_bytes(passphrase + b"\n")
    # A passphrase of 256 random bits needs no slow derivation on top.
    n = SCRYPT_N if given else SCRYPT_N_LEAST
    create_keyfile(keys / KEY_NAME, passphrase=passphrase, iss=name, role="witness", n=n)
    (folder / LOGS_NAME).write_text(_NO_LOGS, encoding="utf-8")
    create_witnessed(folder)


def trust_log(folder: Path, vkey: str) -> None:
    """Let the witness in `folder` cosign the log of this verifier key from now on.

    Raises `ParseError` where `vkey` is none, or its log or key is known already.
    """
    key = parse_vkey(vkey)
    path = folder / LOGS_NAME
    text = f"log {key}\n{_read_logs(path)}"
    policy = parse_policy(text)
    if sum(log.key.name == key.name and log.key.kind == key.kind for log in policy.logs) > 1:
        raise ParseError("log", f"{key.name} has a key of this kind already in {path}")
    draft = path.with_name(path.name + ".new")
    draft.write_text(format_policy(policy), encoding="utf-8")
    os.replace(draft, path)  # noqa: PTH105 - whole or not at all


@dataclass(frozen=True, slots=True)
class WitnessKeys:
    """The name of a witness and what signs for it, by signature type."""

    name: str
    signers: Sequence[tuple[int, MessageSigner]]

    @property
    def public(self) -> tuple[VerifierKey, ...]:
        """The public halves, Ed25519 first: what a policy lists."""
        return tuple(
            VerifierKey(name=self.name, kind=kind, public=signer.x)
            for kind, signer in self.signers
        )

    def cosign(self, text: str, time_s: int) -> bytes:
        """Return the signature lines for the checkpoint `text`, of this time in seconds."""
        return cosign_checkpoint(
            text,
            [
                Cosigner(name=self.name, kind=kind, private=signer, time_s=time_s)
                for kind, signer in self.signers
            ],
        )


def load_witness_keys(folder: Path) -> WitnessKeys:
    """Return the keys of the witness in `folder`; raises as `load_signer` does."""
    path = folder / KEYS_NAME / KEY_NAME
    passphrase = find_passphrase(folder) if needs_passphrase(path) else b""
    signers: list[tuple[int, MessageSigner]] = [
        (COSIGNATURE_ED25519, load_signer(path, passphrase))
    ]
    twin = load_ml_dsa_signer(path, passphrase)
    if twin is not None:
        signers.append((COSIGNATURE_ML_DSA_44, twin))
    return WitnessKeys(read_public_key(path).iss, signers)


class WitnessService:
    """A running witness; threads may share it."""

    def __init__(self, folder: Path, *, now_s: Callable[[], int]) -> None:
        """Open the witness in `folder`; raise what its keys, list or memory are refused for."""
        self._path = folder / LOGS_NAME
        self._now_s = now_s
        self.keys = load_witness_keys(folder)
        self._memory = Witnessed(folder)
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._logs: dict[str, list[NoteVerifier]] = {}
        self._read_list()

    def close(self) -> None:
        """Close the memory."""
        self._memory.close()

    def add_checkpoint(self, data: bytes) -> bytes | Refusal:
        """Return the cosignature lines for the request `data`, or why there are none."""
        now_s = self._now_s()
        return self._memory.add(
            data, self.logs(), lambda text: self.keys.cosign(text, now_s), now_s=now_s
        )

    def latest(self, origin_hash: bytes) -> bytes | None:
        """Return the newest cosigned checkpoint of the log with this SHA-256 of its origin."""
        return self._memory.load_latest(origin_hash)

    def logs(self) -> dict[str, list[NoteVerifier]]:
        """Return the keys trusted for each origin, as the list says now."""
        with self._lock:
            try:
                self._read_list()
            except (ParseError, OSError) as error:
                _log.error("%s is not taken over: %s", self._path, error)
            return self._logs

    def _read_list(self) -> None:
        stat = self._path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        if stamp == self._stamp:
            return
        self._logs = _verifiers(parse_policy(_read_logs(self._path)))
        self._stamp = stamp


def _verifiers(policy: Policy) -> dict[str, list[NoteVerifier]]:
    found: dict[str, list[NoteVerifier]] = {}
    for log in policy.logs:
        found.setdefault(log.key.name, []).append(verifier_for(log.key))
    return found


def _read_logs(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise RefusedError(
            "folder",
            f"{path.parent} is no witness: it has no {path.name}; make one with: "
            f"tagtrail witness init --dir {path.parent} --name NAME",
        ) from error


def load_logs(folder: Path) -> Policy:
    """Return the logs that the witness in `folder` knows, as a policy without quorum."""
    return parse_policy(_read_logs(folder / LOGS_NAME))


def list_logs(folder: Path) -> list[tuple[str, int]]:
    """Return the origin of each known log with the size that was cosigned last, or 0."""
    memory = Witnessed(folder)
    try:
        sizes = memory.load_sizes()
    finally:
        memory.close()
    names = {log.key.name for log in load_logs(folder).logs}
    return [(name, sizes.get(name, 0)) for name in sorted(names | set(sizes))]
