"""Bearer tokens (RFC 6750): a door's for the roster and its report, a vendor's for appointments.

Rule 1: only a token's hash is looked up, so no comparison can leak the token by the time it takes.
Rule 2: what is wrong with a token is not told apart, and no token is ever logged or repeated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from agent.desk.api.answers import UNAUTHORIZED, ApiRefusedError
from agent.desk.secrets import token_hash

_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9._~+/=-]{16,200}) *")


def bearer_hash(headers: Mapping[str, str]) -> str:
    """The hash of the request's token; raises `ApiRefusedError` 401 when there is none that could be one."""
    found = _BEARER.fullmatch(headers.get("authorization", ""))
    if found is None:
        raise unauthorized("The header Authorization must hold a token: Bearer, a space, and the token.", "")
    return token_hash(found.group(1))


def unauthorized(words: str = "The token is unknown or was revoked.", error: str = ', error="invalid_token"') -> ApiRefusedError:
    """401, with what RFC 6750 wants beside it."""
    return ApiRefusedError(UNAUTHORIZED, words, headers={"WWW-Authenticate": f'Bearer realm="tourlatch"{error}'})
