"""The GM65's commands, replies and set-up, without a wire."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import gm65
from drivers.gm65 import NOISE_NS, ModuleRefusedError, Reply, Splitter, Trigger, conversation

ACK = bytes.fromhex("02 00 00 01 00 33 31")
CODE = b"TL1:6BF +8D .\r"
S_NS = 1_000_000_000


def reply_of(value: int, kind: int = 0) -> bytes:
    """A reply of one byte as the module sends it."""
    body = bytes((0, kind, 1, value))
    return b"\x02" + body + gm65._crc(body)


def converse(trigger: Trigger, zones: dict[int, int], *, stuck: int | None = None) -> list[str]:
    """The commands of a set-up, in hexadecimal, to a module with these zones, of which one may not change."""
    talk = conversation(trigger)
    commands = []
    try:
        command = next(talk)
        while True:
            commands.append(command.hex())
            kind, zone, value = command[2], int.from_bytes(command[4:6], "big"), command[6]
            if kind == gm65.WRITE and zone != stuck:
                zones[zone] = value
            command = talk.send(Reply(0, bytes((zones[zone] if kind == gm65.READ else 0,))))
    except StopIteration:
        return commands


def test_ok__the_commands_are_those_of_the_manual() -> None:
    """Byte for byte, CRC included, as the manuals print them."""
    assert gm65.save().hex(" ").upper() == "7E 00 09 01 00 00 00 DE C8"
    assert gm65.write(0x0002, 1).hex(" ").upper() == "7E 00 08 01 00 02 01 02 DA"
    assert gm65._command(gm65.READ, 0x002A, 2).hex(" ").upper() == "7E 00 07 01 00 2A 02 D8 0F"
    assert reply_of(0) == ACK


def test_ok__a_reply_is_taken_out_of_the_scans() -> None:
    """A reply before, after or in the middle of a scan leaves the scan whole."""
    for stream in (ACK + CODE, CODE + ACK, CODE[:5] + ACK + CODE[5:]):
        assert Splitter().feed(stream, S_NS) == (CODE, [Reply(0, b"\0")])


def test_fail__what_only_looks_like_a_reply_is_a_scan() -> None:
    """A wrong CRC, another head, an impossible length: the bytes go on to the scans, all of them."""
    for noise in (ACK[:-1] + b"\x32", b"\x02\x01\x00\x01\x00\x33\x31", b"\x02\x00\x00\x00\x33\x31", b"\x02\x00\x00\xff\x00\x33\x31"):
        assert Splitter().feed(noise + CODE, S_NS) == (noise + CODE, [])


def test_fail__the_beginning_of_a_reply_does_not_spoil_a_later_scan() -> None:
    """Noise that waits for a rest which never comes is forgotten."""
    splitter = Splitter()
    assert splitter.feed(ACK[:4], S_NS) == (b"", [])
    assert splitter.feed(CODE, S_NS + NOISE_NS + 1) == (CODE, [])


parts = st.lists(st.sampled_from([ACK, reply_of(0xB0), CODE, b"\x02", b"\x00", b"\x02\x00", b"\x02\x02\x00\x00\x01", b"x"]))


@given(parts, st.lists(st.integers(0, 90)))
def test_ok__any_chunking_gives_the_same(pieces: list[bytes], cuts: list[int]) -> None:
    """Where the reads fall makes no difference, and no byte is lost: each is in a scan, in a reply, or waiting."""
    stream = b"".join(pieces) + b"\r"
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    whole, splitter = Splitter(), Splitter()
    expected = whole.feed(stream, S_NS)
    fed = [splitter.feed(stream[start:end], S_NS) for start, end in itertools.pairwise(edges)]
    assert (b"".join(scans for scans, _ in fed), [reply for _, replies in fed for reply in replies]) == expected
    assert splitter._pending == whole._pending
    assert len(expected[0]) + 7 * len(expected[1]) + len(whole._pending) == len(stream)


def test_ok__a_new_module_is_set_up_saved_and_read_back() -> None:
    """Each setting is read, changed in its own bits only, saved once and read again."""
    zones = {0x0000: 0xD4, 0x0006: 0x32, 0x0013: 0x00}
    assert converse("continuous", zones) == [
        command.hex()
        for command in (
            gm65.read(0x0000),
            gm65.write(0x0000, 0xD6),
            gm65.read(0x0006),
            gm65.write(0x0006, 0),
            gm65.read(0x0013),
            gm65.write(0x0013, 0x9E),
            gm65.save(),
            gm65.read(0x0000),
            gm65.read(0x0006),
            gm65.read(0x0013),
        )
    ]
    assert zones == {0x0000: 0xD6, 0x0006: 0, 0x0013: 0x9E}


def test_ok__a_module_that_is_set_up_is_not_written_to() -> None:
    """At the second start everything is only read, which spares the module's memory."""
    for trigger in gm65.SETTINGS:
        zones = {0x0000: 0xD5, 0x0006: 7, 0x0013: 1}
        converse(trigger, zones)
        assert converse(trigger, zones) == [gm65.read(zone).hex() for zone in (0x0000, 0x0006, 0x0013)]


def test_ok__each_trigger_has_its_mode() -> None:
    """Continuous and motion are the manual's modes 2 and 3; lamp, aim and sound stay as they were."""
    modes = {}
    for trigger in gm65.SETTINGS:
        zones = {0x0000: 0xD5, 0x0006: 7, 0x0013: 1}
        converse(trigger, zones)
        modes[trigger] = zones[0x0000]
    assert modes == {"continuous": 0xD6, "motion": 0xD7}


def test_fail__a_setting_that_does_not_stay_is_named() -> None:
    """A module that acknowledges and does not change is found out."""
    with pytest.raises(ModuleRefusedError, match=r"does not keep the setting 0x0006 \(no pause in looking\)"):
        converse("continuous", {0x0000: 0xD6, 0x0006: 0x32, 0x0013: 0x9E}, stuck=0x0006)


@pytest.mark.parametrize("reply", [Reply(1, b"\0"), Reply(0, b""), Reply(0, b"\0\0")])
def test_fail__a_reply_that_is_no_success_is_a_refusal(reply: Reply) -> None:
    """The sentence names the setting that was refused."""
    talk = conversation("motion")
    next(talk)
    with pytest.raises(ModuleRefusedError, match=r"refuses the setting 0x0000 \(looking when something moves\)"):
        talk.send(reply)


def test_fail__a_module_that_does_not_save_is_told() -> None:
    """What is not saved would be gone after the next loss of power, unseen."""
    talk = conversation("motion")
    command = next(talk)
    while command != gm65.save():
        command = talk.send(Reply(0, b"\0"))
    with pytest.raises(ModuleRefusedError, match="does not save"):
        talk.send(Reply(1, b"\0"))
