"""How Knock is reached: the table `[knock]` of the agent and of the desk."""

from __future__ import annotations

from typing import Annotated

from agent.settings.parts import AbsolutePath, Field, Part, WebAddress, model_validator

_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "content-type", "accept-encoding"})
"""What the HTTP client sets by what it sends; another value could smuggle a request or break every one."""


class KnockSettings(Part):
    """The table `[knock]`."""

    base_url: WebAddress = "https://syndication.knockrentals.com"
    """Knock's host: production, or https://stage-syndication.knockrentals.com for tests. Plain http to this machine only."""
    appointment_key_file: str = "knock-appointment-key"
    """File of the appointment key; a name without / is a credential of the unit (LoadCredential=)."""
    prospect_key_file: str | None = None
    """File of the key for prospects and visits; without it the appointment key serves."""
    key_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "x-api-key"
    """The header that carries the key."""
    extra_headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")], Annotated[str, Field(pattern=r"^[ -~]{1,256}$")]] = Field(
        default={}
    )
    """More headers for every request, such as company-id."""
    connect_timeout_s: Annotated[float, Field(strict=True, gt=0, le=120)] = 10.0
    """For the connection, TLS included."""
    read_timeout_s: Annotated[float, Field(strict=True, gt=0, le=120)] = 20.0
    """For each piece of an answer."""
    write_timeout_s: Annotated[float, Field(strict=True, gt=0, le=120)] = 10.0
    """For each piece of a request."""
    total_timeout_s: Annotated[float, Field(strict=True, gt=0, le=300)] = 45.0
    """For one request with its whole answer."""
    ca_file: AbsolutePath | None = None
    """Certificates to trust instead of the system's, for a proxy with its own authority."""
    max_answer_kb: Annotated[int, Field(strict=True, ge=1, le=1024)] = 64
    """A longer answer is not read."""

    @model_validator(mode="after")
    def _own_headers(self) -> KnockSettings:
        for name in self.extra_headers:
            if name.lower() in {*_OWN_HEADERS, self.key_header.lower()}:
                raise ValueError(f"extra_headers must not name {name}, which the agent sets itself")
        return self
