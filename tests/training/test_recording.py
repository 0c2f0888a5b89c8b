"""A recording that fails leaves the process as it was; one that works is repeated."""

import contextlib

import pytest
import torch

from dql.training import recording
from dql.training.recording import WARM_UPS, RecordedCalls


class Device:
    """The calls of torch.cuda that recording makes, on a machine without one."""

    def __init__(self):
        self.current, self.synchronized, self.pools = "main", 0, []
        self.leaves_pools = False
        """Whether ending a recording that failed gives its pool up, as of 2.12."""

    def set_stream(self, stream):
        self.current = stream

    def synchronize(self):
        """Wait for the whole device, which breaks a recording of another thread."""
        assert recording.CAPTURE.locked()
        assert self.pools == []
        self.synchronized += 1

    @contextlib.contextmanager
    def graph(self, graph, pool, stream, capture_error_mode):
        """Like PyTorch's: where ending the recording fails, its stream stays."""
        assert capture_error_mode == "thread_local"
        before, self.current = self.current, stream
        self.pools.append(pool)
        try:
            yield
        except Exception as error:
            if self.leaves_pools:
                self.pools.remove(pool)
            raise RuntimeError("operation failed due to a previous error") from error
        self.pools.remove(pool)
        self.current = before

    def leave_pool(self, number, pool):
        if pool not in self.pools:
            raise RuntimeError("not currently recording to mempool_id")
        self.pools.remove(pool)


@pytest.fixture
def device(monkeypatch):
    device = Device()
    for name in ("set_stream", "synchronize", "graph"):
        monkeypatch.setattr(torch.cuda, name, getattr(device, name))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", device.leave_pool)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: device.current)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: "side")
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: _Graph())
    return device


class _Graph:
    def replay(self):
        raise AssertionError("not asked for")


@pytest.mark.parametrize("leaves_pools", [False, True])
def test_a_failed_recording_gives_stream_and_memory_back(device, leaves_pools):
    calls, device.leaves_pools = RecordedCalls("a call"), leaves_pools
    with pytest.raises(RuntimeError, match="previous error"):
        calls.record(lambda: 1 / 0)
    assert device.current == "main"
    assert device.synchronized == 1
    assert device.pools == []
    assert not recording.CAPTURE.locked()


def test_a_recording_returns_what_the_call_returned(device):
    _, outputs = RecordedCalls("a call").record(lambda: {"sum": 3})
    assert outputs == {"sum": 3}
    assert device.current == "main"
    assert device.synchronized == 0


def test_calls_of_different_names_are_recorded_apart():
    calls, taken = RecordedCalls("a call"), []
    calls.warm_up = lambda call: call()
    calls.record = lambda call: (lambda: taken.append("replayed"), call())
    for _ in range(WARM_UPS + 2):
        assert calls.take("first", lambda: "one") == "one"
    assert calls.take("second", lambda: "two") == "two"
    assert set(calls.recordings) == {"first"}
    assert taken == ["replayed"] * 2
