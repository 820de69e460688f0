"""One line a record on stderr, as journald likes it: `<6>event key=value …`, the priority only where journald reads it.

Values are JSON where they are not plain, so a line never breaks and nothing in it can pass for another line.
Rule: whoever logs never waits. A thread writes the lines; while nobody reads them, they are dropped and counted.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import threading
from collections import deque

MAX_WAITING = 1000
"""Lines that wait for a reader; one beyond is dropped."""
_STDERR = 2
_PLAIN = re.compile(r"[A-Za-z0-9_./:+-]+")
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.NOTSET, 7))


class _Lines(logging.Formatter):
    def __init__(self, *, with_priority: bool) -> None:
        super().__init__()
        self._with_priority = with_priority

    def format(self, record: logging.LogRecord) -> str:
        facts = getattr(record, "facts", {})
        words = [_word(record.getMessage()), *[f"{key}={_word(value)}" for key, value in facts.items() if value is not None]]
        if record.name not in ("tourlatch", "root"):
            words.append(f"from={_word(record.name)}")
        if record.exc_info:
            words.append(f"traceback={json.dumps(self.formatException(record.exc_info))}")
        priority = next(number for level, number in _PRIORITIES if record.levelno >= level)
        return (f"<{priority}>" if self._with_priority else "") + " ".join(words)


class _Queued(logging.Handler):
    """Puts formatted lines in a queue without waiting; a thread of its own writes them on stderr."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[bytes] = deque()
        self._dropped = 0
        self._is_writing = False
        self._changed = threading.Condition()
        threading.Thread(target=self._write_for_ever, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = _bytes(self.format(record))
        except Exception:  # noqa: BLE001 - a record that cannot be told must not stop what it tells of
            line = None
        with self._changed:
            if line is None or len(self._waiting) >= MAX_WAITING:
                self._dropped += 1
                return
            if self._dropped:
                self._waiting.append(_bytes(self.format(_dropped_record(self._dropped))))
                self._dropped = 0
            self._waiting.append(line)
            self._changed.notify_all()

    def flush(self, timeout_s: float = 0.3) -> None:
        """Bounded, since the logging module calls it, too, when a program ends."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._is_writing, timeout_s)

    def _write_for_ever(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: bool(self._waiting))
                line = self._waiting.popleft()
                self._is_writing = True
            is_written = _write_whole(line)
            if not is_written:
                with self._changed:
                    self._dropped += 1


def _write_whole(line: bytes) -> bool:
    """Write a line, however long that takes; False when stderr is gone."""
    while line:
        try:
            line = line[os.write(_STDERR, line) :]
        except BlockingIOError:  # another program made the pipe that we share a non-blocking one
            poll = select.poll()
            poll.register(_STDERR, select.POLLOUT)
            poll.poll()
        except OSError:
            return False
    return True


def _bytes(line: str) -> bytes:
    return (line + "\n").encode("utf-8", "backslashreplace")


def _dropped_record(count: int) -> logging.LogRecord:
    return logging.makeLogRecord({"name": "tourlatch", "msg": "log_lines_dropped", "levelno": logging.WARNING, "facts": {"count": count}})


def _word(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _is_journal() -> bool:
    """Whether stderr is the very stream that systemd named; its variable is inherited by shells and redirected programs, too."""
    stderr = os.fstat(_STDERR)
    return os.environ.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"


def set_up() -> None:
    """Send all records of at least INFO to stderr; libraries' chatter from WARNING on."""
    handler = _Queued()
    handler.setFormatter(_Lines(with_priority=_is_journal()))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)  # Python itself would print them, and wait
    logging.getLogger("tourlatch").setLevel(logging.INFO)


def flush(timeout_s: float) -> None:
    """Wait until all lines are written, but no longer than this."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Queued):
            handler.flush(timeout_s)
