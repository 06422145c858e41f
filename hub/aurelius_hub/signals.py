"""The signals that ask a program to stop."""

from __future__ import annotations

import signal
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """Somebody asked the demo to stop: Ctrl-C, SIGTERM, or a closed terminal."""


def listen_for_stop() -> None:
    """Turn the signals that mean "stop" into an exception."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped

    for number in STOP_SIGNALS:
        signal.signal(number, stop)


def ignore_stop() -> None:
    """Let an orderly stop finish: a second Ctrl-C would only hide what it does."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
