"""The OpenAPI document as a page for people: plain HTML of ours, no script, nothing from elsewhere.

Rule 1: made of the document alone, so it cannot say anything else; every text is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from html import escape
from typing import Any

from agent.web import Answer

STYLE_PATH = "/api/style.css"

_STYLE = """
:root { color-scheme: light dark; --line: #767676; --soft: #f2f2f2; --ink: #1b1b1b; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --soft: #2a2a2a; --ink: #ececec; --paper: #161616; } }
body { font: 1rem/1.55 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; }
h2 { border-top: 1px solid var(--line); padding-top: 1.5rem; margin-top: 2.5rem; }
h3 code { font-size: 1.05rem; overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .8rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .5rem 0 1rem; }
th, td { border: 1px solid var(--line); padding: .35rem .6rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
a { color: inherit; }
"""

_EXAMPLE = {
    "community_id": "1001",
    "prospect_id": "5550001",
    "start": "2026-03-31T15:30:00-07:00",
    "end": "2026-03-31T16:00:00-07:00",
    "unit_names": ["101"],
    "source_title": "Property Website",
    "first_name": "Ada",
}
_CURL = """curl -X PUT {url}/api/v1/appointments/48210377 \\
  -H "Authorization: Bearer $TOURLATCH_TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{body}'

curl -X PUT {url}/api/v1/appointments/48210377/cancel \\
  -H "Authorization: Bearer $TOURLATCH_TOKEN"
"""


def as_answer(document: dict[str, Any]) -> Answer:
    """The page of a document."""
    return Answer(content=_page(document).encode(), media_type="text/html; charset=utf-8")


def style() -> Answer:
    """What the page looks like."""
    return Answer(content=_STYLE.encode(), media_type="text/css; charset=utf-8", headers={"Cache-Control": "public, max-age=3600"})


def _page(document: dict[str, Any]) -> str:
    info = document["info"]
    url = document["servers"][0]["url"]
    body = json.dumps(_EXAMPLE, indent=2)
    parts = [
        f"<h1>{escape(info['title'])}: API {escape(info['version'])}</h1>",
        *(f"<p>{escape(text)}</p>" for text in info["description"].split("\n\n")),
        '<p>The same for programs: <a href="/api/openapi.json">openapi.json</a> (OpenAPI 3.1).</p>',
        "<h2>Example</h2>",
        f"<pre tabindex='0'>{escape(_CURL.format(url=url, body=body))}</pre>",
    ]
    for tag in document["tags"]:
        parts.append(f"<h2>{escape(tag['name'].capitalize())}</h2><p>{escape(tag['description'])}</p>")
        parts += [_operation(*one) for one in _operations(document) if tag["name"] in one[2]["tags"]]
    parts.append("<h2>Objects</h2>")
    parts += [_object(name, schema) for name, schema in document["components"]["schemas"].items()]
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(info["title"])}: API</title><link rel="stylesheet" href="{STYLE_PATH}"></head><body><main>'
        + "\n".join(parts)
        + "</main></body></html>\n"
    )


def _operations(document: dict[str, Any]) -> Iterable[tuple[str, str, dict[str, Any], list[dict[str, Any]]]]:
    """Method, path, operation and parameters of each."""
    for path, item in document["paths"].items():
        shared = item.get("parameters", [])
        for method, operation in item.items():
            if method != "parameters":
                yield method.upper(), path, operation, [*shared, *operation.get("parameters", [])]


def _operation(method: str, path: str, operation: dict[str, Any], parameters: list[dict[str, Any]]) -> str:
    parts = [
        f'<h3 id="{escape(operation["operationId"])}"><code>{method} {escape(path)}</code></h3>',
        f"<p><strong>{escape(operation['summary'])}.</strong> {escape(operation['description'])}</p>",
    ]
    if parameters:
        rows = [(one["name"], f"in the {one['in']}", _kind(one["schema"]), one["description"]) for one in parameters]
        parts.append(_table("Parameters", ("Name", "Where", "Type", "Meaning"), rows))
    if "requestBody" in operation:
        parts.append(f"<p>Body: {_link(_schema_of(operation['requestBody']))}, JSON.</p>")
    answers = [(status, one["description"], _schema_of(one)) for status, one in operation["responses"].items()]
    rows_html = "".join(
        f"<tr><td>{escape(status)}</td><td>{_link(name)}</td><td>{escape(words)}</td></tr>" for status, words, name in answers
    )
    parts.append(_framed("Answers", ("Status", "Body", "Meaning"), rows_html))
    return "".join(parts)


def _object(name: str, schema: dict[str, Any]) -> str:
    shapes = schema.get("oneOf", [schema])
    tables = []
    for shape in shapes:
        required = shape.get("required", [])
        rows = [
            (field, _kind(inner), "yes" if field in required else "no", inner.get("description", ""))
            for field, inner in shape.get("properties", {}).items()
        ]
        tables.append(_table(name if len(shapes) == 1 else f"{name}: either", ("Field", "Type", "Always", "Meaning"), rows))
    words = schema.get("description", "")
    return f'<h3 id="{escape(name)}">{escape(name)}</h3>' + (f"<p>{escape(words)}</p>" if words else "") + "".join(tables)


def _kind(schema: dict[str, Any]) -> str:
    """A schema's type in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[-1])
    if "const" in schema or "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    kind = schema.get("type", "anything")
    words = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if "format" in schema:
        words += f" ({schema['format']})"
    bounds = [
        f"{label} {schema[key]}" for key, label in (("minimum", "from"), ("maximum", "to"), ("maxLength", "at most")) if key in schema
    ]
    return f"{words}, {' '.join(bounds)}" + (" characters" if "maxLength" in schema else "") if bounds else words


def _schema_of(holder: dict[str, Any]) -> str:
    return str(holder["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1])


def _link(name: str) -> str:
    return f'<a href="#{escape(name)}">{escape(name)}</a>'


def _table(caption: str, heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows)
    return _framed(caption, heads, "".join(f"<tr>{row}</tr>" for row in cells))


def _framed(caption: str, heads: tuple[str, ...], rows_html: str) -> str:
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in heads)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{rows_html}</tbody></table>"
