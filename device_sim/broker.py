"""The private MQTT broker of a demonstration: mosquitto where it is installed, else amqtt.

mosquitto's defaults lose what it acknowledged: it keeps nothing over a kill, and
an offline subscriber's queue ends after 1,000 messages. The configuration written
here persists every change within a second and bounds the queue in bytes only.
Started by root, mosquitto drops to a user of its own and cannot write its store,
so it is told to stay root.

amqtt is pure Python and needs no installation. It speaks MQTT 3.1.1 and forgets a
session that is offline, so a demonstration on it cannot lose its gateway.

    python -m device_sim.broker PORT     runs amqtt on loopback until it is ended
"""

import asyncio
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ledger.errors import TagtrailError

QUEUED_BYTES_MAX = 1 << 30
START_S_MAX = 15.0
STOP_S_MAX = 5.0
_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")


class BrokerError(TagtrailError):
    """The broker could not be started; the message names its log."""


@dataclass(frozen=True, slots=True)
class RunningBroker:
    """A broker that listens on loopback, and the process to end."""

    name: str
    port: int
    process: "subprocess.Popen[bytes]"

    @property
    def url(self) -> str:
        """Return the address for a publisher or a gateway."""
        return f"mqtt://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """End the broker, by force when it does not go by itself."""
        self.process.terminate()
        try:
            self.process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def find_mosquitto() -> str | None:
    """Return the path of mosquitto; Debian keeps it in a folder that users' PATHs lack."""
    return shutil.which("mosquitto") or shutil.which(
        "mosquitto", path=os.pathsep.join(_SYSTEM_FOLDERS)
    )


def mosquitto_config(folder: Path, port: int, *, as_root: bool) -> str:
    """Return a configuration that keeps what it acknowledged, with its store in `folder`."""
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "persistence true",
        f"persistence_location {folder}/",
        "autosave_on_changes true",
        "autosave_interval 1",
        "max_queued_messages 0",
        f"max_queued_bytes {QUEUED_BYTES_MAX}",
        "max_inflight_messages 200",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
    ]
    if as_root:
        lines.append("user root")
    return "\n".join(lines) + "\n"


def start_broker(folder: Path, port: int = 0) -> RunningBroker:
    """Start a broker on loopback with its files in `folder`; port 0 takes a free one.

    Returns once it listens, or raises `BrokerError`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    mosquitto = find_mosquitto()
    if mosquitto is None:
        name, command = "amqtt", [sys.executable, "-m", "device_sim.broker", str(port)]
    else:
        config = folder / "mosquitto.conf"
        as_root = hasattr(os, "geteuid") and os.geteuid() == 0
        config.write_text(mosquitto_config(folder.resolve(), port, as_root=as_root))
        name, command = "mosquitto", [mosquitto, "-c", str(config)]
    log_path = folder / f"{name}.log"
    with log_path.open("ab") as log:
        # Its own process group: Ctrl-C on the terminal must not end the broker first.
        process = subprocess.Popen(  # noqa: S603 - both commands are our own
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    broker = RunningBroker(name, port, process)
    deadline = time.monotonic() + START_S_MAX
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return broker
        time.sleep(0.02)
    if process.poll() is None:
        broker.stop()
    tail = log_path.read_text(errors="replace").strip().splitlines()[-1:]
    raise BrokerError(
        f"{name} did not listen on port {port}: {' '.join(tail)} (see {log_path})"
    )


def free_port() -> int:
    """Return a loopback TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _run_amqtt(port: int) -> None:
    from amqtt.broker import Broker  # noqa: PLC0415 - only where mosquitto is absent

    config = {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {
            "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
        },
    }
    broker = Broker(config)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await broker.start()
    await stopped.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(_run_amqtt(int(sys.argv[1])))
