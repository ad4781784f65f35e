"""Real witnesses on loopback, and a ledger whose policy asks them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from ledger.api.server import Server, bind
from ledger.api.witness_application import create_witness_application
from ledger.audit.trustfile import Trust, parse_trust
from ledger.federation.witnessing import (
    WitnessService,
    create_witness,
    load_witness_keys,
    trust_log,
)

DEADLINE_S = 30.0
NOW_S = 1_767_225_600


@dataclass
class Neighbour:
    """One witness, which can be started and stopped; it keeps its port."""

    folder: Path
    name: str
    port: int = 0
    url: str = ""
    _server: Server | None = None
    _thread: threading.Thread | None = None
    _service: WitnessService | None = None
    now_s: Callable[[], int] = field(default=lambda: NOW_S)

    def start(self) -> None:
        """Listen and answer."""
        ready = threading.Event()
        self._service = WitnessService(self.folder, now_s=self.now_s)
        listener = bind("127.0.0.1", self.port)
        self.port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            create_witness_application(self._service),
            access_log=False,
            log_config=None,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        server = self._server = Server(config, ready.set)

        def run() -> None:
            with listener:
                server.run(sockets=[listener])

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        assert ready.wait(DEADLINE_S)

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._server is None or self._thread is None or self._service is None:
            return
        self._server.should_exit = True
        self._thread.join(DEADLINE_S)
        self._service.close()
        self._server = None

    @property
    def policy_line(self) -> str:
        """The line of a policy that asks this witness."""
        key = load_witness_keys(self.folder).public[0]
        return f"witness {self.name} {key} {self.url}\n"


@contextmanager
def neighbours(
    folder: Path, *vkeys: str, names: str = "north south west"
) -> Iterator[list[Neighbour]]:
    """Run a witness for each of `names`, which know the logs of `vkeys`."""
    made = []
    try:
        for name in names.split():
            where = folder / name
            create_witness(where, f"{name}.example")
            for vkey in vkeys:
                trust_log(where, vkey)
            one = Neighbour(where, name)
            one.start()
            made.append(one)
        yield made
    finally:
        for one in made:
            one.stop()


def ask_for(folder: Path, witnesses: list[Neighbour], *, least: int = 2) -> Trust:
    """Let the ledger in `folder` want `least` of `witnesses`; return what it trusts now."""
    path = folder / "trust.toml"
    names = " ".join(one.name for one in witnesses)
    lines = "".join(one.policy_line for one in witnesses)
    text = path.read_text().replace(
        "quorum none\n", f"{lines}group neighbours {least} {names}\nquorum neighbours\n"
    )
    path.write_text(text)
    return parse_trust(path.read_bytes())
