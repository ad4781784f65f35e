"""A proxy between a service and its PostgreSQL that does harm at one chosen message.

It understands just as much of the protocol as to tell where a message of the client ends, so
that the same life of a service sends the same messages, and the nth is the same each time.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

from tests.postgres import Cluster

LENGTH_BYTES = 4
WAIT_S = 20.0
REPLY_S = 0.5


class Harm(StrEnum):
    """What happens at the chosen message: before it reaches the server, or after."""

    CUT = "connection cut"
    HALF = "cut within a message"
    REPLY_LOST = "cut before the reply"
    SERVICE_KILLED = "service killed"
    SERVICE_KILLED_AFTER = "service killed after"
    SERVER_STOPPED = "server stopped"
    SERVER_STOPPED_AFTER = "server stopped after"
    SERVER_KILLED = "server killed"
    SERVER_KILLED_AFTER = "server killed after"
    DISK_FULL = "disk full"


@dataclass
class Proxy:
    """Forwards connections to `cluster`; at message `step` (0: never) does `harm`."""

    cluster: Cluster
    step: int
    harm: Harm
    fill_disk: Callable[[], object] = lambda: None
    victim: int = 0
    """The process to kill."""
    seen: list[str] = field(default_factory=list)
    """What each message was."""
    struck: str = ""
    """What the message was at which harm was done."""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _sockets: list[socket.socket] = field(default_factory=list)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def start(self) -> None:
        """Take connections from now on."""
        self._run(self._accept)

    def close(self) -> None:
        """Cut everything, and wait for the threads."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            ends = list(self._sockets)
        for end in ends:
            _shut(end)
        for thread in list(self._threads):
            thread.join(WAIT_S)
        for end in ends:
            end.close()

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.cluster.port))
            except OSError:
                return
            with self._lock:
                self._sockets += [client, server]
            mute = threading.Event()
            replied = threading.Event()
            self._run(self._forward, client, server, mute, replied)
            self._run(_back, server, client, mute, replied)

    def _forward(
        self,
        client: socket.socket,
        server: socket.socket,
        mute: threading.Event,
        replied: threading.Event,
    ) -> None:
        """Send on what the client says, message by message."""
        with suppress(OSError, EOFError):
            server.sendall(_startup(client))
            while True:
                message = _message(client)
                with self._lock:
                    self.seen.append(_name(message))
                    is_it = len(self.seen) == self.step
                if not is_it:
                    server.sendall(message)
                    continue
                self.struck = self.seen[self.step - 1]
                replied.clear()
                if not self._strike(message, server, mute, replied):
                    break
        _shut(client)
        _shut(server)

    def _strike(
        self,
        message: bytes,
        server: socket.socket,
        mute: threading.Event,
        replied: threading.Event,
    ) -> bool:
        """Do the harm; return whether the connection goes on."""
        harm = self.harm
        if harm == Harm.DISK_FULL:
            self.fill_disk()
            server.sendall(message)
            return True
        if harm == Harm.HALF:
            server.sendall(message[: len(message) // 2])
        elif harm == Harm.REPLY_LOST:
            mute.set()
            server.sendall(message)
            replied.wait(REPLY_S)
        elif harm.endswith("after"):
            server.sendall(message)
            time.sleep(self.step % 5 / 1000)
        if harm in (Harm.SERVICE_KILLED, Harm.SERVICE_KILLED_AFTER):
            os.kill(self.victim, signal.SIGKILL)
        elif harm in (Harm.SERVER_STOPPED, Harm.SERVER_STOPPED_AFTER):
            self.cluster.stop(signal.SIGQUIT)
        elif harm in (Harm.SERVER_KILLED, Harm.SERVER_KILLED_AFTER):
            self.cluster.kill()
        return False


def _back(
    server: socket.socket,
    client: socket.socket,
    mute: threading.Event,
    replied: threading.Event,
) -> None:
    """Send on what the server says, unless it is to be lost."""
    with suppress(OSError):
        while data := server.recv(65536):
            if not mute.is_set():
                client.sendall(data)
            replied.set()
    _shut(client)


def _startup(client: socket.socket) -> bytes:
    head = _take(client, LENGTH_BYTES)
    return head + _take(client, int.from_bytes(head, "big") - LENGTH_BYTES)


def _message(client: socket.socket) -> bytes:
    head = _take(client, 1 + LENGTH_BYTES)
    return head + _take(client, int.from_bytes(head[1:], "big") - LENGTH_BYTES)


def _take(client: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = client.recv(count - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _name(message: bytes) -> str:
    """Return what a message asks for: the first word of its SQL, or its kind."""
    kind = chr(message[0])
    body = message[1 + LENGTH_BYTES :].strip(b"\\0")
    if kind == "Q":
        return body.split()[0].decode(errors="replace").strip("\0")
    names = {"P": "parse", "B": "bind", "D": "describe", "E": "execute", "S": "sync"}
    names |= {"d": "copy data", "c": "copy end", "X": "goodbye", "C": "close", "H": "flush"}
    return names.get(kind, kind)


def _shut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
