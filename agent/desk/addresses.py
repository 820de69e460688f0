"""Whose address a request has, and under which name limits count it.

Rule 1: `X-Forwarded-For` is believed from a trusted proxy only: each proxy adds at the right the address that it saw itself, so from the
        right the first address that is no trusted proxy's is the client's. What stands left of it anybody may have written.
Rule 2: one site of IPv6 has a whole network, so that network is one client; IPv4 written as IPv6 is IPv4.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_V6_SITE_BITS = 64


class Addresses:
    """What is known of addresses: which are trusted proxies."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._proxies = [ip_network(network) for network in trusted_proxies]

    def client(self, connected: str, forwarded: str) -> str:
        """Under which name limits count a request: of the connection from `connected`, with this X-Forwarded-For (all of its lines)."""
        found = connected
        for text in reversed(forwarded.split(",")):
            if not self._is_proxy(found):
                break
            written = text.strip()
            if _read(written) is None:
                break  # not even the proxy knew
            found = written
        return _site(found) or connected

    def of_connection(self, connected: str) -> str | None:
        """Under which name connections are counted; None for those that are not: from trusted proxies, and from this machine itself.

        Whatever comes through a proxy comes from one address, and most proxies are on this machine.
        """
        address = _read(connected)
        if address is None or address.is_loopback or self._is_proxy(connected):
            return None
        return _site(connected)

    def _is_proxy(self, text: str) -> bool:
        address = _read(text)
        return address is not None and any(address in network for network in self._proxies)


def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _site(text: str) -> str | None:
    address = _read(text)
    if isinstance(address, IPv6Address):
        return str(ip_network((int(address), _V6_SITE_BITS), strict=False))
    return None if address is None else str(address)
