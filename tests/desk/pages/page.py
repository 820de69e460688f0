"""A page as a person finds it: words, links, forms. Parsed by the standard library, so what is not well made shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = frozenset({"meta", "link", "input", "br", "img", "hr"})


@dataclass(slots=True)
class Element:
    """One element with all that is in it."""

    tag: str
    attributes: dict[str, str]
    parent: Element | None = None
    inside: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All its words, with single spaces."""
        return " ".join(" ".join(part if isinstance(part, str) else part.text for part in self.inside).split())

    def all(self, tag: str = "", **attributes: str) -> list[Element]:
        """Every element in it of a tag, with these attributes (`_` for `-`, a last `_` is dropped)."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        found = []
        for part in self.inside:
            if isinstance(part, Element):
                if tag in ("", part.tag) and wanted.items() <= part.attributes.items():
                    found.append(part)
                found += part.all(tag, **attributes)
        return found

    def one(self, tag: str = "", **attributes: str) -> Element:
        """The only one."""
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} of {tag} {attributes}"
        return found[0]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self._at = self.root

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute of {tag} stands twice"
        made = Element(tag, {name: value or "" for name, value in attrs}, self._at)
        self._at.inside.append(made)
        if tag not in _VOID:
            self._at = made

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._at.inside.append(Element(tag, {name: value or "" for name, value in attrs}, self._at))

    def handle_endtag(self, tag: str) -> None:
        assert self._at.tag == tag, f"</{tag}> closes <{self._at.tag}>"
        assert self._at.parent is not None
        self._at = self._at.parent

    def handle_data(self, data: str) -> None:
        self._at.inside.append(data)


class Page:
    """One page. Asserts on reading that it is well formed, in one language, with one h1, and that its references hold."""

    def __init__(self, html: str) -> None:
        reader = _Reader()
        reader.feed(html)
        reader.close()
        assert reader._at is reader.root, f"<{reader._at.tag}> is not closed"
        self.root = reader.root
        self.language = self.root.one("html").attributes["lang"]
        self.title = self.root.one("title").text
        self.heading = self.root.one("h1").text
        self.main = self.root.one("main")
        self.text = self.root.one("body").text
        ids = [element.attributes["id"] for element in self.root.all() if "id" in element.attributes]
        assert len(ids) == len(set(ids)), "an id stands twice"
        for element in self.root.all():
            for name in ("for", "aria-labelledby", "aria-describedby"):
                for value in element.attributes.get(name, "").split():
                    assert value in ids, f"{name}={value} names nothing"
            target = element.attributes.get("href", "")
            assert not target.startswith("#") or target[1:] in ids, f"{target} leads nowhere"
            assert "style" not in element.attributes
            assert not [name for name in element.attributes if name.startswith("on")]
        for script in self.root.all("script"):
            assert script.attributes["src"].startswith("/static/")
            assert not script.text

    def links(self) -> dict[str, str]:
        """Where links of the main part lead, by their words."""
        return {link.text: link.attributes["href"] for link in self.main.all("a")}

    def form(self, words: str = "") -> Form:
        """The form of the main part, or the one whose button says these words."""
        found = [form for form in self.main.all("form") if not words or any(button.text == words for button in form.all("button"))]
        assert len(found) == 1, f"{len(found)} forms"
        return Form(found[0])

    def error(self, name: str) -> str:
        """What stands beside a field as its error."""
        given = self.root.one("input", id=name)
        assert given.attributes["aria-invalid"] == "true"
        described = given.attributes["aria-describedby"].split()
        assert f"{name}-error" in described
        return self.root.one(id=f"{name}-error").text


class Form:
    """A form with what is in it; change `fields` and send them."""

    def __init__(self, form: Element) -> None:
        assert form.attributes["method"] == "post"
        self.action = form.attributes["action"]
        self.fields: list[tuple[str, str]] = []
        self.element = form
        for given in form.all("input"):
            if given.attributes["type"] not in {"checkbox", "radio"} or "checked" in given.attributes:
                self.fields.append((given.attributes["name"], given.attributes.get("value", "")))

    def put(self, **values: str) -> Form:
        """The same form with other values; a list is given as several calls of `add`."""
        self.fields = [(name, value) for name, value in self.fields if name not in values] + list(values.items())
        return self

    def add(self, name: str, value: str) -> Form:
        """One more value of a name."""
        self.fields.append((name, value))
        return self

    def value(self, name: str) -> str:
        """What a field holds."""
        found = [value for key, value in self.fields if key == name]
        assert len(found) == 1, f"{name}: {found}"
        return found[0]
