"""The option ``--pretrained``, and files of whole models."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.weight_server import File, Server, serving
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from lvt_dense.checkpoints import cache
from lvt_dense.checkpoints.model_files import read_model_file
from lvt_dense.engine.official_weights import prepare_weights, use_pretrained
from lvt_dense.utils.errors import UserError

OFFICIAL = dict(type='Pretrained', checkpoint='official')
THEIRS = dict(type='Pretrained', checkpoint='torchvision://resnet50')


@MODELS.register_module(force=True)
class ForeignBackbone(nn.Module):
    """Stands for a backbone of another package."""


def config(**backbone: Any) -> Config:
    if 'type' not in backbone:
        backbone = dict(type='lvt_dense.EMO', arch='1m', **backbone)
    return Config(dict(model=dict(type='Model', backbone=backbone)))


@pytest.fixture
def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    monkeypatch.setenv('LVT_DENSE_CACHE', str(tmp_path / 'cache'))
    monkeypatch.setattr(cache, 'PAUSES', ())
    with serving() as server:
        yield server


# -------------------------------------------------------------- use_pretrained
def test_none_frees_what_was_frozen() -> None:
    cfg = config(init_cfg=OFFICIAL, frozen_stages=2, norm_eval=True)
    cfg.model.pretrained = 'old'
    use_pretrained(cfg, 'none')
    backbone = cfg.model.backbone
    assert (backbone.init_cfg, cfg.model.pretrained) == (None, None)
    assert (backbone.frozen_stages, backbone.norm_eval) == (-1, False)


def test_none_reaches_nested_entries() -> None:
    cfg = config(
        type='ForeignBackbone',
        init_cfg=[dict(type='Kaiming', layer='Conv2d'), THEIRS],
        branches=[dict(type='x', init_cfg=THEIRS), dict(pretrained='y')],
    )
    use_pretrained(cfg, 'none')
    backbone = cfg.model.backbone
    assert backbone.init_cfg is None
    assert backbone.branches[0].init_cfg is None
    assert backbone.branches[1].pretrained is None
    assert prepare_weights(cfg) == [
        'model.backbone (ForeignBackbone) starts from random weights'
    ]


def test_official() -> None:
    cfg = config(frozen_stages=1)
    use_pretrained(cfg, 'official')
    assert cfg.model.backbone.init_cfg == OFFICIAL
    assert cfg.model.backbone.frozen_stages == 1


def test_official_keeps_the_published_file_of_a_recipe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv('LVT_DENSE_PRETRAINED', raising=False)
    init = dict(
        type='Pretrained',
        checkpoint='mobilevit_s.range_augment',
        flip_stem=True,
    )
    cfg = config(type='lvt_dense.MobileViT', arch='s', init_cfg=init)
    use_pretrained(cfg, 'official')
    assert cfg.model.backbone.init_cfg == init
    cfg.model.backbone.init_cfg.checkpoint = 'mine.pth'
    use_pretrained(cfg, 'official')
    assert cfg.model.backbone.init_cfg == OFFICIAL


def test_parts_and_teachers() -> None:
    ours = dict(type='lvt_dense.EMO', arch='1m')
    cfg = Config(
        dict(
            model=dict(
                type='Wrapper',
                detector=dict(type='Inner', backbone=dict(ours)),
                teacher=dict(type='Inner', backbone=dict(ours)),
            )
        )
    )
    use_pretrained(cfg, 'net.pth')
    assert cfg.model.detector.backbone.init_cfg.checkpoint == 'net.pth'
    assert 'init_cfg' not in cfg.model.teacher.backbone


def test_backbones_of_others() -> None:
    cfg = config(type='ForeignBackbone', init_cfg=THEIRS)
    use_pretrained(cfg, 'official')
    assert cfg.model.backbone.init_cfg == THEIRS
    assert prepare_weights(cfg) == [
        'model.backbone (ForeignBackbone) starts from torchvision://resnet50'
    ]
    use_pretrained(cfg, 'net.pth')
    assert cfg.model.backbone.init_cfg.checkpoint == 'net.pth'
    with pytest.raises(UserError, match='names no weights: name a file'):
        use_pretrained(config(type='ForeignBackbone'), 'official')


@pytest.mark.parametrize(
    ('backbone', 'message'),
    (
        (dict(type='lvt_dense.PLGViT'), 'PLGViT lw_a has no official weights'),
        (dict(type='lvt_dense.EMO', arch='9m'), 'model.backbone: .*9m'),
        (dict(type='lvt_dense.NoNet'), "is no model 'lvt_dense.NoNet'"),
    ),
)
def test_what_cannot_be_had(
    backbone: dict, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('LVT_DENSE_PRETRAINED')
    with pytest.raises(UserError, match=message):
        use_pretrained(config(**backbone), 'official')


def test_model_without_backbone() -> None:
    cfg = Config(dict(model=dict(type='Model', head=dict(type='Head'))))
    with pytest.raises(UserError, match='model has no backbone'):
        use_pretrained(cfg, 'official')
    assert prepare_weights(cfg) == []


# ------------------------------------------------------ files of whole models
def content_of(content: object) -> File:
    file = io.BytesIO()
    torch.save(content, file)
    return File(file.getvalue(), etag='"1"')


def test_two_checkpoints_of_one_name(server: Server, tmp_path: Path) -> None:
    values = []
    for place in 'ab':
        state = {'backbone.w': torch.full((1,), float(ord(place)))}
        path = f'/{place}/net.pth'
        server.files[path] = content_of(dict(state_dict=state))
        found = read_model_file(server.url + path)
        plain = torch.load(found.plain_path(tmp_path), weights_only=True)
        values.append(float(plain['state_dict']['backbone.w']))
        assert found.plain_path(tmp_path).parent == tmp_path / 'cache'
    assert values == [ord('a'), ord('b')]


def test_other_wrappings_are_rewritten(tmp_path: Path) -> None:
    path = tmp_path / 'net.v1.pth'
    torch.save({'model': {'module.backbone.w': torch.ones(1)}}, path)
    plain = read_model_file(path).plain_path(tmp_path / 'work')
    assert plain == tmp_path / 'work' / 'net_plain.pth'
    content = torch.load(plain, weights_only=True)
    assert list(content['state_dict']) == ['backbone.w']


def test_official_model_by_name(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv('LVT_DENSE_MIRROR', server.url)
    state = {
        key: torch.ones(2)
        for key in (
            'encoder.conv_1.block.conv.weight',
            'seg_head.classifier.classifier.block.conv.weight',
            'seg_head.something.else',
        )
    }
    name = 'deeplabv3_mobilevit_xs_512_voc12aug'
    server.files[f'/{name}.pt'] = content_of(state)
    found = read_model_file(name)
    assert sorted(found.state) == [
        'backbone.stem.0.conv.weight',
        'decode_head.conv_seg.weight',
    ]
    assert found.unknown == ('seg_head.something.else',)
    assert 'cvnets DeepLabv3 layout' in str(found)
    assert found.plain_path(tmp_path).name == f'{name}_plain.pth'
