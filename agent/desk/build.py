"""Builds the desk from its settings. What is missing stops the start with its name."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from agent import credentials
from agent.assets import Assets
from agent.core import signature
from agent.desk.api import Api
from agent.desk.guard import Guard, with_head
from agent.desk.office import Office
from agent.desk.office.letters import Letters, Tongue
from agent.desk.office.queue import Queue
from agent.desk.pages import LOCALES, STATIC, TEMPLATES
from agent.desk.pages.routes import PublicPages
from agent.desk.secrets import Secrets
from agent.desk.store import DeskStore
from agent.errors import ConfigError
from agent.knock import Knock
from agent.language import Dates, Languages
from agent.listener import ASGIApp
from agent.mail import Mailer
from agent.rendering import Renderer
from agent.settings.desk import CommunitySettings, DeskSettings
from agent.web import Refusal
from agent.web import build as build_web


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that runs, and the application in front of it."""

    store: DeskStore
    knock: Knock
    office: Office
    queue: Queue
    api: Api
    app: ASGIApp


def now_ms() -> int:
    """The desk's clock: a server's, or that of a board with network."""
    return time.time_ns() // 1_000_000


def build_office(settings: DeskSettings, stack: ExitStack, version: str, *, wake: Callable[[], None] = lambda: None) -> Office:
    """The office over its store and Knock; `stack` closes the store, the caller `office.knock`."""
    seed = credentials.signing_seed(settings.keys.folder, settings.keys.key_id)
    key_id = signature.key_id(signature.public_key(seed)).hex()
    try:
        secrets = Secrets(credentials.read_secret(settings.keys.desk_secret_file).encode("ascii"))
    except ValueError as error:
        raise ConfigError(f"{settings.keys.desk_secret_file}: {error}") from None
    keys = settings.knock
    appointment_key = credentials.read_secret(keys.appointment_key_file)
    prospect_key = credentials.read_secret(keys.prospect_key_file) if keys.prospect_key_file else appointment_key
    store = DeskStore.open(settings.store.path)
    stack.callback(store.close)
    knock = Knock(keys, prospect_key=prospect_key, appointment_key=appointment_key, version=version)
    return Office(settings, store, knock, secrets, seed, key_id, now_ms=now_ms, wake=wake)


def build(settings: DeskSettings, stack: ExitStack, version: str) -> Parts:
    """Open everything; `stack` closes it."""
    languages = Languages.read(LOCALES)
    loop = asyncio.get_running_loop()

    def wake() -> None:
        """Called in threads, too; once the loop has ended there is nobody left to wake."""
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(look_at_once)

    def look_at_once() -> None:
        queue.wake()
        api.look()

    office = build_office(settings, stack, version, wake=wake)
    queue = Queue(office, *_mail(settings, languages), chance=random.random)
    api = Api(office, now_ms=now_ms)
    renderer = Renderer(languages, Assets(STATIC), TEMPLATES)
    public = PublicPages(settings, office, renderer, now_ms=now_ms)
    routes = {**api.routes()}
    refuse: Refusal = public.refuse
    if settings.staff is not None:
        from agent.desk.pages.staff import StaffPages

        staff = StaffPages(settings, office, renderer, now_ms=now_ms)
        routes |= staff.routes()
        refuse = staff.refusal(public.refuse)
    # a property's page takes any first part of a path, so what has a fixed one stands before it
    routes |= public.routes()
    guard = Guard(settings, refuse)
    app = build_web(with_head(routes), guard.refuse, guard.around)
    return Parts(office.store, office.parts.knock, office, queue, api, app)


def _mail(settings: DeskSettings, languages: Languages) -> tuple[Mailer | None, Letters | None]:
    mail = settings.mail
    if mail is None:
        return None, None

    def speak(code: str, community: CommunitySettings) -> Tongue:
        language = languages.named(code)
        return Tongue(language.code, language.say, Dates.of(language, community.time_zone, community.country))

    password = credentials.read_secret(mail.password_file) if mail.password_file else None
    try:
        return Mailer(mail, password), Letters(settings, mail, speak)
    except OSError as error:
        raise ConfigError(f"the file of certificates {mail.ca_file} cannot be read: {error.strerror or error}") from error
