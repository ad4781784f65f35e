"""The optional material and servers of the tests, and the rule for doing without.

A test that needs something optional asks for its fixture. Where the thing is
absent the test is skipped and says what was missing, unless the environment
variable `TAGTRAIL_REQUIRE` names it (`mosquitto,postgresql,nats,shared,go,softhsm`): then
the absence is a failure, so that continuous integration cannot pass by skipping.
"""

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_SERVER_PATHS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
_BROKER_START_S = 10.0


def required() -> frozenset[str]:
    """Return the names of the optional things that this run may not do without."""
    names = os.environ.get("TAGTRAIL_REQUIRE", "").split(",")
    return frozenset(name.strip() for name in names if name.strip())


def absent(name: str, how: str) -> None:
    """Skip the running test for want of `name`, or fail it where `name` is required."""
    message = f"{name} is not here: {how}"
    if name in required():
        pytest.fail(message)
    pytest.skip(message)


def find_program(name: str) -> str | None:
    """Return the path of a program; system folders count as on the PATH."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *_SERVER_PATHS))
    return shutil.which(name, path=path)


def free_port() -> int:
    """Return a loopback TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Broker:
    """A running MQTT broker on loopback."""

    host: str
    port: int
    process: "subprocess.Popen[bytes]"
    folder: Path

    @property
    def url(self) -> str:
        return f"mqtt://{self.host}:{self.port}"


def start_mosquitto(folder: Path, port: int) -> Broker:
    """Start a mosquitto that keeps what it acknowledged, with its store in `folder`."""
    program = find_program("mosquitto")
    if program is None:
        absent("mosquitto", "install it with: apt-get install mosquitto")
    assert program is not None
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} 127.0.0.1\nallow_anonymous true\n"
        f"persistence true\npersistence_location {folder}/\n"
        "autosave_on_changes true\nautosave_interval 1\n"
        "max_queued_messages 0\nmax_queued_bytes 268435456\n"
        "log_dest stderr\nlog_type error\n"
        + ("user root\n" if hasattr(os, "geteuid") and os.geteuid() == 0 else "")
    )
    log = (folder / "mosquitto.log").open("ab")
    with log:
        process = subprocess.Popen([program, "-c", str(config)], stdout=log, stderr=log)
    deadline = time.monotonic() + _BROKER_START_S
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return Broker("127.0.0.1", port, process, folder)
        time.sleep(0.02)
    process.kill()
    process.wait()
    pytest.fail(f"mosquitto did not listen: {(folder / 'mosquitto.log').read_text()}")


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a child process, by force when it does not go by itself."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
