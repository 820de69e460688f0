"""Tour codes as pictures. The only importer of segno.

Alphanumeric mode, error correction M: what phones show and scanners read best at this length.
"""

from __future__ import annotations

import io

import segno

_QUIET_MODULES = 4
_MODULE_PIXELS = 8


def _symbol(text: str) -> segno.QRCode:
    return segno.make_qr(text, error="m", mode="alphanumeric", boost_error=False)


def version(text: str) -> int:
    """The QR version, 1 to 40: 4 more modules a side each."""
    return int(_symbol(text).version)


def png(text: str) -> bytes:
    """A PNG of 8 pixels a module with its quiet zone."""
    out = io.BytesIO()
    _symbol(text).save(out, kind="png", scale=_MODULE_PIXELS, border=_QUIET_MODULES)
    return out.getvalue()


def svg(text: str) -> bytes:
    """An SVG document that scales to any size."""
    out = io.BytesIO()
    _symbol(text).save(out, kind="svg", scale=_MODULE_PIXELS, border=_QUIET_MODULES, title="Tour code")
    return out.getvalue()


def svg_inline(text: str) -> str:
    """An SVG element for a page, as wide as its place there; black on white whatever the page's colours, and without a name of its own."""
    return str(_symbol(text).svg_inline(border=_QUIET_MODULES, omitsize=True, svgclass=None, lineclass=None, dark="#000", light="#fff"))


def terminal(text: str) -> str:
    """Half-block characters with colours set, readable off a dark or a light terminal."""
    out = io.StringIO()
    _symbol(text).terminal(out=out, border=_QUIET_MODULES, compact=True)
    return out.getvalue()
