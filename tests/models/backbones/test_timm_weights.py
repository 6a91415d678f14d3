"""Weights of timm's networks: strict, from everywhere, and back to timm."""

from pathlib import Path

import pytest
import torch
from helpers.commands import run_command
from helpers.optional import is_importable
from mmengine.config import Config
from torch import Tensor

from lvt_dense import build_backbone
from lvt_dense.checkpoints.timm import timm_key
from lvt_dense.engine.official_weights import prepare_weights
from lvt_dense.models.backbones import Timm
from lvt_dense.models.backbones.pretrained import load_backbone
from lvt_dense.utils.errors import UserError

if not is_importable('timm'):
    pytest.skip('timm cannot be imported', allow_module_level=True)
import timm
from safetensors.torch import save_file

NAME = 'mobilenetv3_small_050'  # norms with activations inside
RECORD = f'timm_{NAME}.lamb_in1k'


@pytest.fixture(scope='module')
def classifier() -> torch.nn.Module:
    torch.manual_seed(0)
    return timm.create_model(NAME)


@pytest.fixture
def mirror(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    classifier: torch.nn.Module,
) -> Path:
    folder = tmp_path / 'mirror'
    folder.mkdir()
    save_file(classifier.state_dict(), folder / f'{RECORD}.safetensors')
    monkeypatch.setenv('LVT_DENSE_MIRROR', str(folder))
    monkeypatch.setenv('LVT_DENSE_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('LVT_DENSE_PRETRAINED', raising=False)
    return folder


def saved(path: Path, state: dict[str, Tensor]) -> str:
    torch.save(state, path)
    return str(path)


def is_filled(backbone: Timm, classifier: torch.nn.Module) -> bool:
    expected = classifier.state_dict()
    return all(
        torch.equal(value, expected[timm_key(key)])
        for key, value in backbone.state_dict().items()
    )


def test_official(mirror: Path, classifier: torch.nn.Module) -> None:
    backbone = build_backbone(f'timm:{NAME}', pretrained=True)
    assert is_filled(backbone, classifier)
    for name in (NAME, f'{NAME}.lamb_in1k'):
        init = dict(type='Pretrained', checkpoint='official')
        backbone = Timm(name, out_indices=(1, 2), init_cfg=init)
        backbone.init_weights()
        assert is_filled(backbone, classifier)


def test_license_and_images_are_told(mirror: Path) -> None:
    cfg = Config(
        dict(
            model=dict(
                data_preprocessor=dict(
                    mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True
                ),
                backbone=dict(
                    type='lvt_dense.Timm',
                    arch=NAME,
                    init_cfg=dict(type='Pretrained', checkpoint='official'),
                ),
            )
        )
    )
    start, warning = prepare_weights(cfg)
    assert f'starts from {RECORD} of timm' in start
    assert 'license: apache-2.0' in start
    assert 'expects images in RGB, mean 123.675' in warning


@pytest.mark.parametrize('name', ('starnet_s050', NAME))
def test_features_only_file(tmp_path: Path, name: str) -> None:
    state = timm.create_model(name, features_only=True).state_dict()
    assert name == NAME or any('stages_0.' in key for key in state)
    path = saved(tmp_path / 'net.pth', state)
    backbone = build_backbone(f'timm:{name}', pretrained=path)
    flat = {key.replace('.', '_'): value for key, value in state.items()}
    assert all(
        torch.equal(value, flat[timm_key(key).replace('.', '_')])
        for key, value in backbone.state_dict().items()
    )


def test_files_that_do_not_fit(
    tmp_path: Path, classifier: torch.nn.Module
) -> None:
    state = classifier.state_dict()
    lacking = {k: v for k, v in state.items() if k != 'conv_stem.weight'}
    with pytest.raises(UserError, match='missing 1: trunk.conv_stem.weight'):
        load_backbone(Timm(NAME), saved(tmp_path / 'a.pth', lacking))
    foreign = timm.create_model('resnet10t').state_dict()
    with pytest.raises(UserError, match='an unknown layout; for Timm there'):
        load_backbone(Timm(NAME), saved(tmp_path / 'b.pth', foreign))
    own = build_backbone('mobilevit_xxs')
    with pytest.raises(UserError, match='known layout|is of MobileViT'):
        load_backbone(Timm(NAME), saved(tmp_path / 'c.pth', own.state_dict()))
    surplus = dict(state, surplus=torch.zeros(1))
    report = load_backbone(Timm(NAME), saved(tmp_path / 'd.pth', surplus))
    assert report.unexpected == ['surplus']


def test_other_channels(tmp_path: Path, classifier: torch.nn.Module) -> None:
    path = saved(tmp_path / 'net.pth', classifier.state_dict())
    gray = build_backbone(f'timm:{NAME}', pretrained=path, in_channels=1)
    expected = classifier.conv_stem.weight.sum(1, keepdim=True)
    assert torch.allclose(gray.trunk.conv_stem.weight, expected)
    flipped = Timm(NAME)
    load_backbone(flipped, path, flip_stem=True)
    assert torch.equal(
        flipped.trunk.conv_stem.weight, classifier.conv_stem.weight.flip(1)
    )


def test_trained_here_and_back_to_timm(
    tmp_path: Path, classifier: torch.nn.Module
) -> None:
    path = saved(tmp_path / 'net.pth', classifier.state_dict())
    backbone = build_backbone(f'timm:{NAME}', pretrained=path)
    detector = {
        f'backbone.{key}': value
        for key, value in backbone.state_dict().items()
    }
    detector['bbox_head.weight'] = torch.zeros(3)
    trained = saved(tmp_path / 'epoch_1.pth', dict(state_dict=detector))
    again = build_backbone(f'timm:{NAME}', pretrained=trained)
    assert is_filled(again, classifier)
    out = tmp_path / 'timm.pth'
    args = ('convert', trained, str(out), '--backbone', f'timm:{NAME}')
    assert run_command(*args, '--to-timm') == 0
    net = timm.create_model(NAME)
    result = net.load_state_dict(torch.load(out), strict=False)
    assert not result.unexpected_keys
    assert {key.split('.')[0] for key in result.missing_keys} == {
        'conv_head',
        'classifier',
    }
    assert run_command(*args[:3], '--to-timm') == 2


@pytest.mark.parametrize('in_channels', (1, 3))
def test_patches_and_positions_are_resampled(
    tmp_path: Path, in_channels: int
) -> None:
    name = 'eva02_tiny_patch14_224'
    net = timm.create_model(name)
    path = saved(tmp_path / 'net.pth', net.state_dict())
    backbone = build_backbone(
        f'timm:{name}', pretrained=path, in_channels=in_channels
    )
    assert backbone.trunk.patch_embed.proj.weight.shape[1:] == (
        in_channels,
        16,
        16,
    )
    assert torch.equal(
        backbone.trunk.blocks[3].attn.proj.weight,
        net.blocks[3].attn.proj.weight,
    )


def test_commands(mirror: Path, capsys: pytest.CaptureFixture) -> None:
    assert run_command('weights', 'where', f'timm:{NAME}') == 0
    out = capsys.readouterr().out
    assert f'huggingface.co/timm/{NAME}.lamb_in1k' in out
    assert 'license: apache-2.0' in out
    assert run_command('weights', 'fetch', f'timm:{NAME}') == 0
    assert f'{RECORD}.safetensors' in capsys.readouterr().out
    assert run_command('weights', 'where', 'timm:cs3darknet_s') == 2
    assert 'timm names no weights' in capsys.readouterr().err
