"""One OSDP reader as the bus sees it: what its replies mean, and what there is to tell of it. Pure, and told the time.

Rule 1: it is there while it answers under the secure channel; else it is lost, or, if it answers otherwise, somebody's to look at.
Rule 2: what it kept while nobody read it is thrown away: readings count from its first empty answer to a poll.
Rule 3: a reply without a MAC that is more than a refusal tells of somebody else on the wires; so do refusals without one by which the
        channel falls time and again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from drivers.base import ReaderState
from drivers.osdp_frames import ACK, BUSY, CHALLENGED, FORMATTED, MAC_BYTES, NAK, PDCAP, POLL, RAW, Reply
from drivers.osdp_panel import Slot

S_NS = 1_000_000_000
FORGED_NS = 60 * S_NS
"""A forged reply is told of for this long."""
SHAKEN_NS = 5 * S_NS
MAX_SHAKEN = 3
"""A channel that falls so often in `FORGED_NS`, each time so soon after a refusal in the clear, is not a reader that began anew once."""
LONGEST_SECURED = 7 + 1 + 80 + MAC_BYTES + 2
"""A secured reading of 64 bytes, which is all that libosdp takes: head, code, 4 + 64 bytes padded, MAC and CRC."""

OTHER_KEY = "has another key than `key_file`: somebody exchanged it, or it was set up elsewhere"
IN_THE_CLEAR = "answers without a secure channel, and is not listened to: set its key up with `tourlatch keys osdp`"
NO_READER = "answers, but not as an OSDP v2 reader does: check `address` and `baud`"
FORGED = "somebody else answers in its place, without its key: look at its wires"
SHAKEN = "is thrown out of its secure channel time and again by replies without its key: look at its wires, then at its power"
ONLY_BUSY = "says nothing but that it is busy, and that without its key: look at its wires, then at the reader"
UNDRAINED = "answers, but never says that it has nothing more to tell, so nothing that it reads counts: switch its power off and on"
TAMPERED = "says that it was opened or moved"
NO_POWER = "says that its power fails"


@dataclass(frozen=True, slots=True)
class Card:
    """What was read from a card, of so many bits."""

    bits: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys that were pressed, as the reader codes them."""

    keys: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A reading that libosdp does not take: longer than 64 bytes, or in the format `osdp_FMT`, which was withdrawn."""


@dataclass(frozen=True, slots=True)
class Link:
    """How the reader is, in a sentence's words."""

    state: ReaderState
    words: str


Heard = Card | Keys | Unreadable | Link


class Station:
    """A reader's state. `silent_s`: how long it may not answer; a conversation that failed is tried again after about `first_retry_s`
    seconds, then after twice as long each time, up to `max_retry_s`.
    """  # noqa: D205  one thought

    def __init__(self, slot: Slot, now_ns: int, *, silent_s: float, first_retry_s: float = 0.5, max_retry_s: float = 10.0) -> None:
        self.slot = slot
        self._silent_ns = round(silent_s * S_NS)
        self._silent_words = f"has not answered for {silent_s:g} s: check its power and its wires"
        self._first_retry_ns, self._max_retry_ns = round(first_retry_s * S_NS), round(max_retry_s * S_NS)
        self._retry_ns = self._first_retry_ns
        self._told: Link | None = None
        self._good_ns = now_ns
        self._heard_ns = now_ns
        self._again_ns = now_ns
        self._forged_ns: int | None = None
        self._clear_ns: int | None = None
        self._shaken_ns: deque[int] = deque(maxlen=MAX_SHAKEN)
        self._saw: set[int] = set()
        self._was_naked = False
        self._refusal: str | None = None
        self._is_drained = False
        self.is_secure = False
        self.is_tampered = False
        self.is_power_failing = False
        self.retry_at_ns: int | None = None
        self.refused: set[int] = set()
        """Commands that it does not know: libosdp gives the conversation up when one is refused."""

    def admit(self, reply: Reply, asked: int, now_ns: int) -> bool:
        """Whether a reply to the command `asked` is to be looked at."""
        # an acknowledgement of a secured command has a MAC; a reader that began anew refuses, and a busy one says so, in the clear
        is_allowed = reply.is_secured == self.is_secure or (not reply.is_secured and reply.code in {NAK, BUSY})
        if not reply.is_fit or not is_allowed:
            self._forged_ns = now_ns
            return False
        self._saw.add(reply.code)
        self._was_naked = reply.code == NAK
        if self.is_secure and not reply.is_secured:
            self._clear_ns = now_ns
        if reply.is_secured:
            if now_ns - self._heard_ns > self._silent_ns:
                self._again_ns = now_ns
            self._heard_ns = now_ns
            self._is_drained = self._is_drained or (reply.code == ACK and asked == POLL)
        return True

    def is_unreadable(self, reply: Reply) -> bool:
        """Whether it is a reading that libosdp does not take, and that counts."""
        is_odd = reply.code == FORMATTED or (reply.code == RAW and len(reply.data) > LONGEST_SECURED)
        return self.counts and reply.is_secured and is_odd

    @property
    def counts(self) -> bool:
        """Whether what it reads counts now."""
        return self.is_secure and self._is_drained

    def connected(self, now_ns: int) -> None:
        """The secure channel is up."""
        self.is_secure, self._is_drained = True, False
        self._heard_ns = self._again_ns = now_ns
        self._retry_ns = self._first_retry_ns
        self._refusal = None
        self.retry_at_ns = None

    def disconnected(self, now_ns: int) -> None:
        """The conversation failed, or did not come up."""
        if not self.is_secure:
            self._refusal = self._reason()
        elif self._clear_ns is not None and now_ns - self._clear_ns <= SHAKEN_NS:
            self._shaken_ns.append(now_ns)
        self.is_secure = self._is_drained = False
        self._saw.clear()
        self.retry_at_ns = now_ns + self._retry_ns
        self._retry_ns = min(2 * self._retry_ns, self._max_retry_ns)

    def unplugged(self) -> None:
        """The port is gone, and with it whatever was under way."""
        self.is_secure = self._is_drained = False
        self._refusal = None
        self._saw.clear()
        self.retry_at_ns = None

    def back(self, now_ns: int) -> None:
        """The port is there again, and the reader has its full time."""
        self._good_ns = self.retry_at_ns = now_ns

    def turned(self, gap_ns: int) -> None:
        """So long after the last time, the bus turns: if that is too long it was called lost, and what it kept meanwhile does not count."""
        if gap_ns > self._silent_ns:
            self._told = None
            self._is_drained = False

    def failed(self, command: int) -> None:
        """A command was not done; if it was refused, it is not asked again."""
        if self._was_naked:
            self.refused.add(command)

    def news(self, now_ns: int) -> Link | None:
        """What there is to tell, if it is something else than the last time."""
        link = self._link(now_ns)
        if link is None or link == self._told:
            return None
        self._told = link
        if link.state is ReaderState.LOST:
            self._is_drained = False
        return link

    def told(self, link: Link, now_ns: int) -> Link | None:
        """Something of the port is told for it; None if it was already. The reader has its full time again afterwards."""
        self._good_ns = now_ns
        if link == self._told:
            return None
        self._told = link
        return link

    def _link(self, now_ns: int) -> Link | None:
        is_heard = self.is_secure and now_ns - self._heard_ns <= self._silent_ns
        if is_heard and self._is_drained:
            self._good_ns = max(self._good_ns, self._heard_ns)
        stranger = self._stranger(now_ns)
        if stranger is not None:
            return Link(ReaderState.TAMPERED, stranger)
        if is_heard and self._is_drained:
            if self.is_tampered or self.is_power_failing:
                return Link(ReaderState.TAMPERED, TAMPERED if self.is_tampered else NO_POWER)
            return Link(ReaderState.READY, "reading")
        # a moment after it came back it is still what it was told to be
        if now_ns - (max(self._good_ns, self._again_ns) if is_heard else self._good_ns) <= self._silent_ns:
            return None
        is_busy = self.is_secure and self._clear_ns is not None and now_ns - self._clear_ns <= self._silent_ns
        refusal = ONLY_BUSY if is_busy else self._refusal
        if refusal and not is_heard:
            return Link(ReaderState.TAMPERED, refusal)
        return Link(ReaderState.LOST, UNDRAINED if is_heard else self._silent_words)

    def _stranger(self, now_ns: int) -> str | None:
        """What tells of somebody else on the wires; the reader itself may be silent meanwhile."""
        if self._forged_ns is not None and now_ns - self._forged_ns <= FORGED_NS:
            return FORGED
        is_shaken = len(self._shaken_ns) == MAX_SHAKEN and now_ns - self._shaken_ns[0] <= FORGED_NS
        return SHAKEN if is_shaken else None

    def _reason(self) -> str | None:
        """Why a conversation did not come up, by what came."""
        if CHALLENGED in self._saw:
            return OTHER_KEY
        if PDCAP in self._saw:
            return IN_THE_CLEAR
        return NO_READER if self._saw else None
