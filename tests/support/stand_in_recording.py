"""Recordings of calls where there is no GPU."""

import torch

from dql.training.recording import RecordedCalls


class StandIn(RecordedCalls):
    """Repeats a call by taking it again, into the tensors that it returned first.

    Like a graph it does not run the call while it records it.
    """

    def warm_up(self, call):
        return call()

    def record(self, call):
        outputs = {}

        def replay():
            for name, value in call().items():
                outputs.setdefault(name, torch.zeros_like(value)).copy_(value)

        return replay, outputs


class Failing(StandIn):
    def record(self, call):
        raise RuntimeError("operation not permitted when stream is capturing")
