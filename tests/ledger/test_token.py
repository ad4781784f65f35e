"""Keys in a token: a real SoftHSM2 signs, and whatever is wrong is named, but no PIN."""

import os
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ingest.settings import load_signers, parse_settings
from ledger.cose import key_thumbprint, verify_ed25519
from ledger.errors import ParseError, TagtrailError
from ledger.keyfile import (
    KeyfileError,
    create_keyfile,
    load_signer,
    needs_passphrase,
    read_public_key,
    store_token_key,
)
from ledger.token import TokenError
from tests.tokens import ED25519, PIN, SHUT, TOKEN, Tokens

OWNER = ("https://tagtrail.example/demo", "log")


def refusal(source: str, error: type[TagtrailError] = TokenError) -> str:
    """Return why `source` does not load, having made sure that no line of it has the PIN."""
    with pytest.raises(error) as refused:
        load_signer(source, b"")
    told = "".join(traceback.format_exception(refused.value))
    assert PIN not in told
    return str(refused.value)


def test_a_token_signs_as_ed25519_asks(softhsm: Tokens) -> None:
    signer = load_signer(softhsm.key("log"), b"")
    assert signer.kid == key_thumbprint(signer.x)
    for message in (b"", b"message", bytes(100_000)):
        verify_ed25519(signer.x, signer.sign(message), message)


def test_two_keys_of_a_token_open_under_one_login(softhsm: Tokens) -> None:
    log, party = (load_signer(softhsm.key(name), b"") for name in ("log", "party"))
    again = load_signer(softhsm.key("log"), b"")
    assert (log.x == again.x, log.x == party.x) == (True, False)
    verify_ed25519(log.x, log.sign(b"m"), b"m")
    verify_ed25519(party.x, party.sign(b"m"), b"m")


def test_many_threads_sign_at_once(softhsm: Tokens) -> None:
    signer = load_signer(softhsm.key("log"), b"")
    messages = [bytes([n]) * n for n in range(200)]
    with ThreadPoolExecutor(8) as pool:
        for message, signature in zip(messages, pool.map(signer.sign, messages), strict=True):
            verify_ed25519(signer.x, signature, message)


def test_a_key_that_is_gone_signs_no_more(softhsm: Tokens) -> None:
    import pkcs11  # noqa: PLC0415 - optional

    load_signer(softhsm.key("log"), b"")  # logs in
    session = pkcs11.lib(softhsm.module).get_token(token_label=TOKEN).open(rw=True)
    parameters = session.create_domain_parameters(
        pkcs11.KeyType.EC_EDWARDS, {pkcs11.Attribute.EC_PARAMS: ED25519}, local=True
    )
    _, private = parameters.generate_keypair(store=True, label="brief", id=b"\x30")
    signer = load_signer(softhsm.key("brief"), b"")
    private.destroy()
    with pytest.raises(TokenError, match="the token does not sign"):
        signer.sign(b"message")


def test_an_id_chooses_between_keys_of_one_name(softhsm: Tokens) -> None:
    assert "2 private keys for object=twin" in refusal(softhsm.key("twin"))
    fifth, sixth = (
        load_signer(softhsm.uri(f"token={TOKEN};object=twin;id=%0{n}"), b"") for n in (5, 6)
    )
    assert fifth.x != sixth.x


def test_a_token_may_be_chosen_by_all_that_it_says_of_itself(softhsm: Tokens) -> None:
    import pkcs11  # noqa: PLC0415 - optional

    token = pkcs11.lib(softhsm.module).get_token(token_label=TOKEN)
    path = f"serial={token.serial.decode()};model=SoftHSM%20v2;manufacturer=SoftHSM%20project"
    assert load_signer(softhsm.uri(f"{path};id=%01"), b"").x == (
        load_signer(softhsm.key("log"), b"").x
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("nobody", "has 0 private keys for object=nobody"),
        ("nist", "no Ed25519 key"),
        ("goldilocks", "no Ed25519 key"),
        ("mute", "may not sign"),
        ("widow", "has 0 public keys for object=widow"),
        ("liar", "does not verify under the public key"),
    ],
)
def test_a_key_that_cannot_serve_is_refused(softhsm: Tokens, name: str, why: str) -> None:
    assert why in refusal(softhsm.key(name))


def test_a_token_that_is_not_there_is_named(softhsm: Tokens) -> None:
    told = refusal(softhsm.uri("token=elsewhere;object=log"))
    assert "0 tokens are token=elsewhere" in told
    assert f"'{TOKEN}'" in told
    assert "tokens are model=SoftHSM v2, want one" in refusal(
        softhsm.uri("model=SoftHSM%20v2;object=log")
    )


@pytest.mark.parametrize("module", ["/nowhere/p11.so", "/etc/hostname", "/lib64/libc.so.6"])
def test_a_module_that_is_none_is_named(softhsm: Tokens, module: str) -> None:
    uri = softhsm.key("log").replace(softhsm.module, module)
    assert f"{module} is no PKCS#11 module that works here" in refusal(uri)


def test_a_wrong_pin_is_refused(softhsm: Tokens, tmp_path: Path) -> None:
    path = tmp_path / "pin"
    path.touch(0o600)
    path.write_text(f"{PIN}1\n")
    told = refusal(softhsm.uri(f"token={SHUT};object=log", str(path)))
    assert f"token={SHUT} refuses the PIN of {path}" in told


def test_the_pin_may_be_in_a_private_file(softhsm: Tokens, tmp_path: Path) -> None:
    path = tmp_path / "pin"
    path.touch(0o600)
    uri = softhsm.uri(f"token={TOKEN};object=log", f"file:{path}")
    for text in (PIN, f"{PIN}\n", f"{PIN}\r\n"):
        path.write_text(text)
        assert load_signer(uri, b"")
    for wrong in ("", "\n", f"{PIN}\n{PIN}\n"):
        path.write_text(wrong)
        assert "holds no PIN on one line" in refusal(uri, KeyfileError)
    path.write_bytes(b"\xff" + PIN.encode())
    assert "no UTF-8" in refusal(uri, KeyfileError)
    path.chmod(0o640)
    assert "chmod 600" in refusal(uri, KeyfileError)
    path.unlink()
    assert "No such file" in refusal(uri, KeyfileError)
    assert "no such variable" in refusal(
        softhsm.uri(f"token={TOKEN};object=log", "env:NOT_HERE"), KeyfileError
    )


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    monkeypatch.setenv("TOKEN_PIN", PIN)
    told = refusal("pkcs11:token=t;object=k?module-path=/p&pin-source=env:TOKEN_PIN")
    assert "pip install 'tagtrail[pkcs11]'" in told


def test_a_file_says_whom_a_key_in_a_token_speaks_for(softhsm: Tokens, tmp_path: Path) -> None:
    path = tmp_path / "log.key"
    public = store_token_key(path, softhsm.key("log"), OWNER)
    assert (path.stat().st_mode & 0o777, PIN in path.read_text()) == (0o600, False)
    signer = load_signer(path, b"")
    assert (public.kid, public.x) == (signer.kid, signer.x)
    assert read_public_key(path) == public
    assert (public.iss, public.role) == OWNER
    assert not needs_passphrase(path)
    assert not needs_passphrase(softhsm.key("log"))
    with pytest.raises(KeyfileError, match="keys make FILE"):
        read_public_key(softhsm.key("log"))


def test_another_key_in_the_place_of_the_one_named_is_refused(
    softhsm: Tokens, tmp_path: Path
) -> None:
    path = tmp_path / "log.key"
    store_token_key(path, softhsm.key("log"), OWNER)
    path.write_text(path.read_text().replace("object=log", "object=party"))
    assert "another key than it names" in refusal(str(path), KeyfileError)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('"role"', '"rule"', "no key file"),
        ('"uri": "pkcs11:', '"uri": "', "uri: PKCS#11 URI: does not start"),
        ('"kid": "', '"kid": "00', "32 bytes"),
        ("  ", "    ", "one spelling"),
        ("tokenkey/v1", "tokenkey/v2", "no key file"),
    ],
)
def test_what_is_no_such_file_is_refused(
    softhsm: Tokens, tmp_path: Path, old: str, new: str, why: str
) -> None:
    path = tmp_path / "log.key"
    store_token_key(path, softhsm.key("log"), OWNER)
    path.write_text(path.read_text().replace(old, new))
    assert why in refusal(str(path), ParseError)


def test_a_gateway_signs_with_keys_in_a_token_and_in_a_file(
    softhsm: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dairy, shop = (
        f"https://id.gs1.org/417/{gln}" for gln in ("9506000134352", "9506000134376")
    )
    only_token = (
        f'origin = "tagtrail.example/demo"\n[[key]]\nparty = "{dairy}"\n'
        f'file = "{softhsm.key("gateway")}"\n'
    )
    monkeypatch.delenv("TAGTRAIL_PASSPHRASE", raising=False)
    ((_, signer),) = load_signers(parse_settings(only_token, tmp_path)).values()
    verify_ed25519(signer.x, signer.sign(b"m"), b"m")
    create_keyfile(tmp_path / "shop.key", passphrase=b"test")
    both = f'{only_token}[[key]]\nparty = "{shop}"\nfile = "shop.key"\n'
    monkeypatch.setenv("TAGTRAIL_PASSPHRASE", "test")
    assert load_signers(parse_settings(both, tmp_path))[dairy][1].x == signer.x


def test_a_process_that_used_a_token_ends_cleanly(softhsm: Tokens) -> None:
    code = (
        "import sys; from ledger.keyfile import load_signer; "
        "print(load_signer(sys.argv[1], b'').sign(b'm').hex())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, softhsm.key("log")],
        env=os.environ | softhsm.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip() == load_signer(softhsm.key("log"), b"").sign(b"m").hex()
