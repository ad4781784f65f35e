"""Two tokens of a real SoftHSM2, with good keys and odd ones, in a folder of their own.

`tagtrail` holds the keys named in `Tokens`; nobody ever logs in to `shut`, because one login
opens a token for the whole process, and a wrong PIN would then go unnoticed.
"""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.optional import absent, find_program

PIN = "27182818"
TOKEN, SHUT = "tagtrail", "shut"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)
ED25519 = b"\x06\x03\x2b\x65\x70"
ED448 = b"\x06\x03\x2b\x65\x71"
P256 = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07"


@dataclass(frozen=True, slots=True)
class Tokens:
    """Where the tokens are, and which driver finds them."""

    folder: Path
    module: str

    @property
    def environment(self) -> dict[str, str]:
        """Return what a process needs to find the tokens."""
        return {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf"), "TOKEN_PIN": PIN}

    def uri(self, path: str, pin_source: str = "env:TOKEN_PIN") -> str:
        """Return the URI of the key that the attributes `path` name."""
        return f"pkcs11:{path}?module-path={self.module}&pin-source={pin_source}"

    def key(self, name: str) -> str:
        """Return the URI of the key called `name`."""
        return self.uri(f"token={TOKEN};object={name}")


def make_tokens(folder: Path) -> Tokens:
    """Make the tokens and their keys; skip or fail where SoftHSM2 or the library is absent."""
    program = find_program("softhsm2-util")
    module = next((path for path in MODULES if Path(path).exists()), None)
    if program is None or module is None:
        absent("softhsm", "install it with: apt-get install softhsm2")
    assert program is not None
    assert module is not None
    try:
        import pkcs11  # noqa: PLC0415 - optional
    except ImportError:
        absent("softhsm", "its library is not: pip install 'tagtrail[pkcs11]'")
    (folder / "tokens").mkdir()
    tokens = Tokens(folder, module)
    (folder / "softhsm2.conf").write_text(
        f"directories.tokendir = {folder}/tokens\n"
        "objectstore.backend = file\nlog.level = ERROR\n"
    )
    os.environ.update(tokens.environment)
    for label in (TOKEN, SHUT):
        words = ["--init-token", "--free", "--label", label, "--so-pin", "0000", "--pin", PIN]
        subprocess.run([program, *words], check=True, capture_output=True)
    session = pkcs11.lib(module).get_token(token_label=TOKEN).open(rw=True, user_pin=PIN)
    _make_keys(pkcs11, session)
    session.close()
    return tokens


def _make_keys(pkcs11: Any, session: Any) -> None:
    attribute, sort = pkcs11.Attribute, pkcs11.ObjectClass

    def make(name: str, number: int, curve: bytes = ED25519, **more: Any) -> tuple[Any, Any]:
        kind = pkcs11.KeyType.EC_EDWARDS if curve in (ED25519, ED448) else pkcs11.KeyType.EC
        parameters = session.create_domain_parameters(
            kind, {attribute.EC_PARAMS: curve}, local=True
        )
        pair: tuple[Any, Any] = parameters.generate_keypair(
            store=True, label=name, id=bytes([number]), **more
        )
        return pair

    for number, name in enumerate(("log", "party", "gateway", "admin", "twin", "twin"), 1):
        make(name, number)
    make("nist", 20, P256)
    make("goldilocks", 25, ED448)
    make("mute", 21, private_template={attribute.SIGN: False})
    make("widow", 22)[0].destroy()
    public, _ = make("liar", 23)
    other, _ = make("other", 24)
    point, label = other[attribute.EC_POINT], public[attribute.LABEL]
    public.destroy()
    session.create_object(
        {
            attribute.CLASS: sort.PUBLIC_KEY,
            attribute.KEY_TYPE: pkcs11.KeyType.EC_EDWARDS,
            attribute.TOKEN: True,
            attribute.LABEL: label,
            attribute.ID: bytes([23]),
            attribute.EC_PARAMS: ED25519,
            attribute.EC_POINT: point,
        }
    )
