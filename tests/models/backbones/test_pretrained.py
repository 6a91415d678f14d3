"""Filling backbones from files, and the words for what goes wrong."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lvt_dense import build_backbone
from lvt_dense.errors import UserError
from lvt_dense.models.backbones import MobileViT, PyramidBackbone
from lvt_dense.models.backbones.pretrained import load_backbone


@pytest.fixture(scope='module')
def source() -> PyramidBackbone:
    return build_backbone('mobilevit_xxs')


def official(source: PyramidBackbone, layout: int = 0) -> dict[str, Tensor]:
    return source.layouts[layout].to_official(source.state_dict())


def saved(folder: Path, content: Any) -> str:
    path = folder / 'weights.pth'
    torch.save(content, path)
    return str(path)


def fresh(path: str, name: str = 'mobilevit_xxs', **kwargs: Any):
    init = dict(type='Pretrained', checkpoint=path)
    init['flip_stem'] = kwargs.pop('flip_stem', False)
    backbone = build_backbone(name, init_cfg=init, **kwargs)
    backbone.init_weights()
    return backbone


def is_filled(backbone: PyramidBackbone, source: PyramidBackbone) -> bool:
    expected = source.state_dict()
    return all(
        torch.equal(value, expected[key])
        for key, value in backbone.state_dict().items()
    )


@pytest.mark.parametrize('index', range(len(MobileViT.layouts)))
def test_every_layout_loads(
    index: int, source: PyramidBackbone, tmp_path: Path
) -> None:
    path = saved(tmp_path, official(source, index))
    assert is_filled(fresh(path), source)


@pytest.mark.parametrize('prefix', ('', 'backbone.', 'img_backbone.'))
def test_own_layout_loads(
    prefix: str, source: PyramidBackbone, tmp_path: Path
) -> None:
    own = {prefix + k: v for k, v in source.state_dict().items()}
    path = saved(tmp_path, dict(state_dict={**own, 'head.w': torch.ones(1)}))
    assert is_filled(fresh(path), source)


def test_fewer_levels_load_too(
    source: PyramidBackbone, tmp_path: Path
) -> None:
    path = saved(tmp_path, official(source))
    assert is_filled(fresh(path, out_indices=(0, 1)), source)
    backbone = build_backbone('mobilevit_xxs', out_indices=(0, 1))
    report = load_backbone(backbone, path)
    assert report.is_complete
    assert len(report.loaded) == len(backbone.state_dict())
    assert any(key.startswith('stages.3') for key in report.unexpected)
    text = str(report)
    assert f'loaded {len(report.loaded)}; missing 0' in text
    assert 'cvnets layout' in text
    assert 'MobileViT xxs' in text


def test_initialisation_leaves_nothing_to_chance_twice(
    source: PyramidBackbone, tmp_path: Path
) -> None:
    """The rule of the user stays in place, and runs again the same way."""
    backbone = fresh(saved(tmp_path, official(source)))
    assert backbone.init_cfg['type'] == 'Pretrained'
    with torch.no_grad():
        backbone.stem[0].conv.weight.zero_()
    backbone._is_init = False
    backbone.init_weights()
    assert is_filled(backbone, source)


def test_counters_of_batch_norm_may_be_absent(
    source: PyramidBackbone, tmp_path: Path
) -> None:
    old = {k: v for k, v in official(source).items() if 'num_batch' not in k}
    assert is_filled(fresh(saved(tmp_path, old)), source)


def test_flipped_stem(source: PyramidBackbone, tmp_path: Path) -> None:
    flipped = fresh(saved(tmp_path, official(source)), flip_stem=True)
    expected = source.stem[0].conv.weight.flip(1)
    assert torch.equal(flipped.stem[0].conv.weight, expected)


def test_missing_tensor(source: PyramidBackbone, tmp_path: Path) -> None:
    partial = official(source)
    del partial['layer_4.1.fusion.block.conv.weight']
    with pytest.raises(
        UserError, match='does not fit.*missing 1: stages.2.1.fuse.conv.weight'
    ):
        fresh(saved(tmp_path, partial))


def test_wrong_size(source: PyramidBackbone, tmp_path: Path) -> None:
    path = saved(tmp_path, official(source))
    with pytest.raises(
        UserError,
        match=r'MobileViT xs.*mismatched 267: stem.1.expand.conv.weight '
        r'\(32, 16, 1, 1\), not \(64, 16, 1, 1\), ',
    ):
        fresh(path, 'mobilevit_xs')
    own = saved(tmp_path, source.state_dict())
    with pytest.raises(UserError, match='lvt_dense layout.*mismatched'):
        fresh(own, 'mobilevit_xs')


def test_wrong_family(source: PyramidBackbone, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r'is of MobileViT \(cvnets layout\), not of EMO'
    ):
        fresh(saved(tmp_path, official(source)), 'emo_1m')


def test_unknown_layout(tmp_path: Path) -> None:
    with pytest.raises(
        UserError,
        match='no known layout; for EMO there are lvt_dense, official, timm'
        '.*first keys are layer1.weight',
    ):
        fresh(saved(tmp_path, {'layer1.weight': torch.ones(2)}), 'emo_1m')


def test_nothing_is_changed_by_a_file_that_does_not_fit(
    source: PyramidBackbone, tmp_path: Path
) -> None:
    partial = official(source)
    del partial['conv_1.block.conv.weight']
    backbone = build_backbone('mobilevit_xxs')
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    with pytest.raises(UserError):
        load_backbone(backbone, saved(tmp_path, partial))
    assert all(
        torch.equal(value, before[key])
        for key, value in backbone.state_dict().items()
    )
