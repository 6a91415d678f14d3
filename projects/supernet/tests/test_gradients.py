"""Divergence and merged gradients, against the official code's figures."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapper
from supernet import optim_wrapper
from supernet.divergence import alpha_divergence, binary_logits
from supernet.optim_wrapper import ConflictAwareOptimWrapper, merge_gradients
from torch import Tensor, nn

from lvt_dense.utils.errors import UserError

FIGURES = json.loads(
    Path(__file__).with_name('data').joinpath('divergence.json').read_text()
)


def draw(seed: int, shape: tuple) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def differences(found: Tensor, samples: list[float]) -> np.ndarray:
    """Of evenly spread entries."""
    places = np.linspace(0, found.numel() - 1, len(samples)).round()
    return np.abs(found.flatten().numpy()[places.astype(int)] - samples)


@pytest.mark.parametrize('case', FIGURES['loss'], ids=range(4))
def test_divergence_is_the_official_one(case: dict) -> None:
    shape = (case['batch'], case['classes'])
    student, teacher = (
        torch.from_numpy((case['scale'] * draw(seed, shape)).astype('f'))
        for seed in (case['seed'], case['seed'] + 1)
    )
    student.requires_grad_()
    loss = alpha_divergence(student, teacher).loss.mean()
    loss.backward()
    expected = case['surrogate_loss']
    assert loss.item() == pytest.approx(expected, rel=1e-5, abs=1e-5)
    norm = student.grad.norm().item()
    assert norm == pytest.approx(case['grad_norm'], rel=1e-5)
    assert differences(student.grad, case['grad_samples']).max() < 1e-5


@pytest.mark.parametrize('case', FIGURES['merge'], ids=range(4))
def test_merged_gradient_is_the_official_one(case: dict) -> None:
    rng = np.random.default_rng(case['seed'])
    sup = rng.standard_normal(case['shape'])
    sub = rng.standard_normal(case['shape']) + case['correlation'] * sup
    sup, sub = (torch.from_numpy(x.astype('f')) for x in (sup, sub))
    merged = merge_gradients(sub, sup)
    assert (sub * sup).sum().item() == pytest.approx(case['inner'], rel=1e-4)
    norm = merged.norm().item()
    assert norm == pytest.approx(case['merged_norm'], rel=1e-5)
    assert differences(merged, case['merged_samples']).max() < 1e-5


def test_divergence_is_zero_only_where_equal() -> None:
    logits = torch.randn(6, 4)
    same = alpha_divergence(logits, logits + 3)
    other = alpha_divergence(logits, logits.flip(-1))
    assert same.value.abs().max() < 1e-6
    assert (other.value > 0).all()
    pair = binary_logits(torch.tensor([2.0]))
    assert pair.softmax(-1)[0, 0] == torch.tensor(2.0).sigmoid()


def test_divergence_of_hopeless_logits_is_finite() -> None:
    student = torch.tensor([[200.0, -200.0]], requires_grad=True)
    found = alpha_divergence(student, torch.tensor([[-200.0, 200.0]]))
    found.loss.sum().backward()
    assert found.value.isfinite() and student.grad.isfinite().all()


def test_projection_removes_what_points_against() -> None:
    sub, sup = torch.tensor([1.0, 0.0]), torch.tensor([-0.5, 2.0])
    merged = merge_gradients(sub, sup, None)
    assert torch.allclose(merged, torch.tensor([1.0, 2.0]), atol=1e-5)
    # Without a conflict the gradients are added; the limit holds.
    assert merge_gradients(sub, -sup).tolist() == [1.5, -2.0]
    assert merge_gradients(sub, 9 * sup, 2.0).tolist() == [-1.5, 18.0]


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shared = nn.Parameter(torch.zeros(2))
        self.alone = nn.Parameter(torch.zeros(1))

    def loss(self, x: Tensor) -> Tensor:
        return (self.shared * x).sum()

    def supernet_loss(self, x: Tensor) -> Tensor:
        return self.loss(x) + 3 * self.alone.sum()


def make_wrapper(model: Model, **kwargs: object) -> ConflictAwareOptimWrapper:
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    kwargs = dict(clip_subnets=None, **kwargs)
    return ConflictAwareOptimWrapper(optimizer, **kwargs)


def test_parameter_that_only_the_supernet_uses_counts_once() -> None:
    model = Model()
    wrapper = make_wrapper(model)
    ones = torch.ones(2)
    for _ in range(2):  # the gradients of the first step are gone
        wrapper.update_params(
            model.supernet_loss(ones), (model.loss(ones) for _ in range(3))
        )
    assert model.shared.tolist() == [-8.0, -8.0]
    assert model.alone.tolist() == [-6.0]


def test_update_projects_each_tensor_by_itself() -> None:
    model = Model()
    wrapper = make_wrapper(model)
    wrapper.is_watched = True
    sup, sub = torch.tensor([-0.5, 2.0]), torch.tensor([1.0, 0.0])
    wrapper.update_params(model.supernet_loss(sup), [model.loss(sub)])
    assert torch.allclose(model.shared, torch.tensor([-1.0, -2.0]), atol=1e-5)
    assert wrapper.inner[0] == -0.5
    assert wrapper.inner[1].isnan()  # the sub-network does not use it


def test_update_without_projection_adds() -> None:
    for options in (dict(projection=False), dict(begin=1)):
        model = Model()
        wrapper = make_wrapper(model, **options)
        sup, sub = torch.tensor([-0.5, 2.0]), torch.tensor([1.0, 0.0])
        wrapper.update_params(model.loss(sup), [model.loss(sub)])
        assert model.shared.tolist() == [-0.5, -2.0]


def test_norm_of_the_subnetworks_is_clipped_alone() -> None:
    model = Model()
    wrapper = make_wrapper(model)
    wrapper.clip_subnets = 1.0
    big = torch.tensor([30.0, 40.0])
    wrapper.update_params(model.loss(big), [model.loss(big)])
    expected = -torch.tensor([30.6, 40.8])
    assert torch.allclose(model.shared, expected, atol=1e-4)


def test_accumulated_gradients_are_merged_once() -> None:
    model = Model()
    wrapper = make_wrapper(model, accumulative_counts=2)
    sups = torch.tensor([[-1.0, 2.0], [0.0, 2.0]])
    subs = torch.tensor([[2.0, 0.0], [0.0, 0.0]])
    for sup, sub in zip(sups, subs):
        before = model.shared.clone()
        wrapper.update_params(model.loss(sup), [model.loss(sub)])
    assert before.tolist() == [0.0, 0.0]
    assert torch.allclose(model.shared, torch.tensor([-1.0, -2.0]), atol=1e-5)


def test_processes_average_before_they_merge(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The other process has the opposite gradient from its sub-networks.
    others = iter([torch.tensor([-0.5, 2.0]), torch.tensor([-3.0, 0.0])])

    def average(bank: list[Tensor], op: str) -> None:
        assert op == 'mean'
        bank[0].add_(next(others)).div_(2)

    monkeypatch.setattr(optim_wrapper, 'all_reduce_params', average)
    model = Model()
    sup, sub = torch.tensor([-0.5, 2.0]), torch.tensor([1.0, 0.0])
    make_wrapper(model).update_params(model.loss(sup), [model.loss(sub)])
    # Together they point the same way, and nothing is projected.
    assert model.shared.tolist() == [1.5, -2.0]


def test_without_subnetworks_it_is_a_plain_wrapper() -> None:
    ours, theirs = Model(), Model()
    x = torch.tensor([3.0, 4.0])
    make_wrapper(ours).update_params(ours.loss(x))
    plain = OptimWrapper(torch.optim.SGD(theirs.parameters(), lr=1.0))
    plain.update_params(theirs.loss(x))
    assert torch.equal(ours.shared, theirs.shared)


def test_limit_has_to_be_positive() -> None:
    with pytest.raises(UserError, match='clip_subnets=-1'):
        optimizer = torch.optim.SGD(Model().parameters(), lr=1.0)
        ConflictAwareOptimWrapper(optimizer, clip_subnets=-1)
