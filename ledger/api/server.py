"""Listens, and runs an ASGI application until a signal asks it to stop."""

import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

from ledger.errors import TagtrailError

BACKLOG = 512
"""How many connections may wait to be accepted."""

COLLECT_AFTER = (100_000, 50, 100)
"""After how many new objects the young are collected; after how many times the older."""

STOP_REQUESTS_S = 1
"""How long requests that are under way may take once the server is asked to stop."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `host` and `port` (0: any); or raise `TagtrailError`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        # Connections inherit it. asyncio sets it only for sockets that name their protocol,
        # and without it an answer of two writes waits 40 ms for the client's ACK.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        why = error.strerror or error
        raise TagtrailError(f"cannot listen on {host}:{port}: {why}") from error
    return listener


class Server(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, on_listening: Callable[[], object]) -> None:
        """Serve after `config`; `on_listening` is called once requests are answered."""
        super().__init__(config)
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call `on_listening`."""
        await super().startup(sockets)
        if self.started:
            self._on_listening()


def run_server(
    application: FastAPI, listener: socket.socket, on_listening: Callable[[str], object]
) -> None:
    """Serve `application` on `listener` until SIGTERM or SIGINT, then return.

    `on_listening` is told the URL once requests are answered.
    """
    host, port = listener.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    config = uvicorn.Config(
        application,
        access_log=False,
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=STOP_REQUESTS_S,
    )
    _calm_collector()
    with _outliving_signals():
        Server(config, lambda: on_listening(f"http://{name}:{port}")).run(sockets=[listener])


def _calm_collector() -> None:
    """Make the collector of reference cycles look at what lives long ten times less often.

    Thousands of parsed events are kept in memory and hold no cycles; to walk them all again
    and again made one answer in fifty ten times as slow as the others.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


@contextmanager
def _outliving_signals() -> Iterator[None]:
    """Keep the signal that stops the server from killing the process afterwards.

    uvicorn raises it again once it has stopped; the ledger still has to be closed then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    old = {
        number: signal.signal(number, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
