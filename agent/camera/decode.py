"""From a picture to the codes in it. The only importer of zxing-cpp.

Rule 1: QR codes whose error correction came out right, and nothing else; a picture is never kept.
Rule 2: what comes out is one printable line each: whatever a code holds, it cannot be two lines for the agent, or none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from drivers.base import DeviceMissingError

if TYPE_CHECKING:
    from agent.camera.capture import Picture

MAX_CODES = 4
"""Of one picture."""


def need_library() -> None:
    """Raise `DeviceMissingError` when zxing-cpp is not installed."""
    try:
        import zxingcpp  # noqa: F401 - loaded here, so that the first picture need not wait for it
    except ImportError as error:
        raise DeviceMissingError(
            f"zxing-cpp is missing, which reads QR codes: install tourlatch with its extra [camera] ({error})."
        ) from error


def codes_in(picture: Picture) -> list[str]:
    """The texts of the QR codes in a picture, `MAX_CODES` at most, each once."""
    import zxingcpp

    found = zxingcpp.read_barcodes(
        memoryview(picture.luminance).cast("B", (picture.height, picture.width)),
        formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode),
        text_mode=zxingcpp.TextMode.Plain,
    )
    texts = [line(barcode.text) for barcode in found if barcode.valid and barcode.text]
    return list(dict.fromkeys(texts))[:MAX_CODES]


def line(text: str) -> str:
    """A code's text as one printable line: what is not printable ASCII becomes `?`, which no tour code holds."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text)
