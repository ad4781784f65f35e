"""The base install carries the auditor alone: from the bare wheel, with no route to anywhere.

The wheel is built, and installed with just the locked base dependencies into an environment
of its own. There `tagtrail verify` has to judge an export and a bundle in a network
namespace without a route, and nothing of a server or a database toolkit may be there.
"""

import os
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ledger.client.exporting import export_evidence
from ledger.store.index import open_index
from tests.attacks.forger import edit_time, forge, load_entry
from tests.attacks.ledgers import build_ledger
from tests.optional import ROOT, absent, find_program

EPC = "urn:epc:id:sgtin:9506000.134352.96"
SECONDS_MAX = 240
NOT_THERE = ("sqlalchemy", "sqlmodel", "fastapi", "uvicorn", "paho", "amqtt", "pytest")


def base_packages() -> set[str]:
    """Return the names of the base dependencies and of all that they depend on here."""
    wanted, names = ["tagtrail"], set[str]()
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in names:
            continue
        names.add(name)
        try:
            found = [Requirement(text) for text in requires(name) or ()]
        except PackageNotFoundError:
            continue
        wanted += [
            one.name
            for one in found
            if one.marker is None or one.marker.evaluate({"extra": ""})
        ]
    return names - {"tagtrail"}


def locked(names: set[str]) -> str:
    """Return the lines of the lock about `names`, with their hashes."""
    lock = (ROOT / "requirements.lock").read_text()
    blocks = re.findall(r"^(\S+?)==(.*?)(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    found = [
        f"{name}=={rest}"
        for name, rest in blocks
        if canonicalize_name(name.split("[")[0]) in names
    ]
    assert len(found) >= 5
    return "".join(found)


def run(*command: object, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        **more,  # type: ignore[call-overload]
    )


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of commands of an environment with the bare wheel."""
    folder = tmp_path_factory.mktemp("bare")
    built = run(
        sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("tagtrail-*.whl")
    assert run(sys.executable, "-m", "venv", "--without-pip", folder / "env").returncode == 0
    (folder / "base.txt").write_text(locked(base_packages()))
    pip = (sys.executable, "-m", "pip", "--python", folder / "env" / "bin" / "python")
    install = (*pip, "install", "--quiet", "--no-deps", "--disable-pip-version-check")
    done = run(*install, "--require-hashes", "--only-binary=:all:", "-r", folder / "base.txt")
    if done.returncode != 0:
        absent("index", f"the base dependencies cannot be installed: {done.stderr[-300:]}")
    done = run(*install, "--no-index", wheel)
    assert done.returncode == 0, done.stderr
    return folder / "env" / "bin"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an export, a bundle, and the trust file apart from them."""
    folder = tmp_path_factory.mktemp("evidence")
    ledger = build_ledger(folder / "ledger", entries=30)
    index = open_index(folder / "ledger", ledger.log.reader)
    index.follow(ledger.log.size)
    index.close()
    ledger.close()
    export_evidence(folder / "ledger", folder / "export")
    made = run(
        *(sys.executable, "-m", "ledger.cli", "bundle", EPC),
        *("--dir", folder / "ledger", "-o", folder / "item.bundle"),
        cwd=ROOT,
    )
    assert made.returncode == 0, made.stdout + made.stderr
    (folder / "ledger" / "trust.toml").rename(folder / "trust.toml")
    return folder


def offline(*command: object) -> subprocess.CompletedProcess[str]:
    """Run in a network namespace of its own, which has no route."""
    unshare = find_program("unshare")
    if unshare is None:
        absent("unshare", "it is in util-linux")
    options = ["-n"] if os.geteuid() == 0 else ["-rn"]
    if run(unshare, *options, "true").returncode != 0:
        absent("unshare", "this kernel gives no network namespaces")
    return run(unshare, *options, *command, env={"PATH": "/usr/bin:/bin"}, cwd="/")


@pytest.mark.parametrize("target", ["export", "ledger", "item.bundle"])
def test_the_bare_wheel_verifies_without_a_network(
    bare: Path, evidence: Path, target: str
) -> None:
    done = offline(
        bare / "tagtrail", "verify", evidence / target, "--trust", evidence / "trust.toml"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("VERIFIED")
    assert "That a sensor told the truth." in done.stdout


def test_the_bare_wheel_finds_what_was_changed(bare: Path, tmp_path: Path) -> None:
    build_ledger(tmp_path / "ledger", entries=20).close()
    with forge(tmp_path / "ledger") as database:
        data = edit_time(load_entry(database, 12))
        database.execute("UPDATE entry SET data = ? WHERE idx = 12", (data,))
    done = offline(bare / "tagtrail", "verify", tmp_path / "ledger", "--json")
    assert done.returncode == 1
    assert '"index": 12' in done.stdout


def test_no_server_and_no_database_toolkit_is_there(bare: Path) -> None:
    code = (
        "from importlib.util import find_spec\n"
        f"print([name for name in {NOT_THERE!r} if find_spec(name)])"
    )
    done = offline(bare / "python", "-c", code)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_what_needs_more_says_what_to_install(bare: Path) -> None:
    done = offline(bare / "tagtrail", "serve", "--dir", "/nowhere")
    assert done.returncode != 0
    assert "pip install 'tagtrail[server" in done.stderr + done.stdout


def test_a_database_needs_an_extra_that_is_named(bare: Path, evidence: Path) -> None:
    url = "postgresql://127.0.0.1:1/ledger"
    done = offline(bare / "tagtrail", "verify", url)
    assert done.returncode == 4
    assert "tagtrail[postgres]" in done.stderr
    (evidence / "elsewhere").mkdir()
    (evidence / "elsewhere" / "database.toml").write_text(f'url = "{url}"\n')
    done = offline(bare / "tagtrail", "verify", evidence / "elsewhere")
    assert done.returncode == 3
    assert "tagtrail[postgres]" in done.stdout
