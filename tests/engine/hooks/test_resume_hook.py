"""A training that goes on follows the schedule of its config."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.commands import forget_runs, skip_beautifier
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, MODELS
from mmengine.runner import Runner
from torch import Tensor, nn

from lvt_dense.apis.train import train
from lvt_dense.utils.errors import UserError


@MODELS.register_module(force=True)
class ResumeModel(BaseModel):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(1, 1)

    def forward(
        self, inputs: list[Tensor], mode: str = 'loss'
    ) -> dict[str, Tensor]:
        return dict(loss=self.backbone(torch.stack(inputs)).square().mean())


@DATASETS.register_module(force=True)
class ResumeDataset(torch.utils.data.Dataset):
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


@pytest.fixture(autouse=True)
def plain_dumps(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_beautifier(monkeypatch)


def run(
    folder: Path, epochs: int, resume: bool = False, **changes: Any
) -> Any:
    """Train; return the learning rate by iteration, and the optimizer."""
    RateHook.rates = {}
    cfg = Config(
        dict(
            default_scope='mmengine',
            model=dict(type='ResumeModel'),
            train_dataloader=dict(
                batch_size=2,
                num_workers=0,
                dataset=dict(type='ResumeDataset'),
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
    return max(folder.glob('*/*.log')).read_text()


def test_a_longer_schedule_is_followed(tmp_path: Path) -> None:
    whole, _ = run(tmp_path / 'whole', 6)
    run(tmp_path / 'parts', 2)
    rest, _ = run(tmp_path / 'parts', 6, resume=True)
    assert list(rest) == list(range(6, 18))
    for step, rate in rest.items():
        assert rate == pytest.approx(whole[step])
    log = log_of(tmp_path / 'parts')
    assert f'is followed from here: learning rate {whole[6]:.4g}, ' in log


def test_the_same_schedule_is_left_alone(tmp_path: Path) -> None:
    whole, _ = run(tmp_path / 'whole', 3)
    (tmp_path / 'whole/epoch_3.pth').unlink()
    rest, _ = run(tmp_path / 'whole', 3, resume=True)
    assert rest == {step: whole[step] for step in (6, 7, 8)}
    assert 'is followed from here' not in log_of(tmp_path / 'whole')


def test_settings_of_the_optimizer_follow(tmp_path: Path) -> None:
    changes = {
        'optim_wrapper.optimizer.lr': 0.2,
        'optim_wrapper.optimizer.weight_decay': 0.5,
    }
    whole, _ = run(tmp_path / 'whole', 2, **changes)
    run(tmp_path / 'parts', 1, **{'param_scheduler.1.T_max': 2})
    rest, group = run(tmp_path / 'parts', 2, resume=True, **changes)
    assert rest == pytest.approx({step: whole[step] for step in (3, 4, 5)})
    assert group['weight_decay'] == 0.5
    assert 'weight_decay 0.5, and not 0.01' in log_of(tmp_path / 'parts')


def test_an_epoch_of_another_length(tmp_path: Path) -> None:
    changes = {'train_dataloader.batch_size': 1}
    whole, _ = run(tmp_path / 'whole', 2, **changes)
    run(tmp_path / 'parts', 1)
    rest, _ = run(tmp_path / 'parts', 2, resume=True, **changes)
    assert rest == pytest.approx({step: whole[step] for step in range(6, 12)})
    log = log_of(tmp_path / 'parts')
    assert 'an epoch has 6 iterations, and had 3 before' in log


def test_other_classes_are_refused(tmp_path: Path) -> None:
    run(tmp_path, 1)
    with pytest.raises(
        UserError, match='classes a, b, and the data have b, a'
    ):
        run(
            tmp_path,
            2,
            resume=True,
            **{'train_dataloader.dataset.classes': ('b', 'a')},
        )
