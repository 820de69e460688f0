"""What prospects and staff see: pages made here, complete without JavaScript.

- `templates`, `static`, `locales`  pages, the files beside them, and their sentences in other languages (`agent.rendering` makes answers)
- `visitor`    one request: its language, where the person came from, tokens of forms, limits
- `browse`     the properties, one property, its free times
- `register`   the form, and what becomes of it
- `tour`       the page of one tour: the pass, its pictures and files; `change` moving and cancelling it
- `routes`     all of them by path
"""

from pathlib import Path

LOCALES = Path(__file__).with_name("locales")
STATIC = Path(__file__).with_name("static")
TEMPLATES = Path(__file__).with_name("templates")
