"""Device keys: brings the keys of simulated devices into a ledger, each under its party's.

    tagtrail sim enrol pharma --seed 7 --dir LEDGER

A folder that holds no ledger yet gets one, with all parties of the scenario. The key files
are written to `LEDGER/keys/devices`, under the ledger's own passphrase, and
enrolled by `tagtrail keys enrol` with the key of the party that the device works for. What
is enrolled already stays as it is. What survives a kill here: a key that is enrolled has its
file; a file without an enrolment is enrolled by the next run.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from device_sim.signing import GRADE, Device
from device_sim.world import World
from ledger.cose import Ed25519Signer
from ledger.errors import TagtrailError
from ledger.keyfile import store_seed

_KEYS, _DEVICES, _PASSPHRASE = "keys", "devices", "passphrase"  # names of files


class EnrolError(TagtrailError):
    """A ledger that does not take a device's key."""


def enrol_devices(devices: Sequence[Device], folder: Path) -> int:
    """Enrol the keys of `devices` in the ledger in `folder`; return how many were new."""
    if not devices:
        return 0
    known = {
        one["kid"] for one in json.loads(_tagtrail("keys", "list", "--dir", folder, "--json"))
    }
    parties = _party_keys(folder / _KEYS)
    new = 0
    for device in devices:
        if Ed25519Signer(device.seed).kid.hex() in known:
            continue
        if device.party.id not in parties:
            raise EnrolError(f"{folder} holds no key of {device.party.id}, whose device it is")
        path = _store(device, folder)
        _tagtrail(
            "keys", "enrol", path, "--by", parties[device.party.id], "--dir", folder,
            "--grade-max", GRADE, "--prefix", device.party.prefix,
        )  # fmt: skip
        new += 1
    return new


def found_ledger(world: World, folder: Path, origin: str) -> bool:
    """Make a ledger in `folder` that admits the parties of a world, unless one is there."""
    if (folder / _KEYS).is_dir():
        return False
    parties = [
        ("--party", f"{one.id}={one.title}:{one.prefix}") for one in world.parties.values()
    ]
    _tagtrail("init", "--dir", folder, "--origin", origin, *chain(*parties))
    return True


def _store(device: Device, folder: Path) -> Path:
    path = folder / _KEYS / _DEVICES / f"{device.name.replace('/', '-')}.key"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.unlink(missing_ok=True)
    store_seed(path, device.seed, _passphrase(folder), (device.party.id, "device"))
    return path


def _passphrase(folder: Path) -> bytes:
    given = os.environ.get("TAGTRAIL_PASSPHRASE")  # noqa: TID251 - as every key of the ledger
    if given:
        return given.encode()
    try:
        return (folder / _KEYS / _PASSPHRASE).read_bytes().strip()
    except OSError as error:
        raise EnrolError(f"no passphrase for the keys in {folder}: {error.strerror}") from error


def _party_keys(folder: Path) -> dict[str, Path]:
    """Return the party keys in a folder, by their party."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.key")):
        said = json.loads(path.read_text())
        if said.get("role") == "party":
            found[said["iss"]] = path
    return found


def _tagtrail(*words: object) -> str:
    command = [sys.executable, "-m", "ledger.cli", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        command_line = " ".join(map(str, words[:2]))
        raise EnrolError(f"`tagtrail {command_line}`: {done.stderr.strip()}")
    return done.stdout
