"""Benchmarks: what is measured, and what is refused. No figure is held."""

import copy
import json
import sys
import time
from pathlib import Path

import pytest
import torch
from helpers.commands import run_command
from torch import nn

from lvt_dense import build_backbone
from lvt_dense.apis import benchmark as module
from lvt_dense.apis.benchmark import (
    Measurement,
    benchmark,
    format_measurements,
    measure,
)
from lvt_dense.apis.benchmark_subjects import Subject
from lvt_dense.models.layers import fold_batch_norms
from lvt_dense.utils.install import find_source


def test_statistics() -> None:
    found = Measurement('a', 'eager', [0.4, 0.1, 0.2, 0.3, 0.9])
    assert found.median == 0.3 and found.p90 == 0.9


def test_subjects_and_modes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, 'PAUSE', 0.0)
    out = tmp_path / 'speed.json'
    found = benchmark(
        ['mobilevit_xxs', 'emo_1m'],
        size=(64, 64),
        modes=('eager', 'folded', 'channels_last', 'fp16', 'bf16'),
        rounds=2,
        out=str(out),
    )
    assert len(found) == 10 and found[0].ratio == 1
    assert all(len(m.seconds) == 2 and m.median > 0 for m in found)
    content = json.loads(out.read_text())
    assert [row['mode'] for row in content['rows'][:2]] == ['eager', 'folded']
    assert out.with_suffix('.png').stat().st_size > 1000
    assert format_measurements(found, 1).count('| emo_1m |') == 5


def test_a_pause_and_another_clock() -> None:
    ticks = iter(range(10))
    subject = Subject('a', 'eager', lambda: None)
    start = time.perf_counter()
    found = measure([subject], 2, clock=lambda: float(next(ticks)), pause=0.01)
    assert time.perf_counter() - start >= 0.02
    assert found[0].seconds == [1.0, 1.0] and next(ticks) == 4


@pytest.mark.parametrize(
    ('args', 'text'),
    [
        (['mobilevit_xx'], 'did you mean mobilevit_xxs'),
        (['emo_1m', '--modes', 'fast'], 'choose from eager'),
        (['emo_1m', '--rounds', '0'], '1 or more'),
        (['emo_1m', '--size', '64'], 'give HxW'),
        (['none.onnx'], 'does not exist'),
    ],
)
def test_bad_arguments(
    args: list[str], text: str, capsys: pytest.CaptureFixture
) -> None:
    assert run_command('benchmark', *args) == 2
    assert text in capsys.readouterr().err


def test_optional_packages_say_what_failed(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'timm', None)
    assert run_command('benchmark', 'timm:resnet18') == 2
    assert capsys.readouterr().err == (
        'error: timm:resnet18 needs timm, which is not installed: pip '
        f'install {find_source("timm")}\n'
    )


class Branches(nn.Module):
    """Norms that registration order says nothing of."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.second = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)  # of a sum
        self.third = nn.Conv2d(4, 4, 1)
        self.after = NormWithAct(4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.first(x) + self.second(x))
        return self.after(self.third(x))


class NormWithAct(nn.BatchNorm2d):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(super().forward(x))


def test_folding_keeps_what_is_computed() -> None:
    torch.manual_seed(0)
    model = Branches()
    image = torch.randn(4, 3, 8, 8)
    for _ in range(3):
        model(image)  # statistics
    model.eval()
    folded = fold_batch_norms(copy.deepcopy(model), image)
    assert torch.allclose(folded(image), model(image), atol=1e-5)
    assert not isinstance(folded.after, nn.BatchNorm2d)
    assert isinstance(folded.norm, nn.BatchNorm2d)


def test_folding_folds_our_families() -> None:
    model = build_backbone('mobilevit_xxs').eval()
    folded = fold_batch_norms(model, torch.randn(1, 3, 64, 64))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
