"""Recorded reader output through the very line that runs live, to the last entry.

On a fresh folder a ledger is made, with the parties of the plan, and served as long as the
replay lasts. The same files again change nothing: their messages are known.
"""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest.delivery import next_delay
from ingest.folderlock import FolderLock
from ingest.health import Health, read_health
from ingest.inbox import Inbox
from ingest.inboxreader import InboxReader, Quarantined
from ingest.outbox import Outbox
from ingest.pipeline import Courier, Keeper, Processor, now_us
from ingest.plan import Plan
from ingest.reads import Arrival
from ingest.recording import RECORDING_BYTES_MAX, parse_recording
from ingest.settings import FILE as SETTINGS_FILE
from ingest.settings import Settings, SettingsError, load_settings
from ledger.client.http import CaptureClient, LedgerUnavailableError
from ledger.errors import TagtrailError

GATEWAY_FOLDER = "gateway"
ORIGIN = "tagtrail.example/replay"
KEEP_BATCH = 1_000
DELIVERY_SECONDS_MAX = 60.0
SERVER_SECONDS_MAX = 30.0
INDEX_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.05


class ReplayError(TagtrailError):
    """A replay that could not begin: a file, a folder or a server that is not as it must be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What one replay did: the gateway's counts before and after, and why it is not done.

    `quarantined` are the faults of the messages that this replay brought.
    """

    before: Health
    after: Health
    quarantined: tuple[Quarantined, ...]
    undelivered: str | None

    @property
    def is_complete(self) -> bool:
        """Whether each message is accounted for and each statement in the ledger."""
        return self.after.is_settled and self.undelivered is None

    def count(self, name: str) -> int:
        """Return by how much the count called `name` grew."""
        return int(getattr(self.after, name)) - int(getattr(self.before, name))


def read_recordings(paths: Sequence[Path]) -> list[Arrival]:
    """Return the messages in the files, in order; raises before anything is kept."""
    arrivals: list[Arrival] = []
    for path in paths:
        try:
            if path.stat().st_size > RECORDING_BYTES_MAX:
                raise ReplayError(f"{path} is over {RECORDING_BYTES_MAX} bytes; split it")
            data = path.read_bytes()
        except OSError as error:
            raise ReplayError(f"{path}: {error.strerror}") from error
        arrivals += parse_recording(path.name, data, now_us())
    return arrivals


def replay(
    arrivals: Sequence[Arrival],
    plan: Plan,
    folder: Path,
    *,
    ledger_url: str | None = None,
    patience_s: float = DELIVERY_SECONDS_MAX,
) -> Replayed:
    """Take `arrivals` through the gateway in `folder`/gateway into the ledger, and wait.

    An unavailable ledger is waited for `patience_s` seconds. Without `ledger_url` the ledger
    in `folder` is served meanwhile, and made first if `folder` has none. Raises
    `TagtrailError` where it cannot begin.
    """
    if ledger_url is not None:
        settings = load_settings(folder / GATEWAY_FOLDER)
        return _replay_into(settings, plan, arrivals, (ledger_url, patience_s))
    if not (folder / GATEWAY_FOLDER / SETTINGS_FILE).exists():
        create_ledger(folder, plan, ORIGIN)
    with serve_ledger(folder) as url:
        settings = load_settings(folder / GATEWAY_FOLDER)
        return _replay_into(settings, plan, arrivals, (url, patience_s))


def create_ledger(folder: Path, plan: Plan, origin: str) -> None:
    """Make a ledger in `folder` with a gateway key for each party of `plan`."""
    command = ["init", "--dir", str(folder), "--origin", origin]
    for party in plan.parties:
        name = "".join(" " if one in ":=" else one for one in party.name)
        command += ["--party", f"{party.id}={name}:{','.join(party.prefixes)}"]
    made = subprocess.run(  # noqa: S603  # our own program
        _tagtrail(*command), capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise ReplayError(f"no ledger could be made: {_last_line(made.stderr)}")


@contextmanager
def serve_ledger(folder: Path) -> Iterator[str]:
    """Serve the ledger in `folder` on a free port, yield its URL, and end it cleanly."""
    log_path = folder / "serve.log"
    with (
        log_path.open("ab") as log,
        subprocess.Popen(  # noqa: S603  # our own program
            _tagtrail("serve", "--dir", str(folder), "--port", "0"),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            if not said.startswith("listening on "):
                process.wait(SERVER_SECONDS_MAX)
                raise ReplayError(f"the ledger did not start: {_tail(log_path)}")
            yield said.removeprefix("listening on ").strip()
        finally:
            process.terminate()
            try:
                process.wait(SERVER_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()


def _replay_into(
    settings: Settings, plan: Plan, arrivals: Sequence[Arrival], ledger: tuple[str, float]
) -> Replayed:
    folder = settings.folder
    with FolderLock(folder):
        with Courier(settings, ledger[0]) as courier:
            wrong = courier.see()
        if wrong is not None:
            raise ReplayError(f"the ledger's checkpoint does not hold: {wrong}")
        Inbox(folder).close()  # made where they are new, so that they can be looked at
        Outbox(folder).close()
        before = read_health(folder)
        with Processor(settings, plan) as processor:
            newest = _newest(folder)
            with Keeper(folder) as keeper:
                for start in range(0, len(arrivals), KEEP_BATCH):
                    keeper.keep(arrivals[start : start + KEEP_BATCH])
            while processor.process():
                pass
            processor.keep_tick(everything=True)
            while processor.process():
                pass
        undelivered = _deliver_all(settings, *ledger)
        while undelivered is not None and _tell_refused(settings, plan):
            undelivered = _deliver_all(settings, *ledger)
        with InboxReader(folder) as inbox:
            quarantined = tuple(inbox.quarantine(after=newest))
        return Replayed(
            before=before,
            after=read_health(folder),
            quarantined=quarantined,
            undelivered=undelivered,
        )


def _tell_refused(settings: Settings, plan: Plan) -> bool:
    """Make gap statements of what the ledger refused; say whether there was any."""
    with Processor(settings, plan) as processor:
        found = processor.tell_refused()
        while processor.process():
            pass
    return found


def _newest(folder: Path) -> int:
    with InboxReader(folder) as inbox:
        return inbox.counts().newest_id


def _deliver_all(settings: Settings, ledger_url: str, patience_s: float) -> str | None:
    """Deliver until nothing waits; return why it ended sooner, if it did."""
    deadline = time.monotonic() + patience_s
    delay = 0.0
    with Courier(settings, ledger_url) as courier:
        courier.unpark()
        while True:
            delivered = courier.deliver()
            if delivered.unavailable is not None and time.monotonic() > deadline:
                return f"the ledger is not available: {delivered.unavailable}"
            if delivered.unavailable is None and not delivered.accepted + delivered.proven:
                break
            delay = next_delay(delay, delivered)
            time.sleep(delay)
    parked = read_health(settings.folder).parked
    if parked:
        return f"the ledger refused {len(parked)} statements: {parked[0].why}"
    _wait_for_index(ledger_url)
    return None


def _wait_for_index(ledger_url: str) -> None:
    """Wait until what was delivered can be asked for and is under a checkpoint."""
    deadline = time.monotonic() + INDEX_SECONDS_MAX
    with CaptureClient(ledger_url) as client:
        while time.monotonic() < deadline:
            try:
                status = client.status()
            except LedgerUnavailableError:
                return
            if min(status.indexed, status.checkpoint_size) >= status.size:
                return
            time.sleep(_POLL_SECONDS)


def _tagtrail(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ledger.cli", *arguments]


def _tail(path: Path) -> str:
    return _last_line(path.read_text(errors="replace"))


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def require_folder_of_gateway(folder: Path) -> Path:
    """Return the gateway's folder: `folder` itself, or the one in a ledger's folder."""
    for candidate in (folder, folder / GATEWAY_FOLDER):
        if (candidate / SETTINGS_FILE).is_file():
            return candidate
    raise SettingsError(
        f"{folder} holds no {SETTINGS_FILE}; `tagtrail init --party …` writes one"
    )
