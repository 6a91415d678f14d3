"""Filling backbones from files, and the words for what goes wrong."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.official_names import to_official
from helpers.weight_server import File, Server, mirroring
from torch import Tensor

from lvt_dense import build_backbone
from lvt_dense.checkpoints import cache
from lvt_dense.models.backbones import (
    EMO,
    MobileViT,
    PyramidBackbone,
    pretrained,
)
from lvt_dense.models.backbones.pretrained import load_backbone
from lvt_dense.utils.errors import UserError


@pytest.fixture(scope='module')
def source() -> PyramidBackbone:
    return build_backbone('mobilevit_xxs')


def official(source: PyramidBackbone, layout: int = 0) -> dict[str, Tensor]:
    return to_official(source.layouts[layout], source.state_dict())


def saved(folder: Path, content: Any) -> str:
    path = folder / 'weights.pth'
    torch.save(content, path)
    return str(path)


def fresh(
    path: str, name: str = 'mobilevit_xxs', **kwargs: Any
) -> PyramidBackbone:
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


def test_initialization_leaves_nothing_to_chance_twice(
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
        match='an unknown layout; for EMO there are lvt_dense, official, timm'
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


# ----------------------------------------------------------- prefixes, faults
@pytest.mark.parametrize(
    'prefix', ('model.', 'backbone.', 'module.module.', 'student.encoder.')
)
def test_any_prefix(
    prefix: str, source: PyramidBackbone, tmp_path: Path
) -> None:
    for index in range(len(source.layouts)):
        state = {prefix + k: v for k, v in official(source, index).items()}
        state['head.weight'] = torch.ones(1)
        assert is_filled(fresh(saved(tmp_path, state)), source)


def test_prefix_as_in_mmengine(
    source: PyramidBackbone, tmp_path: Path
) -> None:
    theirs = official(source)
    state = {f'teacher.{k}': torch.zeros_like(v) for k, v in theirs.items()}
    state |= {f'student.{k}': v for k, v in theirs.items()}
    path = saved(tmp_path, {'model_state_dict': state})
    init = dict(type='Pretrained', checkpoint=path, prefix='student.')
    backbone = build_backbone('mobilevit_xxs', init_cfg=init)
    backbone.init_weights()
    assert is_filled(backbone, source)
    with pytest.raises(UserError, match="by prefix=.*'student.', 'teacher.'"):
        fresh(path)
    own = source.state_dict()
    path = saved(
        tmp_path, {f'{n}.{k}': v for n in 'ab' for k, v in own.items()}
    )
    with pytest.raises(UserError, match="by prefix=.*'a.', 'b.'"):
        fresh(path)
    report = load_backbone(backbone, path, prefix='b.')
    assert report.is_complete
    with pytest.raises(UserError, match=r"no key that begins with 'c\.'"):
        load_backbone(backbone, path, prefix='c.')


def test_shared_prefix_may_be_given(
    source: PyramidBackbone, tmp_path: Path
) -> None:
    state = {f'model.backbone.{k}': v for k, v in official(source).items()}
    path = saved(tmp_path, state)
    backbone = build_backbone('mobilevit_xxs')
    for prefix in ('model.backbone.', 'backbone.'):
        report = load_backbone(backbone, path, prefix=prefix)
        assert report.is_complete


def test_report_names_what_was_taken_off(
    source: PyramidBackbone, tmp_path: Path
) -> None:
    state = {f'module.{k}': v for k, v in official(source).items()}
    path = saved(tmp_path, {'ema_state_dict': state, 'model_state_dict': {}})
    report = str(load_backbone(build_backbone('mobilevit_xxs'), path))
    assert "tensors under 'ema_state_dict'" in report
    assert "without the prefix 'module.'" in report


def test_nan_is_not_loaded(source: PyramidBackbone, tmp_path: Path) -> None:
    broken = official(source)
    key = 'layer_4.1.fusion.block.conv.weight'
    broken[key] = broken[key].clone()
    broken[key].view(-1)[7] = float('nan')
    with pytest.raises(
        UserError, match='not finite 1: stages.2.1.fuse.conv.weight'
    ):
        fresh(saved(tmp_path, broken))


# ----------------------------------------------------------- official weights
@pytest.fixture
def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A mirror of official files, and an empty cache."""
    with mirroring(tmp_path, monkeypatch) as server:
        yield server


def served(state: dict[str, Tensor]) -> File:
    content = io.BytesIO()
    torch.save(state, content)
    return File(content.getvalue())


def test_official_weights(server: Server, source: PyramidBackbone) -> None:
    server.files['/mobilevit_xxs.pt'] = served(official(source))
    assert is_filled(build_backbone('mobilevit_xxs', pretrained=True), source)
    assert is_filled(fresh('official'), source)
    assert is_filled(fresh('official', out_indices=(1,)), source)
    arch = dict(source.arch_settings['xxs'])
    init = dict(type='Pretrained', checkpoint='official')
    backbone = MobileViT(arch, init_cfg=init)
    backbone.init_weights()
    assert is_filled(backbone, source)


def test_other_files_by_name(
    server: Server, source: PyramidBackbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = next(
        r
        for r in MobileViT.weights['xxs']
        if r.name == 'mobilevit_xxs.huggingface'
    )
    server.files[f'/{record.file_name}'] = served(official(source, 3))
    backbone = build_backbone('mobilevit_xxs', pretrained=record.name)
    assert is_filled(backbone, source)
    with pytest.raises(UserError, match='is of MobileViT.*not of EMO'):
        build_backbone('emo_1m', pretrained=record.name)


def test_no_network(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv('LVT_DENSE_MIRROR')
    url = f'{server.url}/emo_1m/net.pth'
    record = dataclasses.replace(EMO.weights['1m'][0], url=url)
    monkeypatch.setattr(EMO, 'weights', {'1m': (record,)})
    with pytest.raises(UserError) as caught:
        build_backbone('emo_1m', pretrained=True)
    message = str(caught.value)
    for part in (
        'emo_1m cannot be fetched',
        url,
        f'put it at {cache.path_of(record)}',
        'LVT_DENSE_MIRROR',
        '--pretrained none',
    ):
        assert part in message


def test_no_official_weights(server: Server) -> None:
    with pytest.raises(
        UserError, match='PLGViT lw_a has no official weights.*for no variant'
    ):
        build_backbone('plg_vit_lw_a', pretrained=True)
    arch = dict(MobileViT.arch_settings['xxs'], dropout=0.2)
    init = dict(type='Pretrained', checkpoint='official')
    backbone = MobileViT(arch, init_cfg=init)
    with pytest.raises(
        UserError, match='custom architecture has no.*for xxs, xs, s'
    ):
        backbone.init_weights()


def test_official_weights_switched_off(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setenv('LVT_DENSE_PRETRAINED', 'none')
    monkeypatch.setattr(
        pretrained, 'print_log', lambda line, **_: lines.append(line)
    )
    backbone = build_backbone('mobilevit_xxs', pretrained=True)
    assert backbone.stem[0].conv.weight.std() > 0
    assert not server.requests
    assert lines == [
        'MobileViT xxs starts from random weights: LVT_DENSE_PRETRAINED '
        'is none'
    ]


def test_pretrained_or_init_cfg() -> None:
    with pytest.raises(ValueError, match='not both'):
        build_backbone('emo_1m', pretrained=True, init_cfg=dict(type='x'))
