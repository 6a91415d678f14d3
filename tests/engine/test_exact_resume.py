"""A resumed training repeats the one that never stopped."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.commands import forget_runs
from helpers.processes import free_port, set_rank
from mmengine.config import Config
from mmengine.dataset import BaseDataset, DefaultSampler, InfiniteSampler
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from torch import Tensor, nn
from torch.multiprocessing import spawn

from lvt_dense.apis.train import train
from lvt_dense.datasets.exact_resume import ReplayBatchSampler, SeededIndex
from lvt_dense.datasets.samplers import SizedIndex
from lvt_dense.engine.exact_resume import replay_from, use_exact_resume
from lvt_dense.engine.runner import explain_errors
from lvt_dense.utils.errors import UserError

ITEMS = 11


@DATASETS.register_module()
class NoisyNumbers(BaseDataset):
    """Numbers, each with fresh noise."""

    def load_data_list(self) -> list[dict]:
        return [dict(number=i) for i in range(ITEMS)]

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=torch.full((4,), index / ITEMS) + torch.rand(4),
                    number=int(index))  # fmt: skip


@MODELS.register_module()
class DroppingModel(BaseModel):
    """A linear layer behind dropout, which notes what it is given."""

    seen: list[int] = []

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(
        self, inputs: list[Tensor], number: Any, mode: str = 'loss'
    ) -> dict[str, Tensor]:
        self.seen.extend(map(int, number))
        x = nn.functional.dropout(torch.stack(list(inputs)))
        return dict(loss=(self.layer(x) - 1).square().mean())


def make_cfg(infinite: bool, workers: int = 0) -> Config:
    sampler = 'InfiniteSampler' if infinite else 'DefaultSampler'
    loop = dict(by_epoch=True, max_epochs=3)
    if infinite:
        loop = dict(by_epoch=False, max_iters=9)
    return Config(
        dict(
            model=dict(type='DroppingModel'),
            train_dataloader=dict(
                batch_size=3,
                num_workers=workers,
                sampler=dict(type=sampler, shuffle=True),
                dataset=dict(type='NoisyNumbers', lazy_init=False),
            ),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
            train_cfg=loop,
            default_hooks=dict(
                checkpoint=dict(
                    type='CheckpointHook', interval=1, by_epoch=False
                ),
                logger=dict(type='LoggerHook', interval=1),
            ),
            default_scope='mmengine',
        )
    )


def run(work_dir: Path, cfg: Config, **options: Any) -> dict[str, Tensor]:
    """Train; return the weights, and leave what was seen in the model."""
    forget_runs()
    DroppingModel.seen.clear()
    runner = train(cfg, work_dir=str(work_dir), **options)
    return {k: v.clone() for k, v in runner.model.state_dict().items()}


@pytest.mark.parametrize('infinite', [False, True])
@pytest.mark.parametrize(
    'workers', [0, pytest.param(2, marks=pytest.mark.release)]
)
def test_weights_are_those_of_an_uninterrupted_run(
    tmp_path: Path, infinite: bool, workers: int
) -> None:
    options = dict(exact_resume=True, seed=0)
    whole = run(tmp_path / 'a', make_cfg(infinite, workers), **options)
    seen = list(DroppingModel.seen)
    # Iteration 6 is in the middle of the second of 3 epochs of 4.
    resumed = run(
        tmp_path / 'b',
        make_cfg(infinite, workers),
        resume=str(tmp_path / 'a' / 'iter_6.pth'),
        **options,
    )
    if not infinite:
        assert len(seen) == 33 and DroppingModel.seen == seen[11 + 6 :]
    else:
        assert DroppingModel.seen == seen[6 * 3 :]
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name


@pytest.mark.release
def test_order_and_seed_without_the_option(tmp_path: Path) -> None:
    run(tmp_path / 'a', make_cfg(False))  # with a seed that nobody chose
    seen = list(DroppingModel.seen)
    run(
        tmp_path / 'b',
        make_cfg(False),
        resume=str(tmp_path / 'a' / 'iter_6.pth'),
    )
    assert DroppingModel.seen == seen[17:]
    (log,) = (tmp_path / 'b').rglob('scalars.json')
    first = log.read_text().splitlines()[0]
    assert '"iter": 7' in first or '"step": 7' in first


def make_sampler(**options: Any) -> ReplayBatchSampler:
    data = NoisyNumbers()
    sampler = DefaultSampler(data, shuffle=True, seed=3)
    return ReplayBatchSampler(sampler, 4, **options)


def test_epochs_of_varying_length_are_entered_in_the_middle() -> None:
    variable = dict(type='lvt_dense.VariableBatchSampler', base_size=(64, 64))
    whole, lengths = make_sampler(batch_sampler=variable), []
    for epoch in range(4):
        whole.sampler.set_epoch(epoch)
        batches = list(whole)
        lengths.append(len(batches))
        assert len(whole) == len(batches)
    assert len(set(lengths)) > 1
    late = make_sampler(
        batch_sampler=variable,
        done_epochs=3,
        done_iters=sum(lengths[:3]) + 1,
    )
    assert late.first == 1
    late.sampler.set_epoch(3)
    assert list(late) == batches[1:]
    assert list(late) == batches  # from the next epoch on, all of it
    index, seed = batches[0][0]
    assert isinstance(index, SizedIndex) and seed >= 0


def test_seeds_differ_by_datum_and_epoch() -> None:
    sampler = make_sampler()
    seeds = set()
    for epoch in range(2):
        sampler.sampler.set_epoch(epoch)
        seeds |= {index.seed for batch in sampler for index in batch}
    assert len(seeds) == 2 * ITEMS


def test_seeded_data_do_not_depend_on_their_order() -> None:
    data = make_sampler().sampler.dataset
    indices = [SeededIndex(3, 5), SeededIndex(4, 6)]
    one, two = data.__getitems__(indices)
    other, again = data.__getitems__(indices[::-1])
    assert torch.equal(one['inputs'], again['inputs'])
    assert torch.equal(two['inputs'], other['inputs'])


def test_foreign_batches_begin_with_the_epoch() -> None:
    # 3 batches an epoch: no run of these was at iteration 40 in epoch 2.
    assert make_sampler(done_epochs=2, done_iters=40).first == 0


def test_infinite_sampler_goes_on() -> None:
    def batches(done: int) -> list:
        sampler = InfiniteSampler(NoisyNumbers(), seed=1)
        drawn = iter(ReplayBatchSampler(sampler, 4, done_iters=done))
        return [next(drawn) for _ in range(9 - done)]

    assert batches(5) == batches(0)[5:]


def test_what_a_config_becomes() -> None:
    cfg = make_cfg(False)
    cfg.train_dataloader.drop_last = True
    cfg.randomness = dict(seed=4, deterministic=True)
    use_exact_resume(cfg)
    sampler = cfg.train_dataloader.batch_sampler
    assert sampler.drop_last and 'drop_last' not in cfg.train_dataloader
    replay_from(cfg, dict(epoch=1, iter=6, seed=9))
    assert cfg.randomness.seed == 4
    assert (sampler.done_epochs, sampler.done_iters) == (1, 6)
    # A recipe that saves whole epochs is left alone.
    plain = make_cfg(False)
    plain.default_hooks.checkpoint.by_epoch = True
    replay_from(plain, dict(epoch=1, iter=6, seed=9))
    assert plain.randomness == dict(seed=9)
    assert 'batch_sampler' not in plain.train_dataloader


def test_sampler_of_nothing() -> None:
    with pytest.raises(UserError, match='does not say what it samples'):
        ReplayBatchSampler(torch.utils.data.BatchSampler([1], 1, False), 2)


@DATASETS.register_module()
class DeadlyNumbers(NoisyNumbers):
    """Numbers, during the 20th of which the system kills the worker."""

    loaded = 0

    def __getitem__(self, index: int) -> dict:
        self.loaded += 1
        if self.loaded == 20:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__getitem__(index)


def test_killed_worker_loses_nothing(tmp_path: Path) -> None:
    options = dict(exact_resume=True, seed=0)
    whole = run(tmp_path / 'a', make_cfg(True), **options)
    cfg = make_cfg(True, workers=1)
    cfg.train_dataloader.dataset.type = 'DeadlyNumbers'
    with pytest.raises(UserError) as error:
        run(tmp_path / 'b', cfg, **options)
    line = str(error.value)
    assert re.match(r'process \d+, which loaded data, was ended', line)
    assert re.search(r'iter_\d\.pth is whole', line)
    assert line.endswith('then go on with --resume')
    rest = run(tmp_path / 'b', make_cfg(True), resume=True, **options)
    for name, value in whole.items():
        assert torch.equal(rest[name], value), name


def test_lost_connection_is_a_killed_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def report(seconds: float) -> None:
        raise RuntimeError('DataLoader worker (pid 7) is killed by signal: ')

    monkeypatch.setattr('time.sleep', report)
    line = 'process 7, which loaded data'
    with pytest.raises(UserError, match=line), explain_errors(Config()):
        raise ConnectionResetError


def train_in_process(
    rank: int, folder: Path, port: int, resume: str | None
) -> None:
    """Train in one of two processes, and leave what it saw."""
    set_rank(rank, 2, port)
    cfg = make_cfg(False)
    cfg.optim_wrapper.accumulative_counts = 2
    cfg.custom_hooks = [dict(type='EMAHook')]
    weights = run(
        folder,
        cfg,
        launcher='pytorch',
        exact_resume=True,
        seed=0,
        resume=resume or False,
    )
    torch.save((DroppingModel.seen, weights), folder / f'{rank}.pt')


def train_in_two(
    folder: Path, resume: str | None = None
) -> list[tuple[list[int], dict[str, Tensor]]]:
    """Train, each time in new processes, which cannot share a port."""
    spawn(train_in_process, (folder, free_port(), resume), nprocs=2)
    return [torch.load(folder / f'{rank}.pt') for rank in range(2)]


@pytest.mark.release
def test_two_processes(tmp_path: Path) -> None:
    whole = train_in_two(tmp_path / 'a')
    again = train_in_two(tmp_path / 'b', str(tmp_path / 'a' / 'iter_2.pth'))
    for rank, (seen, weights) in enumerate(whole):
        assert len(seen) == 18  # 3 epochs of 6: one of the 11 comes twice
        for name, value in weights.items():
            assert torch.equal(again[rank][1][name], value), name
            assert torch.equal(whole[0][1][name], value), name
    seen = [seen for seen, _ in whole]
    for epoch in range(3):
        part = slice(6 * epoch, 6 * epoch + 6)
        assert {*seen[0][part], *seen[1][part]} == {*range(ITEMS)}
