"""The files beside the pages: style, script, icon. Their names carry a hash of their content, so a browser may keep them for good."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path

from agent.errors import RefusedError
from agent.web import Answer, Call

FOR_GOOD = "public, max-age=31536000, immutable"

_NOT_FOUND = 404
_HASH_CHARACTERS = 12


class Assets:
    """All files of a folder, read once; they are served at `{place}/{name}`."""

    def __init__(self, folder: Path, place: str = "/static") -> None:
        self._places: dict[str, str] = {}
        self._files: dict[str, tuple[bytes, str]] = {}
        for path in sorted(folder.iterdir()):
            if not path.is_file():
                continue
            content = path.read_bytes()
            name = f"{path.stem}.{hashlib.sha256(content).hexdigest()[:_HASH_CHARACTERS]}{path.suffix}"
            self._places[path.name] = f"{place}/{name}"
            self._files[name] = (content, mimetypes.guess_type(path.name)[0] or "application/octet-stream")

    def place(self, name: str) -> str:
        """The path of a file on the website; raises `KeyError` for one that is not there."""
        return self._places[name]

    async def serve(self, call: Call) -> Answer:
        """One file, by the `name` in the path."""
        found = self._files.get(call.path["name"])
        if found is None:
            raise RefusedError(_NOT_FOUND, "Not Found")
        content, media_type = found
        return Answer(200, content, media_type, {"Cache-Control": FOR_GOOD})
