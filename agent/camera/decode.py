"""From a picture to the codes in it. The only importer of zxing-cpp.

Rule 1: QR codes whose error correction came out right, and nothing else; a picture is never kept.
Rule 2: tour codes come first, wherever in the picture they are, and of either kind there is an end.
Rule 3: what comes out is one printable line each: whatever a code holds, it cannot be two lines for the agent, or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.core import codes
from drivers.base import DeviceMissingError

if TYPE_CHECKING:
    from agent.camera.capture import Picture

MAX_TOURS, MAX_OTHERS = 16, 4
"""Of one picture."""

_TOUR = codes.PREFIX.decode("ascii")


def need_library() -> None:
    """Raise `DeviceMissingError` when zxing-cpp is not installed."""
    try:
        import zxingcpp  # noqa: F401 - loaded here, so that the first picture need not wait for it
    except ImportError as error:
        raise DeviceMissingError(
            f"zxing-cpp is missing, which reads QR codes: install tourlatch with its extra [camera] ({error})."
        ) from error


def codes_in(picture: Picture) -> list[str]:
    """The texts of the QR codes in a picture, each once: `MAX_TOURS` tour codes and `MAX_OTHERS` others at most."""
    import zxingcpp

    found = zxingcpp.read_barcodes(
        memoryview(picture.luminance).cast("B", (picture.height, picture.width)),
        formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode),
        text_mode=zxingcpp.TextMode.Plain,
    )
    texts = dict.fromkeys(line(barcode.text) for barcode in found if barcode.valid and barcode.text)
    tours = [text for text in texts if text.startswith(_TOUR)]
    return [*tours[:MAX_TOURS], *[text for text in texts if not text.startswith(_TOUR)][:MAX_OTHERS]]


def line(text: str) -> str:
    """A code's text as one printable line: what is not printable ASCII becomes `?`, which no tour code holds."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text)
