"""One page with all screenshots of a folder, the desk's and the screen's: `make screens` builds it.

python -m tests.browser.sheet FOLDER
"""

from __future__ import annotations

import html
import re
import sys
from collections import defaultdict
from pathlib import Path

from tests.browser.eye import SIZES

_SCREEN = re.compile(rf"screen-(.+)-({'|'.join(SIZES)})-([a-z]{{2}})")
_DESK = re.compile(r"(.+?)-((?:small-)?phone(?:-[a-z]+)?|desktop(?:-[a-z]+)?)")
STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; background: #f4f4f2; color: #15191d; }
section { margin: 0 0 2.5rem; } h2 { margin: 0 0 .6rem; font-size: 1.15rem; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; align-items: flex-start; }
figure { margin: 0; } img { display: block; height: 220px; max-width: 460px; object-fit: cover; object-position: top; }
img { border: 1px solid #b9bcbf; }
figcaption { color: #4b5258; font-size: .85rem; }
"""


def sheet(folder: Path) -> str:
    """The page; pictures are named relative to it."""
    groups: dict[str, dict[str, list[tuple[str, str]]]] = {"The screen at the door": defaultdict(list), "The desk": defaultdict(list)}
    for path in sorted(folder.glob("*.png")):
        screen, desk = _SCREEN.fullmatch(path.stem), _DESK.fullmatch(path.stem)
        if screen:
            name, size, language = screen.groups()
            groups["The screen at the door"][name].append((f"{list(SIZES).index(size)} {language}", f"{size}, {language}|{path.name}"))
        else:
            name, look = desk.groups() if desk else (path.stem, "")
            groups["The desk"][name].append((look, f"{look}|{path.name}"))
    parts = []
    for title, pages in groups.items():
        parts.append(f"<h1>{title}</h1>")
        for name, pictures in pages.items():
            figures = "".join(_figure(*text.split("|")) for _, text in sorted(pictures))
            parts.append(f'<section><h2>{html.escape(name)}</h2><div class="row">{figures}</div></section>')
    head = f'<meta charset="utf-8"><title>Contact sheet</title><style>{STYLE}</style>'
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head>\n<body>{"".join(parts)}</body></html>\n'


def _figure(caption: str, name: str) -> str:
    place, said = html.escape(name, quote=True), html.escape(caption)
    return f'<figure><a href="{place}"><img src="{place}" alt="{said}" loading="lazy"></a><figcaption>{said}</figcaption></figure>'


def main(name: str) -> None:
    """Write `index.html` into the folder."""
    folder = Path(name)
    (folder / "index.html").write_text(sheet(folder), "utf-8")
    sys.stdout.write(f"{len(list(folder.glob('*.png')))} screenshots: {folder / 'index.html'}\n")


if __name__ == "__main__":
    main(sys.argv[1])
