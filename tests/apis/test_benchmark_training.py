"""Measurements of training steps. No figure is held."""

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.commands import run_command
from mmengine.config import Config
from torch import nn

from lvt_dense.apis import benchmark_training as module
from lvt_dense.apis.benchmark_training import StepTimer, benchmark_training
from lvt_dense.config import load_config
from lvt_dense.engine.hooks.compile_hook import CompiledForward
from lvt_dense.scenes import write_coco
from lvt_dense.utils.errors import UserError

RECIPE = 'lvt_dense::ssdlite_mobilevit_xxs_320_coco.py'
PARTS = [
    'waiting for data',
    'batch to device',
    'forward',
    'loss and targets',
    'backward',
    'optimizer',
]


def small(cfg: Config) -> list[str]:
    """Options that make the images of the recipe small."""
    pipeline = cfg.train_pipeline
    index = next(i for i, s in enumerate(pipeline) if s.type == 'Resize')
    key = f'train_dataloader.dataset.pipeline.{index}.scale'
    return ['--cfg-options', f'{key}=(64,64)']


def test_rendered_data(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(module, 'RENDERED', 4)
    out = tmp_path / 'steps.json'
    status = run_command(
        'benchmark', RECIPE, '--train', '--steps', '2', '--batch', '2',
        '--workers', '0', '--device', 'cpu', '--out', out,
        *small(load_config(RECIPE)),
    )  # fmt: skip
    assert status == 0
    text = capsys.readouterr().out
    assert 'batches of 2 on cpu, 2 steps: ' in text
    assert [line for line in text.splitlines() if 'takes most: ' in line]
    found = json.loads(out.read_text())
    assert list(found['seconds']) == PARTS
    assert all(seconds > 0 for seconds in found['seconds'].values())
    assert found['images_per_second'] > 0 and found['memory'] > 0


def test_data_of_a_folder_and_options_of_training(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    compiled = []

    def compile_(function: Any, **_: Any) -> Any:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, 'compile', compile_)
    write_coco(tmp_path / 'coco', 4, size=(96, 64))
    status = run_command(
        'benchmark', RECIPE, '--train', '--steps', '1', '--batch', '2',
        '--workers', '0', '--device', 'cpu', '--amp', 'bf16', '--compile',
        '--data-root', tmp_path / 'coco', *small(load_config(RECIPE)),
    )  # fmt: skip
    assert status == 0
    assert '| forward | ' in capsys.readouterr().out
    assert len(compiled) == 2


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        (('emo_1m', 'emo_2m', '--train'), 'one config'),
        (('emo_1m', '--steps', '3'), '--steps is used with --train only'),
        (('emo_1m', '--train', '--rounds', '3'), '--rounds is used without'),
        ((RECIPE, '--train', '--steps', '0'), '--steps 0'),
        (('emo_1m', '--modes', 'cudagraph'), 'needs --device cuda'),
    ],
)
def test_what_is_refused(
    args: tuple, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command('benchmark', *args) == 2
    assert words in capsys.readouterr().err


def test_data_that_cannot_be_rendered() -> None:
    cfg = load_config(RECIPE)
    cfg.train_dataloader.dataset.type = 'LVISDataset'
    with pytest.raises(UserError, match='give --data-root or --data'):
        benchmark_training(cfg, has_data=False)


@pytest.mark.parametrize(('most', 'count'), [(1e9, 5), (0.0, 1)])
def test_steps_are_timed_until_the_time_is_over(
    most: float, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[float] = []

    def step() -> None:
        taken.append(0.001 * (len(taken) + 1))
        time.sleep(taken[-1])

    monkeypatch.setattr(module, '_prepared', lambda *_: nullcontext())
    monkeypatch.setattr(module, '_prepare_step', lambda *_: step)
    seconds = module.time_step(Config(), 3, most)
    assert len(taken) == count
    assert seconds >= (taken[3] if count == 5 else taken[0])


class Sleeping(nn.Module):
    """A module that takes its time, in seconds."""

    def __init__(self, seconds: float, has_weights: bool) -> None:
        super().__init__()
        self.seconds = seconds
        if has_weights:
            self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the input, later."""
        time.sleep(self.seconds)
        return x


class Updates:
    """As much of an optimizer as is timed."""

    def backward(self) -> None:
        """Take 30 ms, and update the weights within."""
        time.sleep(0.03)
        self.step()

    def step(self) -> None:
        """Take 10 ms."""
        time.sleep(0.01)

    def zero_grad(self) -> None:
        """Do nothing."""


def test_parts_are_told_apart() -> None:
    model = nn.Sequential(Sleeping(0.02, True), Sleeping(0.04, False))
    updates, timer = Updates(), StepTimer('cpu')
    timer.tell_apart(model, updates)
    with timer.part('loss and targets'):
        model(torch.zeros(1, 1))
        updates.backward()
    seconds = timer.seconds
    assert seconds['forward'] >= 0.02
    assert seconds['loss and targets'] >= 0.04
    assert seconds['backward'] >= 0.03 and seconds['optimizer'] >= 0.01


def test_no_clock_in_a_compiled_part() -> None:
    model = nn.ModuleDict(dict(backbone=nn.Sequential(nn.Linear(2, 2))))
    backbone: Any = model['backbone']
    backbone.forward = CompiledForward(
        backbone, 'backbone', backend='eager', fullgraph=True
    )
    StepTimer('cpu').tell_apart(model, Updates())
    backbone.train()(torch.zeros(1, 2))
    assert backbone.forward.compiled is not None
