"""Losses that are fetched late give the same log."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.commands import forget_runs
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn

from lvt_dense.engine.hooks import runtime_info_hook as module


class Toy(BaseModel):
    """A linear layer that is trained to give 1."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(4, 1)

    def forward(self, inputs: Tensor, mode: str = 'loss') -> dict[str, Tensor]:
        """One loss, and a number that is none."""
        error = self.linear(inputs) - 1
        return dict(loss_a=error.square().mean(), size=error.abs().mean())


class Numbers(torch.utils.data.Dataset):
    """Seven inputs."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=torch.full((4,), index / 7))


def run(folder: Path, kind: str, by_epoch: bool, checkpoint: Any) -> tuple:
    """Train; return the log and what a checkpoint holds of it."""
    forget_runs()
    length = dict(max_epochs=2) if by_epoch else dict(max_iters=14)
    runner = Runner(
        model=Toy(),
        work_dir=str(folder),
        train_dataloader=dict(
            batch_size=1,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=Numbers(),
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=dict(by_epoch=by_epoch, **length),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        default_hooks=dict(
            runtime_info=dict(type=kind),
            logger=dict(type='LoggerHook', interval=3, ignore_last=False),
            checkpoint=dict(type='CheckpointHook', **checkpoint),
        ),
        log_processor=dict(window_size=3, by_epoch=by_epoch),
        log_level='ERROR',
    )
    runner.train()
    (path,) = folder.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    saved = torch.load(next(folder.glob('*_[457].pth')), weights_only=False)
    history = saved['message_hub']['log_scalars']['train/loss_a']._log_history
    kept = ('loss', 'loss_a', 'size', 'step')
    return [{k: line[k] for k in kept} for line in lines], history.tolist()


@pytest.mark.parametrize(
    ('by_epoch', 'checkpoint'),
    [
        (True, dict(interval=4, by_epoch=False, max_keep_ckpts=5)),
        (False, dict(interval=5, by_epoch=False, max_keep_ckpts=5)),
    ],
)
def test_log_and_checkpoints_are_the_same(
    tmp_path: Path, by_epoch: bool, checkpoint: dict
) -> None:
    expected = run(tmp_path / 'a', 'RuntimeInfoHook', by_epoch, checkpoint)
    lazy = 'lvt_dense.LazyRuntimeInfoHook'
    found = run(tmp_path / 'b', lazy, by_epoch, checkpoint)
    assert found == expected
    assert len(expected[1]) == checkpoint['interval']


def test_few_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps 3, 6, 7, 9, 10, 12, 13 and 14 fetch: logged, saved, or last."""
    fetch, counts = module._fetch_at_once, []

    def count(tensors: list[Tensor]) -> list[float]:
        counts.append(len(tensors))
        return fetch(tensors)

    monkeypatch.setattr(module, '_fetch_at_once', count)
    checkpoint = dict(interval=7, by_epoch=False)
    run(tmp_path, 'lvt_dense.LazyRuntimeInfoHook', True, checkpoint)
    # Each step has three values.
    assert [n // 3 for n in counts if n] == [3, 3, 1, 2, 1, 2, 1, 1]
