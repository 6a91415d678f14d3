"""The script that makes the figures of official codes."""

from pathlib import Path
from runpy import run_path

import torch
from helpers.official import difference, filled
from torch import Tensor, nn

measure = run_path(str(Path(__file__).parents[1] / 'data/measure.py'))[
    'measure'
]


class Tiny(nn.Module):
    """A convolution, a batch norm, and a table that is not to be filled."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)
        self.bn = nn.BatchNorm2d(4)
        self.register_buffer('table', torch.tensor([7.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)) + self.table


def test_entry() -> None:
    network = Tiny()
    levels = {}

    def run(x: Tensor) -> dict[str, Tensor]:
        levels['stage1'] = network(x)
        return levels

    entry = measure(network, run, [(16, 24)], fixed=['table'])
    (case,) = entry['cases']
    assert case['input'] == [16, 24]
    expected = case['levels']['stage1']
    assert expected['shape'] == [1, 4, 8, 12]
    assert len(expected['samples']) == 64
    # what the tests compare with
    assert difference(levels['stage1'], expected) < 1e-5
    assert entry['official_keys']['conv.weight'] == [4, 3, 3, 3]
    assert network.table.item() == 7.0
    weight = filled('conv.weight', (4, 3, 3, 3))
    assert torch.equal(network.conv.weight, weight)
