"""One line a record on stderr, as journald likes it: `<6>event key=value …`, the priority only where journald reads it.

Values are JSON where they are not plain, so a line never breaks and nothing in it can pass for another line.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys

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


def _word(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _is_journal() -> bool:
    """Whether stderr is the very stream that systemd named; its variable is inherited by shells and redirected programs, too."""
    stderr = os.fstat(2)
    return os.environ.get("JOURNAL_STREAM") == f"{stderr.st_dev}:{stderr.st_ino}"


def set_up() -> None:
    """Send all records of at least INFO to stderr; libraries' chatter from WARNING on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines(with_priority=_is_journal()))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("tourlatch").setLevel(logging.INFO)
