"""Starts processes, starts again what dies, and stops them in order. It does nothing else, so that it need not die.

No event loop and no thread of its own: what it starts is forked from it, with everything loaded once for all.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog

READY_WITHIN_S: Final = 60.0
STOP_WITHIN_S: Final = 25.0
"""Longer than a worker takes to finish the orders under way."""

_SOFTWARE_ERROR: Final = os.EX_SOFTWARE
_LIVED_S: Final = 5.0
_FIRST_PAUSE_S: Final = 0.1
_LAST_PAUSE_S: Final = 5.0
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)

_log = structlog.get_logger(__name__)


class Lifeline:
    """What a child has of its supervisor: a way to say that it is ready, and to see whether the other is still there.

    ``watched`` becomes readable when there is a word for the child (one byte), and stays so when the other is gone.
    ``is_first`` tells a first start from one after a death.
    """

    def __init__(self, ready: int, watched: int, *, is_first: bool) -> None:
        self._ready = ready
        self.watched = watched
        self.is_first = is_first

    def is_ready(self) -> None:
        os.write(self._ready, b"r")

    def word(self) -> bytes:
        """What the supervisor had to say; empty when it is gone."""
        return os.read(self.watched, 1)


Program = Callable[[Lifeline], int]
"""What a child runs, to its exit code."""


class NotStarted(Exception):
    """A child ended before it was ready; it has said why. ``code`` is its exit code."""

    def __init__(self, name: str, code: int) -> None:
        super().__init__(f"{name} did not start")
        self.code = code


class _Child:
    def __init__(self, name: str, program: Program) -> None:
        self.name = name
        self.pid: int | None = None
        self.ready_fd: int | None = None
        self.is_ready = False
        self.due_at = 0.0
        self._program = program
        self._word_fd: int | None = None
        self._starts = 0
        self._started_at = 0.0
        self._pause_s = 0.0

    def start(self, others: Sequence[_Child]) -> None:
        ready, say_ready = os.pipe()
        watched, say_word = os.pipe()
        self._started_at = time.monotonic()
        self._starts += 1
        self.is_ready = False
        # What is buffered would be written by both.
        sys.stdout.flush()
        sys.stderr.flush()
        # A child that is told to stop before it is one must not think that it is its supervisor who is told.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid == 0:
            code = _SOFTWARE_ERROR
            try:
                _become_a_child()
                for end in (ready, say_word, *(fd for child in others for fd in child.fds())):
                    os.close(end)
                code = self._program(Lifeline(say_ready, watched, is_first=self._starts == 1))
            finally:
                with contextlib.suppress(Exception):
                    sys.stdout.flush()
                    sys.stderr.flush()
                os._exit(code)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.close(say_ready)
        os.close(watched)
        self.pid, self.ready_fd, self._word_fd = pid, ready, say_word

    def fds(self) -> list[int]:
        return [fd for fd in (self.ready_fd, self._word_fd) if fd is not None]

    def ended(self) -> None:
        """It has: close what led to it, and say when it may be started again."""
        for fd in self.fds():
            os.close(fd)
        self.pid = self.ready_fd = self._word_fd = None
        lived_s = time.monotonic() - self._started_at
        self._pause_s = 0.0 if lived_s > _LIVED_S else min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LAST_PAUSE_S)
        self.due_at = time.monotonic() + self._pause_s

    def say(self, word: bytes) -> None:
        if self._word_fd is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._word_fd, word)

    def signal(self, number: int) -> None:
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)


class Supervisor:
    """``owner`` is started first and stopped last; in between the workers, each with its name."""

    def __init__(self, owner: Program, workers: Sequence[tuple[str, Program]]) -> None:
        self._owner = _Child("owner", owner)
        self._workers = [_Child(name, program) for name, program in workers]
        self._asked_to_stop = 0
        self._woken, self._wake = os.pipe()
        os.set_blocking(self._wake, False)

    def run(self) -> int:
        """Until it is told to stop, or a first start fails; the exit code."""
        # What is there now is there for good: it stays shared with all who are forked.
        gc.collect()
        gc.freeze()
        with self._signals():
            try:
                self._start_first([self._owner])
                self._start_first(self._workers)
                if not self._asked_to_stop:
                    self._owner.say(b"a")
                    self._watch()
            except NotStarted as failure:
                self._stop()
                return failure.code
            return self._stop()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self._heard) for number in _SIGNALS}
        previous = signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heard(self, number: int, frame: object) -> None:
        if number != signal.SIGCHLD:
            self._asked_to_stop += 1

    @property
    def _children(self) -> list[_Child]:
        return [self._owner, *self._workers]

    def _start_first(self, children: Sequence[_Child]) -> None:
        """Start them and wait until all are ready.

        :raises NotStarted: one ended instead.
        """
        for child in children:
            child.start(self._children)
        deadline = time.monotonic() + READY_WITHIN_S
        while not all(child.is_ready for child in children) and not self._asked_to_stop:
            if time.monotonic() > deadline:
                raise NotStarted(next(child.name for child in children if not child.is_ready), 1)
            self._wait(1.0)
            for child, code in self._reaped():
                raise NotStarted(child.name, code or 1)

    def _watch(self) -> None:
        """Start again what dies."""
        while not self._asked_to_stop:
            due = [child.due_at for child in self._children if child.pid is None]
            self._wait(max(0.0, min(due) - time.monotonic()) if due else 3600.0)
            for child, code in self._reaped():
                _log.error("a process ended by itself: it is started again", process=child.name, code=code)
            for child in self._children:
                if child.pid is None and child.due_at <= time.monotonic() and not self._asked_to_stop:
                    child.start(self._children)

    def _wait(self, seconds: float) -> None:
        """Until a signal came, a child said that it is ready, or the time is over."""
        waiting = {child.ready_fd: child for child in self._children if child.ready_fd and not child.is_ready}
        readable, _, _ = select.select([self._woken, *waiting], [], [], seconds)
        for fd in readable:
            if fd == self._woken:
                os.read(self._woken, 4096)
            elif os.read(fd, 1):
                waiting[fd].is_ready = True
            else:
                # It ended: its exit will be noticed.
                time.sleep(0.01)

    def _reaped(self) -> Iterator[tuple[_Child, int]]:
        for child in self._children:
            if child.pid is not None:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid:
                    child.ended()
                    yield child, os.waitstatus_to_exitcode(status)

    def _stop(self) -> int:
        """The workers first, which may need the owner to finish; a second signal ends all of them at once."""
        code = 0
        for group in (self._workers, [self._owner]):
            for child in group:
                child.signal(signal.SIGTERM)
            code = max(code, self._ended(group))
        return code

    def _ended(self, group: Sequence[_Child]) -> int:
        patient_until = time.monotonic() + STOP_WITHIN_S
        code = 0
        while any(child.pid is not None for child in group):
            for child, its_code in self._reaped():
                # One that was not ready yet had nothing to finish.
                if child in group and its_code != -signal.SIGTERM:
                    code = max(code, 1 if its_code < 0 else its_code)
            if time.monotonic() > patient_until or self._asked_to_stop > 1:
                for child in group:
                    child.signal(signal.SIGKILL)
                code = 1
            self._wait(0.2)
        return code


def _become_a_child() -> None:
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    # Ctrl-C reaches every process of the terminal: the supervisor hears it and stops the others in order.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
