"""The OpenAPI document is what the desk does: it is tried out against a whole desk process's application, Knock's stand-in behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from agent import credentials
from agent.desk.records import DoorAccess
from agent.desk.run import Desk
from agent.desk.secrets import new_token, token_hash
from agent.desk.store import DeskStore
from agent.sandbox.settings import SandboxSettings
from agent.sandbox.threaded import ThreadedSandbox
from agent.settings.desk import DeskSettings
from agent.settings.parts import validate
from tests.desk.api.made import NO_TLS, PATIENCE_S

EXAMPLES = 25
OPERATIONS = [
    ("/api/v1/appointments/{appointmentId}", "PUT"),
    ("/api/v1/appointments/{appointmentId}", "GET"),
    ("/api/v1/appointments/{appointmentId}/cancel", "PUT"),
    ("/api/v1/roster", "GET"),
    ("/api/v1/report", "POST"),
]
PROMISED = ("not_a_server_error", "response_schema_conformance", "status_code_conformance", "content_type_conformance")


class Whole:
    """A whole desk, in a thread; `tokens` are a vendor's and a door's."""

    def __init__(self, folder: Path, knock_url: str) -> None:
        self._settings = _settings(folder, knock_url)
        self._loop = asyncio.new_event_loop()
        self._ended, self._started = asyncio.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), name="desk")
        self._thread.start()
        assert self._started.wait(PATIENCE_S)
        self.tokens = {"vendor": new_token(), "door": new_token()}
        store = DeskStore.open(self._settings.store.path)
        store.new_vendor("A Website", token_hash(self.tokens["vendor"]), ["1001"])
        store.new_door(DoorAccess("d1", "1001", "front", 1, None, None, None, ""), token_hash(self.tokens["door"]))
        store.close()

    def close(self) -> None:
        """Stop it."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _serve(self) -> None:
        async with Desk(self._settings) as desk:
            self.url = "http://{}:{}".format(*desk.address)
            self._started.set()
            await self._ended.wait()


def _settings(folder: Path, knock_url: str) -> DeskSettings:
    credentials.new_key(folder / "keys")
    for name in ("secret", "key"):
        (folder / name).touch(0o600)
        (folder / name).write_text(f"a {name} of thirty-two characters, and more", "ascii")
    written = {
        "public_url": "https://tours.example.com",
        "store": {"path": folder / "desk.db"},
        "listen": {"port": 0},
        "keys": {"folder": folder / "keys", "desk_secret_file": str(folder / "secret")},
        "knock": {"base_url": knock_url, "appointment_key_file": str(folder / "key")},
        "community": [
            {
                "id": "1001",
                "slug": "juniper-flats",
                "name": "Juniper Flats",
                "time_zone": "America/Los_Angeles",
                "address": "12 Juniper Street",
                "door": [{"name": "front"}],
            }
        ],
    }
    found = validate(DeskSettings, written)
    assert isinstance(found, DeskSettings), found
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    """One desk for all that is tried."""
    with ThreadedSandbox(SandboxSettings(port=0, admin_port=0)) as sandbox:
        desk = Whole(tmp_path_factory.mktemp("desk"), sandbox.url)
        try:
            yield desk
        finally:
            desk.close()


@pytest.fixture
def client(whole: Whole) -> Iterator[httpx.Client]:
    """A client without a token, that came by the public address."""
    headers = {"Host": "tours.example.com"}
    with httpx.Client(base_url=whole.url, headers=headers, trust_env=False, verify=NO_TLS, timeout=20) as made:
        yield made


def checks() -> list[Any]:
    """What schemathesis holds each answer against."""
    load_all_checks()
    return [CHECKS.get_one(name) for name in PROMISED]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["right", "wrong"])
@pytest.mark.parametrize("who", ["vendor", "door", None])
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_ok__whatever_is_sent_the_answer_is_a_documented_one(  # noqa: PLR0917 - the table above
    whole: Whole, client: httpx.Client, path: str, method: str, who: str | None, mode: GenerationMode
) -> None:
    """Right and wrong requests, with the right token, the other one and none: never a 5xx, always a status and body of the document."""
    schema = schemathesis.openapi.from_dict(client.get("/api/openapi.json").json())
    headers = {"Authorization": f"Bearer {whole.tokens[who]}"} if who else {}
    promised, statuses = checks(), set()

    @settings(max_examples=EXAMPLES, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    def tried(case: schemathesis.Case[Any]) -> None:
        if mode is GenerationMode.POSITIVE and isinstance(case.body, dict) and "community_id" in case.body:
            case.body["community_id"] = "1001"  # else hardly any would get past the vendor's communities
            case.body.pop("doors", None)
        if str((case.query or {}).get("wait_s", "")).isdigit():
            case.query["wait_s"] = 0
        answer = case.call(base_url=whole.url, headers=headers)
        statuses.add(answer.status_code)
        case.validate_response(answer, checks=promised)

    tried()
    is_right = who == ("door" if path in ("/api/v1/roster", "/api/v1/report") else "vendor")
    assert is_right or statuses <= {401, 404, 405, 413}, statuses
    if mode is GenerationMode.POSITIVE and is_right and path in ("/api/v1/roster", "/api/v1/report"):
        assert statuses == {200}


def test_ok__the_document_names_every_route(client: httpx.Client) -> None:
    """And the routes it names exist; its operations are those that are tried here."""
    document = client.get("/api/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert [(path, method.upper()) for path, item in document["paths"].items() for method in item if method != "parameters"] == OPERATIONS
    for path, method in OPERATIONS:
        assert client.request(method, path.replace("{appointmentId}", "1")).status_code == 401


class Reader(HTMLParser):
    """Collects the tags, the addresses and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """One tag."""
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src", "action")]
        self.ids |= {value or "" for name, value in attrs if name == "id"}

    def handle_data(self, data: str) -> None:
        """Text between tags."""
        self.text += data


def test_ok__the_page_tells_a_person_the_same(client: httpx.Client) -> None:
    """Every operation and object, an example to copy; no script, nothing from elsewhere, and every link leads somewhere."""
    answer = client.get("/api")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Reader()
    page.feed(answer.text)
    document: dict[str, Any] = client.get("/api/openapi.json").json()
    for path, method in OPERATIONS:
        assert f"{method} {path}" in page.text
    assert set(document["components"]["schemas"]) <= page.ids
    assert "curl -X PUT https://tours.example.com/api/v1/appointments/" in page.text
    assert not {"script", "style", "iframe", "img"} & set(page.tags)
    for address in page.addresses:
        assert address.removeprefix("#") in page.ids if address.startswith("#") else client.get(address).status_code == 200


def test_ok__the_example_of_the_page_works(whole: Whole, client: httpx.Client) -> None:
    """What a person copies from it is taken."""
    page = Reader()
    page.feed(client.get("/api").text)
    body = page.text.split("-d '", 1)[1].split("'", 1)[0]
    headers = {"Authorization": f"Bearer {whole.tokens['vendor']}", "Content-Type": "application/json"}
    assert client.put("/api/v1/appointments/48210377", content=body, headers=headers).status_code == 201
