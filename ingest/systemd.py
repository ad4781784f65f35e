"""The line to systemd: ready, reloading, stopping, alive (sd_notify(3)).

Without NOTIFY_SOCKET, which systemd sets for `Type=notify`, nothing is said. WATCHDOG_USEC is
how often it wants to hear `WATCHDOG=1`; twice as often is told.
"""

import os
import socket


def notify(state: str) -> bool:
    """Send `state`, such as `READY=1`; False where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")  # noqa: TID251  # systemd's way to say it
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(state.encode(), address)
    except OSError:
        return False
    return True


def watchdog_seconds() -> float | None:
    """Return how often to say `WATCHDOG=1`, in seconds, None where nobody waits for it."""
    wanted = os.environ.get("WATCHDOG_USEC", "")  # noqa: TID251  # systemd's way to say it
    return int(wanted) / 2_000_000 if wanted.isdigit() and int(wanted) else None
