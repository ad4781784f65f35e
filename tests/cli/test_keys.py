"""The life of keys by command: made, admitted, enrolled, rotated, suspended, ended, listed."""

import json
from pathlib import Path

import pytest

from ledger.audit.finding import Result
from ledger.cli import main
from ledger.cli.verify import audit_folder

DAIRY = "https://id.gs1.org/417/9506000134352"


def run_command(*words: str) -> int:
    """Run `tagtrail` in this process; return its exit code."""
    with pytest.raises(SystemExit) as left:
        main(words)
    return int(left.value.code or 0)


class Keys:
    """`tagtrail keys` on one ledger's folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.admin = str(folder / "keys" / "admin.key")

    def run(self, *words: str) -> tuple[int, str]:
        """Run a command; return exit code and all it printed."""
        self._capsys.readouterr()
        code = run_command("keys", *words, "--dir", str(self.folder))
        printed = self._capsys.readouterr()
        return code, printed.out + printed.err

    def make(self, name: str, role: str, iss: str = DAIRY) -> tuple[str, str]:
        """Make a key file; return its path and kid."""
        path = self.folder / f"{name}.key"
        code, printed = self.run("make", str(path), "--iss", iss, "--role", role)
        assert code == 0, printed
        return str(path), printed.split()[-1]

    def state(self, text: str, name: str = "kid") -> dict[str, object]:
        """Return what the list says of the one key with this kid, or role."""
        code, printed = self.run("list", "--json")
        assert code == 0, printed
        (found,) = [key for key in json.loads(printed) if key[name] == text]
        return dict(found)


@pytest.fixture
def keys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Keys:
    monkeypatch.setenv("TAGTRAIL_PASSPHRASE", "test")
    folder = tmp_path / "ledger"
    assert run_command("init", "--dir", str(folder), "--origin", "tagtrail.example/keys") == 0
    return Keys(folder, capsys)


def test_a_party_and_its_gateway_go_through_the_life_of_keys(keys: Keys) -> None:
    party, party_kid = keys.make("party", "party")
    gateway, gateway_kid = keys.make("gateway", "gateway")
    assert Path(gateway).stat().st_mode & 0o777 == 0o600
    assert keys.run("admit", party, "--by", keys.admin, "--prefix", "9506000")[0] == 0
    enrolled = keys.run(
        "enrol", gateway, "--by", party, "--prefix", "9506000", "--grade-max", "2"
    )
    assert enrolled[0] == 0, enrolled
    assert keys.state(gateway_kid)["prefixes"] == ["9506000"]

    assert keys.run("suspend", gateway_kid[:12], "--by", party)[0] == 0
    assert keys.state(gateway_kid)["suspended"] is True
    assert keys.run("epoch", gateway_kid[:12], "--by", party)[0] == 0
    assert (keys.state(gateway_kid)["suspended"], keys.state(gateway_kid)["epoch"]) == (
        False,
        1,
    )

    second, second_kid = keys.make("second", "gateway")
    assert keys.run("rotate", gateway_kid[:12], second, "--by", party)[0] == 0
    assert keys.state(gateway_kid)["ended_at"] is not None
    assert keys.state(second_kid)["grade_max"] == 2
    assert keys.run("revoke", second_kid[:12], "--by", keys.admin)[0] == 0
    assert keys.state(second_kid)["ended_at"] is not None
    since = ("--since", "3")
    assert keys.run("compromised", party_kid[:12], *since, "--by", keys.admin)[0] == 0
    assert keys.state(party_kid)["suspect_since"] == 3
    assert audit_folder(keys.folder).result is Result.VERIFIED


def test_a_recovery_key_replaces_the_admin(keys: Keys) -> None:
    operator = str(keys.state("admin", "role")["iss"])
    new, new_kid = keys.make("new-admin", "admin", operator)
    recovery = str(keys.folder / "keys" / "recovery.key")
    old = str(keys.state("admin", "role")["kid"])
    assert keys.run("rotate", old[:12], new, "--by", recovery)[0] == 0
    assert keys.state(old)["ended_at"] is not None
    party, _ = keys.make("party", "party")
    refused = keys.run("admit", party, "--by", keys.admin)
    assert refused[0] == 1
    assert "ended" in refused[1]
    assert keys.run("admit", party, "--by", new)[0] == 0
    assert keys.state(new_kid)["next_seq"] == 1


def test_a_gateway_is_not_enrolled_by_the_admin(keys: Keys) -> None:
    gateway, _ = keys.make("gateway", "gateway")
    code, printed = keys.run("enrol", gateway, "--by", keys.admin)
    assert (code, "role" in printed) == (1, True)


def test_a_kid_that_is_not_one_key_is_asked_for_again(keys: Keys) -> None:
    code, printed = keys.run("revoke", "", "--by", keys.admin)
    assert (code, "keys start with" in printed) == (2, True)


def test_a_key_in_the_environment_signs(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_KEY", Path(keys.admin).read_text())
    party, _ = keys.make("party", "party")
    code, printed = keys.run("admit", party, "--by", "env:ADMIN_KEY")
    assert code == 0, printed


def test_a_pkcs11_uri_that_says_too_little_is_refused(keys: Keys) -> None:
    party, _ = keys.make("party", "party")
    code, printed = keys.run("admit", party, "--by", "pkcs11:token=admin;object=key")
    assert (code, "has no module-path" in printed) == (2, True), printed
