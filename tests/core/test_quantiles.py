import pytest
import torch

from dql.core.quantiles import quantile_table, to_quantiles


def tables(data, num_quantiles):
    return torch.stack([quantile_table(values, num_quantiles) for values in data])


def test_every_column_becomes_uniform_run_by_run():
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(2, 4000, 3, generator=generator)
    data[1] = data[1].exp() * 50
    found = to_quantiles(data, tables(data, 201))
    levels = found.sort(dim=1).values
    expected = torch.linspace(-1, 1, 4000)[None, :, None].expand_as(levels)
    torch.testing.assert_close(levels, expected, atol=0.02, rtol=0)
    assert (found[0].argsort(dim=0) == data[0].argsort(dim=0)).float().mean() > 0.99


def test_it_is_linear_between_quantiles_and_ends_where_they_do():
    table = torch.tensor([[[0.0, 1.0, 3.0]]])
    values = torch.tensor([-5.0, 0.0, 0.5, 1.0, 2.0, 3.0, 9.0])[None, :, None]
    found = to_quantiles(values, table)[0, :, 0].tolist()
    assert found == pytest.approx([-1, -1, -0.5, 0, 0.5, 1, 1])


def test_a_column_of_one_value_is_a_number_all_the_same():
    data = torch.full((1, 50, 1), 2.0)
    found = to_quantiles(data, tables(data, 11))
    assert torch.isfinite(found).all()
    assert found.unique().numel() == 1
