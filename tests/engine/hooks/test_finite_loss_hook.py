"""A loss that is not finite stops the training, or is left out."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from helpers.processes import free_port, join_processes
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.multiprocessing import spawn
from torch.optim.optimizer import register_optimizer_step_post_hook

from lvt_dense.engine.hooks import FiniteLossHook
from lvt_dense.engine.hooks import finite_loss_hook as module
from lvt_dense.engine.hooks.finite_loss_hook import parse_on_nan
from lvt_dense.utils.errors import UserError


class Toy(BaseModel):
    """A linear layer behind a batch norm, trained to give the input's mean."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.norm = nn.BatchNorm1d(4)
        self.linear = nn.Linear(4, 1)

    def forward(
        self, inputs: Tensor, data_samples: list, mode: str = 'loss'
    ) -> dict[str, Tensor]:
        """Losses by name, of which the second is always finite."""
        error = self.linear(self.norm(inputs)) - inputs.mean(1, keepdim=True)
        return dict(
            loss_mean=error.square().mean(), loss_aux=inputs.new_ones(1)
        )


class Images(torch.utils.data.Dataset):
    """Eight inputs by name, some of them broken."""

    def __init__(self, broken: tuple[int, ...]) -> None:
        generator = torch.Generator().manual_seed(1)
        self.values = torch.randn(8, 4, generator=generator)
        self.values[list(broken)] = torch.nan

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> dict:
        sample = SimpleNamespace(img_path=f'image_{index}.jpg')
        return dict(inputs=self.values[index], data_samples=sample)


def collate(items: list[dict]) -> dict:
    """Stack the inputs; samples stay a list."""
    return dict(
        inputs=torch.stack([item['inputs'] for item in items]),
        data_samples=[item['data_samples'] for item in items],
    )


def train(
    work_dir: Path,
    on_nan: str,
    broken: tuple[int, ...] = (),
    accumulative_counts: int = 1,
    launcher: str = 'none',
    **optimizer: object,
) -> Runner:
    """Train for one epoch of batches of two."""
    runner = Runner(
        model=Toy(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            dataset=Images(broken),
            collate_fn=collate,
        ),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(
            optimizer=dict(dict(type='SGD', lr=0.1), **optimizer),
            accumulative_counts=accumulative_counts,
        ),
        default_hooks=dict(
            finite=dict(type='lvt_dense.FiniteLossHook', on_nan=on_nan)
        ),
        experiment_name=work_dir.name,
        launcher=launcher,
        cfg=dict(
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel',
                device_ids=None,
                broadcast_buffers=False,
            )
        ),
    )
    runner.train()
    return runner


def weights(runner: Runner) -> dict[str, Tensor]:
    """All tensors of the model but the counter of batches."""
    state = getattr(runner.model, 'module', runner.model).state_dict()
    return {k: v for k, v in state.items() if 'num_batches' not in k}


def test_stop_names_loss_and_images(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        train(tmp_path, 'stop', broken=(5,))
    message = str(caught.value)
    assert 'loss_mean of iteration 3 is not finite' in message
    assert 'loss_aux' not in message
    assert '\n' not in message
    (entry,) = json.loads((tmp_path / 'not_finite.json').read_text())
    assert entry['images'] == ['image_4.jpg', 'image_5.jpg']
    assert entry['losses']['loss_mean'] == 'nan'
    assert (entry['iteration'], entry['epoch']) == (3, 1)
    assert not list(tmp_path.glob('*.pth'))


def far_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hook take the CPU for a device that is waited for."""
    monkeypatch.setattr(module, '_needs_wait', lambda device: True)


@pytest.mark.parametrize('kind', ['SGD', 'AdamW'])
@pytest.mark.parametrize('broken', [5, 7])
def test_fused_optimizer_skips_the_update_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, broken: int
) -> None:
    """It is found one step later, and at the end of the epoch."""
    far_device(monkeypatch)
    seen = []

    def step(own: torch.optim.Optimizer, *args: object) -> None:
        value = own.param_groups[0]['params'][-1]
        seen.append((float(own.found_inf), value.detach().clone()))

    hook = register_optimizer_step_post_hook(step)
    try:
        with pytest.raises(UserError, match='loss_mean of iteration'):
            train(tmp_path, 'stop', (broken,), type=kind, fused=True)
    finally:
        hook.remove()
    flags = [flag for flag, _ in seen]
    assert flags == [0.0] * (broken // 2) + [1.0]
    assert torch.equal(seen[-1][1], seen[-2][1])
    assert not torch.equal(seen[-2][1], seen[-3][1])
    (entry,) = json.loads((tmp_path / 'not_finite.json').read_text())
    assert entry['iteration'] == broken // 2 + 1
    assert f'image_{broken}.jpg' in entry['images']
    assert not list(tmp_path.glob('*.pth'))


def test_other_optimizers_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    far_device(monkeypatch)
    with pytest.raises(UserError, match='of iteration 2'):
        train(tmp_path, 'stop', broken=(2,))


def test_no_wait_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = weights(train(tmp_path / 'a', 'stop', fused=True))
    far_device(monkeypatch)
    found = weights(train(tmp_path / 'b', 'stop', fused=True))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize('accumulative_counts', [1, 2, 4])
def test_skipped_batch_leaves_no_trace(
    tmp_path: Path, accumulative_counts: int
) -> None:
    runner = train(
        tmp_path / 'skip',
        'skip:1',
        broken=(2,),
        accumulative_counts=accumulative_counts,
    )
    assert (tmp_path / 'skip' / 'epoch_1.pth').is_file()
    model = Toy()
    values = Images(()).values
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(4):
        if step != 1:
            batch = values[2 * step : 2 * step + 2]
            loss, _ = model.parse_losses(model(batch, []))
            (loss / accumulative_counts).backward()
        if (step + 1) % accumulative_counts == 0:
            optimizer.step()
            optimizer.zero_grad()
    expected = model.state_dict()
    for name, value in weights(runner).items():
        torch.testing.assert_close(value, expected[name])


def test_too_many_are_not_skipped(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='after 1 before it'):
        train(tmp_path, 'skip:1', broken=(1, 6))
    entries = json.loads((tmp_path / 'not_finite.json').read_text())
    assert [entry['iteration'] for entry in entries] == [1, 4]


def test_finite_training_is_left_alone(tmp_path: Path) -> None:
    watched = weights(train(tmp_path / 'a', 'stop'))
    skipping = weights(train(tmp_path / 'b', 'skip:3'))
    for name, value in watched.items():
        assert torch.equal(value, skipping[name])
    assert not (tmp_path / 'a' / 'not_finite.json').exists()


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    runner = train(tmp_path, 'stop')
    before = (tmp_path / 'epoch_1.pth').read_bytes()
    with torch.no_grad():
        runner.model.linear.weight[0, 0] = torch.inf
    with pytest.raises(UserError, match='linear.weight is not finite'):
        runner.save_checkpoint(str(tmp_path), 'epoch_1.pth')
    assert (tmp_path / 'epoch_1.pth').read_bytes() == before


def test_options() -> None:
    assert parse_on_nan('stop') == 0
    assert parse_on_nan('skip:12') == 12
    for value in ('skip', 'skip:0', 'skip:-1', 'go', ''):
        with pytest.raises(UserError, match='--on-nan'):
            FiniteLossHook(value)


def run_process(rank: int, folder: str, port: int) -> None:
    """Train in one of two processes; the second one has the bad image."""
    join_processes(rank, 2, port)
    runner = train(Path(folder), 'skip:1', broken=(3,), launcher='pytorch')
    torch.save(weights(runner), Path(folder, f'rank_{rank}.pt'))


@pytest.mark.release
def test_processes_skip_together(tmp_path: Path) -> None:
    spawn(run_process, (str(tmp_path), free_port()), nprocs=2)
    (entry,) = json.loads((tmp_path / 'not_finite.json').read_text())
    names = ['image_0.jpg', 'image_1.jpg', 'image_2.jpg', 'image_3.jpg']
    assert entry['images'] == names
    states = [torch.load(tmp_path / f'rank_{rank}.pt') for rank in range(2)]
    for name, value in states[0].items():
        assert value.isfinite().all()
        if 'running' not in name:
            torch.testing.assert_close(value, states[1][name])
