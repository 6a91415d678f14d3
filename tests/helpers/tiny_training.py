"""A training of milliseconds through ``lvt_dense.apis.train``."""

from pathlib import Path
from typing import Any

import torch
from helpers.commands import forget_runs
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS
from mmengine.runner import Runner
from torch import Tensor, nn

from lvt_dense.apis.train import train


@MODELS.register_module(force=True)
class TinyModel(BaseModel):
    def __init__(self, is_normed: bool = False) -> None:
        super().__init__()
        self.backbone = nn.Linear(1, 1)
        self.norm = nn.BatchNorm1d(1) if is_normed else nn.Identity()

    def forward(self, inputs: list[Tensor], mode: str = 'loss') -> Any:
        found = self.norm(self.backbone(torch.stack(inputs)))
        return [found] if mode == 'predict' else dict(loss=found.mean())


@DATASETS.register_module(force=True)
class TinyDataset(torch.utils.data.Dataset):
    def __init__(self, count: int = 6, classes: tuple = ('a', 'b')) -> None:
        self.count = count
        self.metainfo = dict(classes=classes)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return dict(inputs=torch.ones(1))


@HOOKS.register_module(force=True)
class RateHook(Hook):
    """Notes the learning rate of every iteration."""

    rates: dict[int, float]

    def before_train_iter(self, runner: Runner, *args: Any, **kw: Any) -> None:
        rate = runner.optim_wrapper.optimizer.param_groups[0]['lr']
        type(self).rates[runner.iter] = rate


@METRICS.register_module(force=True)
class TinyMetric(BaseMetric):
    """Measures 1, 2, 3, ... in one validation after another, under a name."""

    count = 0

    def __init__(self, name: str = 'mIoU') -> None:
        super().__init__()
        self.name = name

    def process(self, data_batch: Any, data_samples: Any) -> None:
        self.results.append(1)

    def compute_metrics(self, results: list) -> dict[str, float]:
        type(self).count += 1
        return {self.name: float(self.count)}


def run_tiny(
    folder: Path, epochs: int, resume: bool = False, **changes: Any
) -> Any:
    """Train; return the learning rate by iteration, and the optimizer."""
    RateHook.rates = {}
    cfg = Config(
        dict(
            default_scope='mmengine',
            model=dict(type='TinyModel'),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                dataset=dict(type='TinyDataset'),
                sampler=dict(type='DefaultSampler', shuffle=False),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=dict(
                optimizer=dict(type='SGD', lr=0.1, weight_decay=0.01)
            ),
            param_scheduler=[
                dict(type='LinearLR', start_factor=0.1, by_epoch=False, end=2),
                dict(
                    type='CosineAnnealingLR',
                    T_max=epochs,
                    by_epoch=True,
                    convert_to_iter_based=True,
                ),
                dict(type='StepLR', step_size=3, gamma=0.5),
            ],
            custom_hooks=[dict(type='RateHook')],
        )
    )
    cfg.merge_from_dict(changes)
    forget_runs()
    runner = train(cfg, work_dir=str(folder), resume=resume)
    return RateHook.rates, runner.optim_wrapper.optimizer.param_groups[0]


def log_of(folder: Path) -> str:
    """Return the log of the last run in a folder."""
    return max(folder.glob('*/*.log')).read_text()
