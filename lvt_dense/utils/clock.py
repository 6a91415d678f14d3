"""The start time of the command, for training with a time limit."""

import time

_begin: float | None = None


def now() -> float:
    """Return the time in seconds, from any fixed point."""
    return time.monotonic()


def start() -> float:
    """Note that a command begins now; return the time."""
    global _begin
    _begin = now()
    return _begin


def started() -> float:
    """Return when the command began, or the time."""
    return now() if _begin is None else _begin


def take_start() -> float:
    """Return when the command began, once; later calls return the time."""
    global _begin
    begin, _begin = _begin, None
    return now() if begin is None else begin
