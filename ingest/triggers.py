"""The windows of a station's trigger: while its input is at the level, reads count.

The newest `WINDOWS_MAX` are remembered, for reads may come after the next signal did.

Pure: no I/O, no clock, no randomness.
"""

WINDOWS_MAX = 16

Windows = list[tuple[int, int]]


def open_window(windows: Windows, at_us: int, most_us: int) -> None:
    """Open a window at `at_us`, for `most_us` at most; the one before ends."""
    close_window(windows, at_us)
    windows.append((at_us, at_us + most_us))
    del windows[:-WINDOWS_MAX]


def close_window(windows: Windows, at_us: int) -> None:
    """Close the newest window at `at_us`, if it is not over."""
    if windows:
        start_us, end_us = windows[-1]
        windows[-1] = (start_us, min(end_us, max(at_us, start_us)))


def is_on(windows: Windows, at_us: int) -> bool:
    """Return whether a read at `at_us` counts."""
    return any(start_us <= at_us <= end_us for start_us, end_us in windows)
