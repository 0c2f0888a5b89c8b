import torch

from dql.core import noise
from dql.core.noise import BLOCK_STEPS, Draw, NoiseStreams, seeded_generator

DRAWS = {
    "normal": Draw((4, 3)),
    "uniform": Draw((), "uniform"),
    "row": Draw((200,), "integer", (10, 1000)),
}


def test_a_run_meets_the_same_noise_in_any_company():
    both = NoiseStreams((5, 9), DRAWS, "training")
    alone = NoiseStreams((9,), {"normal": DRAWS["normal"]}, "training")
    for step in (0, 1, BLOCK_STEPS, 3 * BLOCK_STEPS + 7):
        assert torch.equal(both.at(step)["normal"][1], alone.at(step)["normal"][0])


def test_steps_can_be_visited_in_any_order():
    forward = NoiseStreams((1, 2), DRAWS, "training")
    steps = range(2 * BLOCK_STEPS + 3)
    seen = [forward.at(step)["normal"].clone() for step in steps]
    assert torch.equal(forward.at(5)["normal"], seen[5])
    assert not torch.equal(seen[5], seen[6])
    assert not torch.equal(seen[5], seen[5 + BLOCK_STEPS])


def test_purposes_and_names_do_not_share_numbers():
    training = NoiseStreams((1,), DRAWS, "training").at(0)["normal"]
    evaluation = NoiseStreams((1,), DRAWS, "evaluation", 0).at(0)["normal"]
    assert not torch.equal(training, evaluation)
    renamed = NoiseStreams((1,), {"other": DRAWS["normal"]}, "training").at(0)["other"]
    assert not torch.equal(training, renamed)


def test_integers_stay_below_each_runs_own_bound():
    rows = NoiseStreams((0, 1), DRAWS, "training").block(0)["row"]
    assert rows.shape == (BLOCK_STEPS, 2, 200)
    assert rows[:, 0].max() == 9
    assert 900 < rows[:, 1].max() < 1000
    assert rows.min() == 0


def test_laws_have_their_moments():
    draws = {"n": Draw((5000,)), "u": Draw((5000,), "uniform")}
    block = NoiseStreams((3,), draws, "training").block(0)
    assert abs(block["n"].mean()) < 0.02
    assert abs(block["n"].std() - 1) < 0.02
    assert abs(block["u"].mean() - 0.5) < 0.01


def test_seeded_generator_depends_on_its_whole_address():
    first = torch.rand(3, generator=seeded_generator(0, "a", 1))
    assert torch.equal(first, torch.rand(3, generator=seeded_generator(0, "a", 1)))
    for address in [(0, "a", 2), (0, "b", 1), (1, "a", 1)]:
        assert not torch.equal(
            first, torch.rand(3, generator=seeded_generator(*address))
        )


def test_a_large_draw_comes_in_pieces_on_a_gpu(monkeypatch):
    """Its numbers then do not depend on how many threads the GPU holds at a time.

    On a processor uniform numbers and integers follow each other, in pieces or not.
    """
    draws = [Draw((3, 7), "uniform"), Draw((21,), "integer", 50), Draw((3, 7))]

    def sample(draw):
        return draw.sample(0, 20, seeded_generator(1, "some"))

    whole = [sample(draw) for draw in draws]
    sizes = []
    monkeypatch.setattr(noise, "draw_size", lambda values: 64)
    fill = Draw._fill

    def counted(self, values, *others):
        sizes.append(len(values))
        fill(self, values, *others)

    monkeypatch.setattr(Draw, "_fill", counted)
    pieces = [sample(draw) for draw in draws]
    assert sizes == [64, 64, 64, 64, 64, 64, 36] * 3
    assert torch.equal(pieces[0], whole[0])
    assert torch.equal(pieces[1], whole[1])
    assert torch.isfinite(pieces[2]).all()
    assert pieces[2].unique().numel() == 420


def test_a_processor_draws_a_block_whole_and_a_gpu_does_not():
    assert noise.draw_size(torch.empty(100_000)) == 100_000
    assert noise.draw_size(torch.empty(100_000, device="meta")) == noise.GPU_DRAW_SIZE
