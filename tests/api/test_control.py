"""The control socket: what it tells, who may ask, and that it goes."""

import asyncio
import json
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

import userstack
from tests.support.stacks import FIRST, SECOND, connect, two_stacks
from tests.support.virtual_time import virtual_time
from userstack import ClosedHandle, SetupError, State
from userstack.api import control, report


async def ask(path: Path, command: str) -> Any:
    return await asyncio.to_thread(control.query, path, command)


@pytest.mark.asyncio
async def test_a_running_stack_tells_its_connections_counters_and_itself(tmp_path: Path) -> None:
    async with (
        userstack.memory(f"{FIRST}/24", f"{SECOND}/24") as (first, second),
        second.control(tmp_path) as path,
        await second.listen(80, backlog=5) as listener,
        await first.connect(SECOND, 80, local_port=5555) as client,
        await listener.accept() as server,
    ):
        await client.send(b"unread")
        assert await server.recv(1) == b"u"
        listening, connected = await ask(path, "connections")
        assert listening["local"] == {"address": "0.0.0.0", "port": 80}
        assert listening["remote"] is None
        assert (listening["state"], listening["send_q"], listening["info"]) == ("LISTEN", 5, None)
        assert connected["remote"] == {"address": FIRST, "port": 5555}
        assert (connected["state"], connected["recv_q"]) == ("ESTABLISHED", 5)
        assert connected["info"]["bytes_received"] == 6
        assert (await ask(path, "counters"))["TcpPassiveOpens"] == 1
        info = await ask(path, "info")
        assert info["pid"] == os.getpid()
        assert info["addresses"] == [f"{SECOND}/24"]
        assert (info["level"], info["mac"], info["codec"]) == (3, None, "fast")


@virtual_time
async def test_a_closed_stack_answers_nobody(tmp_path: Path) -> None:
    async with two_stacks() as (first, _):
        await first.close()
        with pytest.raises(ClosedHandle):
            first.control(tmp_path)


@pytest.mark.asyncio
async def test_stacks_are_found_and_gone_when_they_end(tmp_path: Path) -> None:
    async with userstack.memory(f"{FIRST}/24", f"{SECOND}/24") as (first, second):
        async with first.control(tmp_path) as one, second.control(tmp_path) as other:
            found = await asyncio.to_thread(control.running, tmp_path)
            assert found == [control.RunningStack(os.getpid(), path) for path in sorted((one, other))]
            assert stat.S_IMODE(one.stat().st_mode) == 0o600
        with pytest.raises(SetupError, match="no stack answers"):
            await ask(one, "info")
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_what_a_dead_process_left_behind_is_removed_and_the_rest_is_not(tmp_path: Path) -> None:
    stale, strange = tmp_path / "4194305-1.sock", tmp_path / "note.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(stale))
    strange.write_text("not ours")
    assert control.running(tmp_path) == []
    assert list(tmp_path.iterdir()) == [strange]
    assert control.running(tmp_path / "nowhere") == []


@pytest.mark.asyncio
async def test_an_unknown_command_is_told_what_there_is(tmp_path: Path) -> None:
    async with userstack.memory(f"{FIRST}/24", f"{SECOND}/24") as (first, _), first.control(tmp_path) as path:
        with pytest.raises(SetupError, match="connections, counters, info"):
            await ask(path, "reboot")


@pytest.mark.asyncio
async def test_whatever_is_sent_is_answered_or_cut_off(tmp_path: Path) -> None:
    async with userstack.memory(f"{FIRST}/24", f"{SECOND}/24") as (first, _), first.control(tmp_path) as path:
        reader, writer = await asyncio.open_unix_connection(str(path))
        for line in (b"", b"{", b"[]", b"\xff", b'{"command": []}', b'{"command": null}'):
            writer.write(line + b"\n")
            assert json.loads(await reader.readline())["ok"] is False
        writer.write(b'{"command": "info"}\n{"command": "info"}\n')
        assert [json.loads(await reader.readline())["ok"] for _ in range(2)] == [True, True]
        writer.write(b"x" * 100_000)
        with pytest.raises((ConnectionResetError, BrokenPipeError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.mark.asyncio
async def test_who_does_not_read_the_answers_is_not_read_either(tmp_path: Path) -> None:
    async with userstack.memory(f"{FIRST}/24", f"{SECOND}/24") as (first, _), first.control(tmp_path) as path:
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX) as client:
            client.setblocking(False)
            await loop.sock_connect(client, str(path))
            question = b'{"command": "info"}\n' * 100
            asked = 0

            async def ask_on() -> None:
                nonlocal asked
                while asked < 100_000:
                    await asyncio.wait_for(loop.sock_sendall(client, question), 0.3)
                    asked += 100

            with pytest.raises(TimeoutError):
                await ask_on()
            answers = b""
            while answers.count(b"\n") < asked:
                answers += await loop.sock_recv(client, 1 << 20)
            assert all(json.loads(line)["ok"] for line in answers.split(b"\n")[:asked])


@virtual_time
async def test_a_deadline_is_told_from_now_on() -> None:
    async with two_stacks() as (first, second):
        await asyncio.sleep(100)
        client, server = await connect(first, second)
        await client.close()
        assert await server.recv() == b""
        await server.close()
        await client.wait_state(State.TIME_WAIT)
        await asyncio.sleep(10)
        (told,) = (report.row(row, first.device, first.now()) for row in first.connections())
        assert (told["state"], told["timer"]) == ("TIME-WAIT", "TIME-WAIT")
        assert told["expires_in"] == pytest.approx(50e9, rel=0.01)


@pytest.mark.asyncio
async def test_the_end_of_the_stack_does_not_wait_for_its_watchers(tmp_path: Path) -> None:
    async with userstack.memory(f"{FIRST}/24", f"{SECOND}/24") as (first, _):
        async with first.control(tmp_path) as path:
            reader, writer = await asyncio.open_unix_connection(str(path))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1)
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)


@pytest.mark.asyncio
async def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    async with userstack.memory(f"{FIRST}/24", f"{SECOND}/24") as (first, _):
        with pytest.raises(SetupError, match="only you can write"):
            await first.control(shared).__aenter__()
        file = tmp_path / "file"
        file.touch()
        with pytest.raises(SetupError, match="cannot make"):
            await first.control(file / "below").__aenter__()
    assert list(shared.iterdir()) == []


def test_the_folder_follows_who_runs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert control.control_directory() == Path("/run/userstack")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1000")
    assert control.control_directory() == Path("/run/user/1000/userstack")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert control.control_directory().name == "userstack-1000"
