"""Key files: private, encrypted, bound to their owner, whole or not there."""

import json
from pathlib import Path
from typing import Any

import pytest

from ledger.cose import verify_ed25519
from ledger.errors import ParseError
from ledger.keyfile import (
    SCRYPT_N_LEAST,
    KeyfileError,
    create_keyfile,
    load_signer,
    read_public_key,
    store_seed,
)
from tests.ledger.mutants import fuzz

DAIRY = "https://id.gs1.org/417/9506000134352"
PASSPHRASE = b"correct horse battery staple"
SEED = bytes(range(32))


def make_key(folder: Path, name: str = "gateway.key") -> Path:
    path = folder / name
    store_seed(path, SEED, PASSPHRASE, (DAIRY, "gateway"), n=SCRYPT_N_LEAST)
    return path


def rewrite(path: Path, **changes: Any) -> None:
    """Change fields of a key file, in its own spelling."""
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def test_a_new_key_signs_under_its_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "dairy.key"
    public = create_keyfile(path, passphrase=PASSPHRASE, iss=DAIRY, role="party")
    signer = load_signer(path, PASSPHRASE)
    assert (signer.kid, signer.x) == (public.kid, public.x)
    verify_ed25519(public.x, signer.sign(b"message"), b"message")
    assert read_public_key(str(path)) == public
    assert (public.iss, public.role) == (DAIRY, "party")


def test_two_new_keys_differ(tmp_path: Path) -> None:
    keys = {
        create_keyfile(tmp_path / name, passphrase=b"", n=SCRYPT_N_LEAST).kid for name in "ab"
    }
    assert len(keys) == 2


def test_only_the_owner_reads_it_and_no_draft_stays(tmp_path: Path) -> None:
    path = make_key(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_the_private_key_is_not_in_the_file(tmp_path: Path) -> None:
    assert SEED.hex() not in make_key(tmp_path).read_text()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610])
def test_a_file_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = make_key(tmp_path)
    path.chmod(mode)
    with pytest.raises(KeyfileError, match="chmod 600"):
        load_signer(path, PASSPHRASE)


def test_another_passphrase_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyfileError, match="wrong passphrase"):
        load_signer(make_key(tmp_path), b"guess")


@pytest.mark.parametrize("change", [{"iss": "https://id.gs1.org/417/1"}, {"role": "party"}])
def test_a_key_is_bound_to_its_owner(tmp_path: Path, change: dict[str, str]) -> None:
    path = make_key(tmp_path)
    rewrite(path, **change)
    with pytest.raises(KeyfileError, match="wrong passphrase, or the file was changed"):
        load_signer(path, PASSPHRASE)


def test_a_seed_that_is_not_of_the_key_named_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_key(tmp_path)
    monkeypatch.setattr("ledger.keyfile._associated_data", lambda _envelope: b"")
    path.unlink()
    make_key(tmp_path)
    rewrite(path, kid="00" * 32)
    with pytest.raises(KeyfileError, match="another key"):
        load_signer(path, PASSPHRASE)


def test_an_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = make_key(tmp_path)
    before = path.read_bytes()
    with pytest.raises(KeyfileError, match="exists"):
        create_keyfile(path, passphrase=PASSPHRASE, n=SCRYPT_N_LEAST)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_file_or_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyfileError, match=r"none\.key: No such file"):
        load_signer(tmp_path / "none.key", PASSPHRASE)
    with pytest.raises(KeyfileError, match="No such file"):
        make_key(tmp_path / "nowhere")


def test_a_key_may_come_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_key(tmp_path)
    for text in (path.read_text(), path.read_text().rstrip("\n")):
        monkeypatch.setenv("TAGTRAIL_KEY", text)
        assert load_signer("env:TAGTRAIL_KEY", PASSPHRASE).kid == read_public_key(path).kid
    monkeypatch.delenv("TAGTRAIL_KEY")
    with pytest.raises(KeyfileError, match="no such variable"):
        load_signer("env:TAGTRAIL_KEY", PASSPHRASE)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"format": "tagtrail/keyfile/v2"}, "format"),
        ({"kdf": "pbkdf2"}, "format"),
        ({"cipher": "none"}, "format"),
        ({"r": 1}, "format"),
        ({"p": 2}, "format"),
        ({"n": 8192}, "power of two"),
        ({"n": 2**21}, "power of two"),
        ({"n": 32767}, "power of two"),
        ({"n": "32768"}, "no key file"),
        ({"more": 1}, "no key file"),
        ({"kid": "00"}, "32 bytes in lower-case hex"),
        ({"x": "AB" * 32}, "32 bytes in lower-case hex"),
        ({"salt": "0x" + "00" * 15}, "16 bytes in lower-case hex"),
        ({"nonce": ""}, "12 bytes"),
        ({"ciphertext": "00" * 49}, "48 bytes"),
    ],
    ids=repr,
)
def test_what_is_no_key_file_is_refused(
    tmp_path: Path, change: dict[str, object], why: str
) -> None:
    path = make_key(tmp_path)
    rewrite(path, **change)
    with pytest.raises(ParseError, match=why):
        read_public_key(path)


@pytest.mark.parametrize("data", [b"", b"\xff\xfe", b'{"iss":"\xff"}', b"[]", b"{" * 20_000])
def test_bytes_that_are_no_key_file_are_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.key"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(ParseError):
        load_signer(path, PASSPHRASE)


def test_another_spelling_is_refused(tmp_path: Path) -> None:
    path = make_key(tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text())))
    with pytest.raises(ParseError, match="one spelling"):
        load_signer(path, PASSPHRASE)


def test_mutants_are_read_or_refused(tmp_path: Path) -> None:
    path = make_key(tmp_path)

    def respell(data: bytes) -> bytes:
        path.write_bytes(data)
        public = read_public_key(path)
        assert len(public.kid) == len(public.x) == 32
        return data

    tally = fuzz([path.read_bytes()], respell, count=500)
    assert tally.accepted
    assert tally.refused
