"""Layers in the form that OpenVINO runs fastest."""

import pytest
import torch
from torch import nn

import lvt_dense
from lvt_dense.deploy.openvino_graph import (
    BF16_FORMS,
    FORMS,
    ReducingNorm,
    TwoConvs,
    adapt_to_openvino,
)
from lvt_dense.models.backbones.nasvit_attention import HeadMix
from lvt_dense.models.backbones.plg_vit import PairConv
from lvt_dense.models.layers import LayerNorm2d


def randomize(module: nn.Module) -> None:
    """Draw all parameters, norms' too, so that each of them matters."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)


@torch.no_grad()
def test_reducing_norm_is_a_layer_norm() -> None:
    torch.manual_seed(0)
    norm = LayerNorm2d(12, eps=1e-3)
    randomize(norm)
    x = 3 + 2 * torch.randn(2, 12, 5, 7)
    torch.testing.assert_close(ReducingNorm(norm)(x), norm(x))


@torch.no_grad()
def test_two_convolutions_are_one_of_a_pair() -> None:
    torch.manual_seed(0)
    conv = PairConv(6, 4)
    one, two = torch.randn(2, 2, 6, 5, 7)
    torch.testing.assert_close(TwoConvs(conv)(one, two), conv(one, two))


@pytest.mark.parametrize(
    ('name', 'precision'),
    [
        ('plg_vit_lw_r', 'fp32'),
        ('plg_vit_tiny', 'bf16'),
        ('emo_1m', 'fp32'),
        ('nasvit_min', 'bf16'),
    ],
)
@torch.no_grad()
def test_backbones_keep_their_values(name: str, precision: str) -> None:
    torch.manual_seed(0)
    backbone = lvt_dense.build_backbone(name).eval()
    for module in backbone.modules():
        if isinstance(module, (LayerNorm2d, HeadMix)):
            randomize(module)
    adapted = adapt_to_openvino(backbone, precision)
    forms = BF16_FORMS if precision == 'bf16' else FORMS
    assert any(type(module) in forms for module in backbone.modules())
    assert not any(type(module) in forms for module in adapted.modules())
    image = torch.randn(1, 3, 64, 96)
    for one, two in zip(adapted(image), backbone(image)):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-4)


def test_heads_have_a_form_for_bf16_alone() -> None:
    backbone = lvt_dense.build_backbone('nasvit_min').eval()
    assert adapt_to_openvino(backbone) is backbone


def test_what_has_none_of_them_stays() -> None:
    graph = nn.Sequential(nn.Conv2d(3, 4, 1), nn.LayerNorm(4))
    assert adapt_to_openvino(graph) is graph
