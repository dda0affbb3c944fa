"""Keys for signatures (RFC 2385) as programs give them: to a listener by peer, to an open, and to what lives already."""

import pytest

from tests.support.stacks import FIRST, SECOND, two_stacks
from tests.support.virtual_time import virtual_time
from userstack import StackConfig

KEY = b"secret"


@virtual_time
async def test_ends_with_the_same_key_meet_and_others_do_not() -> None:
    async with two_stacks() as (first, second):
        async with await second.listen(179, md5={FIRST: KEY}) as listener:
            async with await first.connect(SECOND, 179, md5_key=KEY) as ours, await listener.accept() as theirs:
                await ours.send(b"open")
                assert await theirs.recv() == b"open"
            with pytest.raises(TimeoutError):
                await first.connect(SECOND, 179, timeout=5)
            with pytest.raises(TimeoutError):
                await first.connect(SECOND, 179, md5_key=b"wrong", timeout=5)
        assert second.counters["TcpExtTCPMD5NotFound"] > 0
        assert second.counters["TcpExtTCPMD5Failure"] > 0


@pytest.mark.parametrize(
    ("peer", "key"),
    [("10.0.0.0/24", KEY), ("::ffff:10.0.0.1", KEY), ("::ffff:10.0.0.0/120", KEY), ("0.0.0.0/0", b"wider"), ("::/0", b"wider")],
)
@virtual_time
async def test_a_peer_is_an_address_or_a_prefix_and_the_longest_wins(peer: str, key: bytes) -> None:
    async with (
        two_stacks() as (first, second),
        await second.listen(179, md5={peer: KEY, "10.0.0.0/8": b"wider"}) as listener,
        await first.connect(SECOND, 179, md5_key=key),
        await listener.accept() as accepted,
    ):
        assert accepted.getpeername()[0] == FIRST


@virtual_time
async def test_keys_of_a_listener_and_of_a_connection_change() -> None:
    async with two_stacks() as (first, second), await second.listen(179) as listener:
        listener.set_md5_key(FIRST, KEY)
        ours = await first.connect(SECOND, 179, md5_key=KEY)
        theirs = await listener.accept()
        listener.set_md5_key(FIRST, None)
        ours.set_md5_key(b"new")
        theirs.set_md5_key(b"new")
        await ours.send(b"with the new key")
        assert await theirs.recv() == b"with the new key"
        async with await first.connect(SECOND, 179), await listener.accept():
            assert second.counters["TcpExtTCPMD5NotFound"] == 0
        ours.set_md5_key(None)
        theirs.set_md5_key(None)
        await theirs.send(b"without")
        assert await ours.recv() == b"without"
        await ours.close()
        await theirs.close()


@virtual_time
async def test_a_listener_that_turns_active_signs_with_the_key_of_its_peer() -> None:
    async with two_stacks() as (first, second), await second.listen(179, md5={FIRST: KEY}) as listener:
        own = await first.listen(179, md5={SECOND: KEY})
        async with await own.connect(SECOND, 179), await listener.accept() as theirs:
            assert theirs.getpeername() == (FIRST, 179)


@virtual_time
async def test_what_cannot_be_a_key_or_a_peer_is_refused_before_anything_happens() -> None:
    async with two_stacks(config=StackConfig(md5_keys=2)) as (first, _):
        for key in (b"", bytes(81)):
            with pytest.raises(OSError, match=f"a key has 1 to 80 octets, not {len(key)}"):
                await first.connect(SECOND, 179, md5_key=key)
        with pytest.raises(TypeError, match="a key is bytes"):
            await first.connect(SECOND, 179, md5_key="secret")  # type: ignore[arg-type]
        for peer, complaint in (
            ("10.0.0.0/33", "0 to 32 bits, not 33"),
            ("fd3d::/129", "0 to 128 bits, not 129"),
            ("10.0.0.0/", "length of the prefix"),
            ("10.0.0.0/x", "length of the prefix"),
            ("router", "router"),
        ):
            with pytest.raises(OSError, match=complaint):
                await first.listen(179, md5={peer: KEY})
        with pytest.raises(TypeError, match="a peer is a str"):
            await first.listen(179, md5={b"10.0.0.1": KEY})  # type: ignore[dict-item]
        for md5 in (KEY, [SECOND], {(SECOND, KEY)}):
            with pytest.raises(TypeError, match=f"md5 is a mapping of peers to keys, .* not {type(md5).__name__}"):
                await first.listen(179, md5=md5)  # type: ignore[arg-type]
        with pytest.raises(OSError, match="md5_keys"):
            await first.listen(179, md5={"10.0.0.1": KEY, "10.0.0.2": KEY, "10.0.0.3": KEY})
        assert first.connections() == []
        async with await first.listen(179) as listener:
            with pytest.raises(FileNotFoundError, match="there is no key"):
                listener.set_md5_key(SECOND, None)
