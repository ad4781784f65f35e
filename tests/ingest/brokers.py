"""Real brokers, run with the very configurations that docs/deploy ships."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.optional import ROOT, Broker, absent, find_program, free_port, stop

DEPLOY = ROOT / "docs" / "deploy"
START_SECONDS = 15.0


def wait_for_port(port: int, log: Path, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    process.kill()
    process.wait()
    pytest.fail(f"the broker did not listen: {log.read_text()}")


def start_shipped_mosquitto(folder: Path, name: str, port: int) -> Broker:
    """Start mosquitto with docs/deploy/NAME, its paths and its port turned to `folder`."""
    program = find_program("mosquitto")
    if program is None:
        absent("mosquitto", "install it with: apt-get install mosquitto")
    assert program is not None
    store = folder / "store"
    store.mkdir(parents=True, exist_ok=True)
    text = (DEPLOY / name).read_text()
    text = text.replace("listener 1883 127.0.0.1", f"listener {port} 127.0.0.1")
    text = text.replace("listener 8883", f"listener {port} 127.0.0.1")
    text = text.replace("/var/lib/mosquitto", str(store)).replace("/etc/mosquitto", str(folder))
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        text += "user root\n"
    (folder / "mosquitto.conf").write_text(text + "log_dest stderr\nlog_type error\n")
    acl = folder / "mosquitto.acl"
    acl.write_text((DEPLOY / "mosquitto.acl").read_text())
    acl.chmod(0o600)
    log = folder / "mosquitto.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [program, "-c", str(folder / "mosquitto.conf")], stdout=file, stderr=file
        )
    wait_for_port(port, log, process)
    return Broker("127.0.0.1", port, process, folder)


@contextmanager
def shipped_mosquitto(folder: Path, name: str) -> Iterator[Broker]:
    broker = start_shipped_mosquitto(folder, name, free_port())
    try:
        yield broker
    finally:
        stop(broker.process)


@contextmanager
def shipped_nats(folder: Path) -> Iterator[Broker]:
    """Run nats-server with docs/deploy/nats-server.conf, turned to `folder`."""
    program = find_program("nats-server")
    if program is None:
        absent("nats", "install it with: apt-get install nats-server")
    assert program is not None
    port, other = free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    text = (DEPLOY / "nats-server.conf").read_text()
    text = text.replace("0.0.0.0:8883", f"127.0.0.1:{port}").replace(
        "127.0.0.1:4222", f"127.0.0.1:{other}"
    )
    text = text.replace("/var/lib/nats", str(folder / "store"))
    text = text.replace("/etc/nats", str(folder))
    (folder / "nats.conf").write_text(text)
    log = folder / "nats.log"
    with log.open("ab") as file:
        process = subprocess.Popen(
            [program, "-c", str(folder / "nats.conf")], stdout=file, stderr=file
        )
    try:
        wait_for_port(port, log, process)
        yield Broker("127.0.0.1", port, process, folder)
    finally:
        stop(process)
