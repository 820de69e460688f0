"""A letter's parts, once as plain text and once as HTML, so that both always say the same.

Rule 1: everything is escaped where HTML is made; nothing comes from elsewhere when the letter is opened, the picture is inside it.
Rule 2: nothing depends on the picture, on colours or on a table: what is needed stands there in words.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH = 76
_PAPER = "margin:0;padding:24px 16px;background:#f5f1e8"
_SHEET = (
    "max-width:560px;margin:0 auto;padding:24px;background:#fffdf8;border-top:5px solid #0c5e4b;"
    "color:#1b2320;font:17px/1.5 system-ui,-apple-system,Segoe UI,Roboto,sans-serif"
)
_BUTTON = "display:inline-block;padding:12px 20px;background:#0c5e4b;color:#ffffff;border-radius:10px;font-weight:600;text-decoration:none"
_LARGE = "font:600 32px/1.3 ui-monospace,Menlo,Consolas,monospace;letter-spacing:2px"
_SOFT = "color:#525d58"


@dataclass(frozen=True, slots=True)
class Heading:
    """The line that says what the letter is about, or what comes next."""

    text: str
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class Sentences:
    """A paragraph."""

    text: str
    is_soft: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and what it is: `When: …`; `is_large` for what is typed or read from afar."""

    name: str
    value: str
    is_large: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A button in HTML, the whole address in both."""

    words: str
    url: str


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture inside the letter; where pictures are not shown, and in plain text, its words."""

    cid: str
    words: str


Block = Heading | Sentences | Fact | Link | Picture


def as_text(blocks: Sequence[Block]) -> str:
    """Plain text in lines of at most 76 characters, but for addresses."""
    return "\n\n".join(_text(block) for block in blocks) + "\n"


def as_html(blocks: Sequence[Block], language: str, title: str) -> str:
    """A whole HTML document without anything from elsewhere."""
    body = "\n".join(_html(block) for block in blocks)
    return (
        f'<!doctype html>\n<html lang="{escape(language)}">\n<head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title></head>\n'
        f'<body style="{_PAPER}">\n<div style="{_SHEET}">\n{body}\n</div>\n</body>\n</html>\n'
    )


def _text(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{_filled(block.text)}\n{'=' * min(len(block.text), _WIDTH)}" if block.is_first else _filled(block.text)
    if isinstance(block, Fact):
        return _filled(f"{block.name}: {block.value}")
    if isinstance(block, Link):
        return f"{_filled(block.words)}:\n{block.url}"
    return _filled(block.text if isinstance(block, Sentences) else block.words)


def _filled(text: str) -> str:
    return textwrap.fill(text, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        tag = "h1" if block.is_first else "h2"
        return f'<{tag} style="font-size:{24 if block.is_first else 19}px;line-height:1.25;margin:0 0 12px">{escape(block.text)}</{tag}>'
    if isinstance(block, Fact):
        value = f'<br><span style="{_LARGE}">{escape(block.value)}</span>' if block.is_large else f" {escape(block.value)}"
        return f"<p><strong>{escape(block.name)}:</strong>{value}</p>"
    if isinstance(block, Link):
        url = escape(block.url)
        return f'<p><a href="{url}" style="{_BUTTON}">{escape(block.words)}</a></p>\n<p style="{_SOFT};word-break:break-all">{url}</p>'
    if isinstance(block, Picture):
        return (
            f'<p><img src="cid:{escape(block.cid)}" alt="{escape(block.words)}" width="280" style="max-width:100%;background:#ffffff"></p>'
        )
    return f'<p style="{_SOFT}">{escape(block.text)}</p>' if block.is_soft else f"<p>{escape(block.text)}</p>"
