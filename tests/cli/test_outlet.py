"""Output that nothing waits for: over real pipes, some of which nobody reads."""

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio

from devp2p.terminal import outlet
from devp2p.terminal.outlet import Outlet, outlets, wait_room
from devp2p.terminal.output import Failure

PATIENCE = 120.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, io.TextIOWrapper]]:
    reading, writing = os.pipe()
    stream = os.fdopen(writing, "w", encoding="utf-8")
    yield reading, stream
    with suppress(OSError):  # closed by the test
        os.close(reading)
    stream.close()


def full_disk() -> io.TextIOWrapper:
    return Path("/dev/full").open("w", encoding="ascii")


def lost(lines: int) -> str:
    return f"({lines} lost)"


def read_all(reading: int) -> list[str]:
    """What comes until it is closed."""
    with open(reading, encoding="utf-8", closefd=False) as file:
        return file.read().splitlines()


def test_what_is_read_in_time_arrives_whole_and_in_order(pipe):
    reading, stream = pipe
    out = Outlet(stream, lost)
    print("one", 2, file=out)
    out.writelines(["thr", "ee\nfo", "ur\n"])
    out.write("no newline")
    assert out.finish(PATIENCE)
    stream.close()
    assert read_all(reading) == ["one 2", "three", "four", "no newline"]


def test_without_a_reader_nothing_waits_and_what_is_lost_is_counted_in_its_place(pipe):
    reading, stream = pipe
    out = Outlet(stream, lost, limit=1000)
    for number in range(100_000):  # six times what the pipe and the queue hold
        print(number, file=out)
    assert out.dropped > 50_000
    with open(reading, encoding="utf-8", closefd=False) as file:
        here = missing = 0
        while here < 100_000:
            line = file.readline()
            if line.startswith("("):
                missing += int(line[1:].split()[0])
                here += int(line[1:].split()[0])
            else:
                assert int(line) == here
                here += 1
        assert missing == out.dropped
        print("again", file=out)
        assert file.readline() == "again\n"
    assert out.finish(PATIENCE)


def test_of_pictures_that_nobody_saw_in_time_the_last_one_is_shown(pipe):
    reading, stream = pipe
    out = Outlet(stream, lost)
    out.write("first\n")
    for number in range(1000):  # ten times what the pipe holds
        out.show(f"<{number:.>600}>")
    with open(reading, encoding="utf-8", closefd=False) as file:
        assert file.readline() == "first\n"
        shown = ""
        while not shown.endswith(f"<{999:.>600}>"):
            shown += file.read(602)
        assert len(shown) < 602 * 500
        out.show("never")
        out.show("")
        out.write("last\n")
        assert out.finish(PATIENCE)
        assert file.readline() in {"last\n", "neverlast\n"}
    assert not out.dropped


def test_it_does_not_wait_at_its_end_for_longer_than_it_should(pipe):
    _, stream = pipe
    out = Outlet(stream, lost)
    print("x" * 500_000, file=out)
    assert not out.finish(0.01)


def test_a_reader_that_leaves_is_the_end(pipe):
    reading, stream = pipe
    told: list[OSError] = []
    out = Outlet(stream, lost, trouble=told.append)
    os.close(reading)
    print("to nobody", file=out)
    assert not out.finish(PATIENCE)
    assert isinstance(out.error, BrokenPipeError)
    assert not told
    print("to nobody still", file=out)


def test_what_cannot_be_written_is_told_once_and_tried_again(pipe, monkeypatch):
    monkeypatch.setattr(outlet, "_RETRY", 0.001)
    reading, stream = pipe
    kept = os.dup(stream.fileno())
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, stream.fileno())
    told: list[OSError] = []
    out = Outlet(stream, lost, trouble=told.append)
    for number in range(10):
        print(number, file=out)
    while len(told) < 1:
        pass
    os.dup2(kept, stream.fileno())
    with open(reading, encoding="utf-8", closefd=False) as file:
        assert file.readline() == "(10 lost)\n"
        print("again", file=out)
        assert file.readline() == "again\n"
    assert [error.errno for error in told] == [errno.EBADF]
    assert out.error is None
    assert out.finish(PATIENCE)
    os.close(kept)
    os.close(nowhere)


def test_without_anybody_to_tell_what_cannot_be_written_is_the_end():
    with full_disk() as full:
        out = Outlet(full, lost)
        print("something", file=out)
        assert not out.finish(PATIENCE)
        assert out.error is not None
        assert out.error.errno == errno.ENOSPC


def test_half_a_line_that_a_full_disk_took_does_not_spoil_the_next(pipe, monkeypatch):
    monkeypatch.setattr(outlet, "_RETRY", 0.001)
    reading, stream = pipe
    write, room = os.write, [4, 0, 1000]

    def scarce(descriptor, data):
        taken = room.pop(0)
        if not taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:taken])

    monkeypatch.setattr(os, "write", scarce)
    out = Outlet(stream, lost, trouble=lambda _: None)
    print("12345", file=out)
    with open(reading, encoding="utf-8", closefd=False) as file:
        assert [file.readline(), file.readline()] == ["1234\n", "(1 lost)\n"]


def test_a_file_that_somebody_else_has_made_one_that_does_not_wait(pipe):
    reading, stream = pipe
    os.set_blocking(stream.fileno(), False)
    out = Outlet(stream, lost)
    for number in range(20_000):
        print(number, file=out)
    with open(reading, encoding="utf-8", closefd=False) as file:
        assert [int(file.readline()) for _ in range(20_000)] == list(range(20_000))
    assert out.finish(PATIENCE)


@contextmanager
def stdout_is(stream: io.TextIOWrapper) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        yield


@pytest.mark.real_clock
async def test_who_would_rather_wait_than_lose_can(pipe):
    reading, stream = pipe
    with stdout_is(stream), outlets(lost) as streams:
        assert streams.stdout is not None

        async def find() -> None:
            for number in range(1000):
                print(f"{number:04000}", file=sys.stdout)  # noqa: T201
                await wait_room()
            nursery.cancel_scope.cancel()

        lines: list[int] = []

        def read() -> None:
            with open(reading, encoding="utf-8", closefd=False) as file:
                lines.extend(int(file.readline()) for _ in range(1000))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(find)
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(read)
    assert lines == list(range(1000))
    assert not streams.stdout.dropped


@pytest.mark.real_clock
async def test_that_nobody_reads_any_more_is_noticed(pipe):
    reading, stream = pipe
    with stdout_is(stream), outlets(lost) as streams:
        os.close(reading)
        print("to nobody", file=sys.stdout)  # noqa: T201
        with trio.fail_after(PATIENCE):
            await streams.wait_end(trio.Event())
        with pytest.raises(BrokenPipeError):
            streams.check()


@pytest.mark.real_clock
async def test_that_nothing_can_be_written_is_a_failure_with_its_reason():
    with full_disk() as full, stdout_is(full), outlets(lost) as streams:
        print("something", file=sys.stdout)  # noqa: T201
        with trio.fail_after(PATIENCE):
            await streams.wait_end(trio.Event())
        with pytest.raises(Failure, match="cannot write to stdout: no space left on device"):
            streams.check()
