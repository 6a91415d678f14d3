"""Convolution, norm and activation in one module."""

import pytest
import torch
from helpers.operators import Operators
from mmcv.cnn import ConvModule

from lvt_dense.models.layers import ConvNormAct

BN = dict(type='BN')
SILU = dict(type='SiLU')


@pytest.mark.parametrize('is_training', (True, False))
@pytest.mark.parametrize(
    ('norm_cfg', 'act_cfg', 'bias'),
    ((BN, SILU, None), (BN, None, True), (None, SILU, None), (None, None, 0)),
)
def test_equals_the_module_of_mmcv(
    norm_cfg: dict | None,
    act_cfg: dict | None,
    bias: bool | None,
    is_training: bool,
) -> None:
    ours = ConvNormAct(
        4, 8, 3, 2, 2, 2, bias, norm_cfg=norm_cfg, act_cfg=act_cfg
    )
    theirs = ConvModule(
        4,
        8,
        3,
        2,
        padding=2,
        dilation=2,
        groups=2,
        bias='auto' if bias is None else bool(bias),
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
        efficient_conv_bn_eval=True,
    )
    if ours.norm is not None:
        ours.norm.running_mean.normal_()
        ours.norm.running_var.uniform_(0.5, 1.5)
    theirs.load_state_dict(
        {k.replace('norm.', 'bn.'): v for k, v in ours.state_dict().items()}
    )
    x = torch.randn(2, 4, 9, 10)
    results = []
    for module in (ours.train(is_training), theirs.train(is_training)):
        module.zero_grad()
        out = module(x)
        out.square().sum().backward()
        grads = [p.grad for p in module.parameters()]
        results.append([out, *grads])
    for given, expected in zip(*results, strict=True):
        assert torch.allclose(given, expected, atol=1e-4, rtol=1e-4)


def operators_of(module: ConvNormAct, x: torch.Tensor) -> list[str]:
    with Operators() as seen:
        module(x)
    return seen.names


def test_norms_are_folded_on_a_cpu_alone() -> None:
    module = ConvNormAct(4, 8, 3, norm_cfg=BN).eval()
    x = torch.randn(1, 4, 8, 8)
    assert 'native_batch_norm' not in ' '.join(operators_of(module, x))
    assert 'rsqrt' in operators_of(module, x)
    # As on a GPU.
    names = operators_of(module.to('meta'), x.to('meta'))
    assert 'native_batch_norm' in names and 'rsqrt' not in names


def test_silu_copies_nothing_in_training() -> None:
    module = ConvNormAct(4, 8, 3, norm_cfg=BN, act_cfg=SILU)
    x = torch.randn(2, 4, 8, 8)
    assert 'clone' not in operators_of(module, x)
    with torch.no_grad():
        assert operators_of(module, x)[-1] == 'silu_'
