"""The stacked transformer against PyTorch's own parts; dropout by a hash."""

import pytest
import torch
from torch.nn import functional

from dql.core.dropout import dropout, key_draw, mixed
from dql.core.noise import NoiseStreams, seeded_generator
from dql.core.transformer import Transformer


def make(num_runs=2, **changes):
    sizes = {"num_layers": 2, "num_heads": 2, "dropout_rate": 0.1} | changes
    generators = [seeded_generator(seed, "weights") for seed in range(num_runs)]
    transformer = Transformer(8, generators, **sizes)
    with torch.no_grad():  # weights that matter more than those at the start
        for parameter in transformer.parameters():
            noise = torch.randn(parameter.shape, generator=generators[0])
            parameter.add_(0.3 * noise)
    return transformer


def tokens_and_mask(num_runs=2):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randn(num_runs, 3, 5, 8, generator=generator)
    mask = torch.ones(num_runs, 3, 5)
    mask[:, 1, :2] = 0
    return tokens, mask


def literal_block(block, run, tokens, mask):
    """Return one run's block by PyTorch's functions, for tokens (B, T, D)."""

    def linear(layer, values):
        return functional.linear(values, layer.weight[run].T, layer.bias[run, 0])

    def norm(layer, values):
        return functional.layer_norm(
            values, values.shape[-1:], layer.gain[run, 0], layer.offset[run, 0]
        )

    length = tokens.shape[1]
    seen = torch.ones(length, length).tril().bool() & (mask[:, None] > 0)
    seen |= torch.eye(length).bool()
    parts = linear(block.attention_in, norm(block.attention_norm, tokens)).chunk(3, -1)
    heads = [part.unflatten(-1, (2, -1)).transpose(1, 2) for part in parts]
    attended = functional.scaled_dot_product_attention(*heads, attn_mask=seen[:, None])
    attended = attended.transpose(1, 2).flatten(2)
    tokens = tokens + linear(block.attention_out, attended)
    hidden = linear(block.network_in, norm(block.network_norm, tokens)).relu()
    return tokens + linear(block.network_out, hidden)


def test_every_run_is_gpt_2_without_positions():
    transformer = make()
    tokens, mask = tokens_and_mask()
    found = transformer(tokens, mask, None)
    for run in range(2):
        expected = tokens[run]
        for block in transformer.blocks:
            expected = literal_block(block, run, expected, mask[run])
        norm = transformer.norm
        expected = functional.layer_norm(
            expected, (8,), norm.gain[run, 0], norm.offset[run, 0]
        )
        torch.testing.assert_close(found[run], expected, atol=1e-5, rtol=1e-5)


def test_no_token_sees_a_later_or_a_masked_one():
    transformer = make()
    tokens, mask = tokens_and_mask()
    changed = tokens.clone()
    changed[:, :, 3:] += 1.0
    before, after = (transformer(x, mask, None) for x in (tokens, changed))
    torch.testing.assert_close(before[:, :, :3], after[:, :, :3])
    assert not torch.allclose(before[:, :, 3], after[:, :, 3])
    changed = tokens.clone()
    changed[:, 1, :2] += 1.0  # masked in the second row of every run
    before, after = (transformer(x, mask, None) for x in (tokens, changed))
    torch.testing.assert_close(before[:, 1, 2:], after[:, 1, 2:])


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_keeps_its_share_and_the_mean(rate):
    keys = draw_keys((0, 1), batch_size=200)[..., 0]
    kept = dropout(torch.ones(2, 200, 6, 50), keys, rate)
    assert kept.unique().tolist() == [0.0, pytest.approx(1 / (1 - rate))]
    for axes in [(2, 3), (1, 3), (1, 2)]:  # by row, by token, by dimension
        shares = (kept == 0).float().mean(dim=axes)
        size = kept[0].numel() / shares[0].numel()
        error = (rate * (1 - rate) / size) ** 0.5
        assert (shares - rate).abs().max() < 5 * error
    assert kept.mean() == pytest.approx(1.0, abs=0.01)


def test_neighbours_are_dropped_independently():
    keys = draw_keys((0,), batch_size=400)[..., 0]
    dropped = (dropout(torch.ones(1, 400, 500), keys, 0.5) == 0).double()[0]
    centred = dropped - 0.5
    for shift in (1, 2, 7, 64):
        along = (centred[:, shift:] * centred[:, :-shift]).mean() / 0.25
        across = (centred[shift:] * centred[:-shift]).mean() / 0.25
        assert abs(along) < 0.015 and abs(across) < 0.015


def test_a_rate_of_zero_drops_nothing():
    keys = draw_keys((0,), batch_size=3)[..., 0]
    values = torch.randn(1, 3, 4)
    assert dropout(values, keys, 0.0) is values


def test_a_run_drops_the_same_in_any_company():
    transformer, alone = make(3), make(1)
    tokens, mask = tokens_and_mask(3)
    keys = draw_keys((4, 9, 2), num_sites=transformer.num_sites)
    own = draw_keys((9,), num_sites=transformer.num_sites)
    assert torch.equal(keys[1:2], own)
    with torch.no_grad():
        for mine, theirs in zip(
            alone.parameters(), transformer.parameters(), strict=True
        ):
            mine.copy_(theirs[1:2])
    found = transformer(tokens, mask, keys)[1:2]
    torch.testing.assert_close(found, alone(tokens[1:2], mask[1:2], own))
    assert not torch.allclose(found, alone(tokens[1:2], mask[1:2], None))


def test_the_hash_is_a_permutation_of_words():
    words = torch.arange(2**16) * 2**16
    found = mixed(words)
    assert found.unique().numel() == words.numel()
    assert found.min() >= 0 and found.max() < 2**32
    assert (found.double().mean() / 2**31) == pytest.approx(1.0, abs=0.02)


def draw_keys(seeds, batch_size=3, num_sites=1):
    draws = {"dropout": key_draw(batch_size, num_sites)}
    return NoiseStreams(seeds, draws, "training", block_steps=1).at(0)["dropout"]
