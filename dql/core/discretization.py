"""K-means bins of actions for R stacked runs, found batch by batch (Sculley, 2010)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ActionBins(nn.Module):
    """K centres of each run, (R, K, A), and how many actions each has been shown."""

    def __init__(self, num_runs: int, num_bins: int, action_dim: int) -> None:
        super().__init__()
        shape = (num_runs, num_bins, action_dim)
        self.centers = nn.Parameter(torch.zeros(shape), requires_grad=False)
        self.counts = nn.Parameter(torch.zeros(shape[:2]), requires_grad=False)

    def nearest(self, actions: Tensor) -> Tensor:
        """Return the index of each action's nearest centre, (R, B, A) to (R, B)."""
        exact = "donot_use_mm_for_euclid_dist"  # a product rounds by the batch's size
        return torch.cdist(actions, self.centers, compute_mode=exact).argmin(dim=2)

    def offsets(self, actions: Tensor, bins: Tensor) -> Tensor:
        """Return how far actions lie from the centres of their bins, (R, B, A)."""
        index = bins[..., None].expand_as(actions)
        return actions - self.centers.gather(1, index)

    @torch.no_grad()
    def start(self, actions: Tensor) -> None:
        """Put the centres on the first K of a batch of actions (R, B, A)."""
        self.centers.copy_(actions[:, : self.centers.shape[1]])

    @torch.no_grad()
    def learn(self, actions: Tensor) -> None:
        """Move each centre to the mean of all actions that it was nearest to so far."""
        bins = torch.nn.functional.one_hot(self.nearest(actions), self.counts.shape[1])
        members = bins.to(actions.dtype)
        sums = torch.bmm(members.transpose(1, 2), actions)
        added = members.sum(dim=1)
        self.counts += added
        moves = sums - added[..., None] * self.centers
        self.centers += moves / self.counts.clamp(min=1)[..., None]
