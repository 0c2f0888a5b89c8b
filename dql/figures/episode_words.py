"""What is said of recorded episodes where they are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dql.figures.suite_cells import footnote_lines
from dql.results.episodes import EpisodeFacts, StoredEpisode


def outcome_words(facts: EpisodeFacts, seconds: float | None = None) -> str:
    """Return what an episode came to: its score, or return, and how it ended."""
    if facts.episode_return is None:
        return "diverged"
    unit = "return" if facts.score is None else "score"
    value = facts.episode_return if facts.score is None else facts.score
    words = f"{unit} {value:.0f}" if abs(value) >= 1 else f"{unit} {value:.2f}"
    if seconds is not None:
        words += f"\n{'falls after' if facts.ended else 'to the end,'} {seconds:.1f} s"
    return words


def episodes_footnote(
    episodes: Sequence[StoredEpisode], words: str, unseen: Sequence[str] = ()
) -> list[str]:
    """Return what a reader must know: which policy, which of how many episodes.

    And which methods are absent: none was recorded while the run had its checkpoint.
    """
    facts = [episode.facts for episode in episodes]
    steps = _span([one.gradient_step for one in facts])
    count = _span([one.num_episodes for one in facts])
    seeds = _span([one.seed for one in facts])
    absent = [f"No episode was recorded of {', '.join(unseen)}."] if unseen else []
    return footnote_lines(
        [
            f"Seed {seeds}, the policy after {steps} gradient steps: of the {count} "
            f"episodes of its last evaluation the one of median return. {words}",
            *absent,
        ]
    )


def _span(values: Iterable[int]) -> str:
    """Return `100,000`, or `3,000 to 100,000` where values differ."""
    ends = sorted({min(values), max(values)})
    return " to ".join(f"{value:,}" for value in ends)
