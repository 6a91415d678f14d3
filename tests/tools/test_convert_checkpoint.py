"""From official files to ours on the command line."""

import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.official_names import to_official

from lvt_dense import build_backbone
from lvt_dense.models.backbones import PyramidBackbone

TOOL = Path(__file__).resolve().parents[2] / 'tools/convert_checkpoint.py'
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Run:
    def call(*args: Any) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, 'argv', ['convert', *map(str, args)])
        status = 0
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()

    return call


@pytest.fixture(scope='module')
def emo() -> PyramidBackbone:
    return build_backbone('emo_1m')


@pytest.fixture
def official(emo: PyramidBackbone, tmp_path: Path) -> Path:
    path = tmp_path / 'net.pth'
    state = to_official(emo.layouts[0], emo.state_dict())
    state['head.weight'] = torch.zeros(1000, 168)
    torch.save({'net': {}, 'net_E': state}, path)
    return path


def assert_same(target: Path, backbone: PyramidBackbone) -> None:
    found = torch.load(target, weights_only=True)['state_dict']
    expected = backbone.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_from_the_keys_alone(
    run: Run, official: Path, emo: PyramidBackbone, tmp_path: Path
) -> None:
    target = tmp_path / 'new' / 'ours.pth'
    status, out, _ = run(official, target)
    assert status == 0
    assert 'EMO, official layout' in out
    assert f'{len(emo.state_dict())} tensors' in out
    assert_same(target, emo)
    assert [p.name for p in target.parent.iterdir()] == ['ours.pth']


def test_against_a_backbone(
    run: Run, official: Path, emo: PyramidBackbone, tmp_path: Path
) -> None:
    target = tmp_path / 'ours.pth'
    status, out, _ = run(official, target, '--backbone', 'emo_1m')
    assert status == 0
    assert f'loaded {len(emo.state_dict())}; missing 0' in out
    assert_same(target, emo)


def test_flipped_stem(
    run: Run, official: Path, emo: PyramidBackbone, tmp_path: Path
) -> None:
    target = tmp_path / 'ours.pth'
    args = (official, target, '--flip-stem')
    status, _, err = run(*args)
    assert (status, target.exists()) == (2, False)
    assert 'give --backbone too' in err
    assert run(*args, '--backbone', 'emo_1m')[0] == 0
    found = torch.load(target, weights_only=True)['state_dict']
    expected = emo.stem[0].conv.weight.flip(1)
    assert torch.equal(found['stem.0.conv.weight'], expected)


def test_supernet_needs_its_sub_network(run: Run, tmp_path: Path) -> None:
    backbone = build_backbone('nasvit_min', out_indices=(0, 1, 2, 3, 4))
    layout = next(x for x in backbone.layouts if 'supernet' in x.name)
    source, target = tmp_path / 'supernet.pth', tmp_path / 'ours.pth'
    torch.save(to_official(layout, backbone.state_dict()), source)
    status, _, err = run(source, target)
    assert status == 2
    assert 'name a sub-network' in err
    assert run(source, target, '--backbone', 'nasvit_min')[0] == 0
    found = torch.load(target, weights_only=True)['state_dict']
    weight = backbone.state_dict()['stem.0.conv.weight']
    assert torch.equal(found['stem.0.conv.weight'], weight)


@pytest.mark.parametrize(
    ('backbone', 'message'),
    (
        ('emo_2m', 'does not fit.*mismatched'),
        ('mobilevit_s', r'is of EMO \(official layout\), not of MobileViT'),
        ('emo_9m', 'did you mean'),
    ),
)
def test_wrong_backbone(
    run: Run, official: Path, tmp_path: Path, backbone: str, message: str
) -> None:
    target = tmp_path / 'ours.pth'
    status, out, err = run(official, target, '--backbone', backbone)
    assert (status, out, target.exists()) == (2, '', False)
    assert err.startswith('error: ')
    assert err.count('\n') == 1
    assert re.search(message, err)


def test_unknown_file(run: Run, tmp_path: Path) -> None:
    source, target = tmp_path / 'other.pth', tmp_path / 'ours.pth'
    torch.save({'layer1.0.conv1.weight': torch.zeros(1)}, source)
    target.write_text('older')
    status, _, err = run(source, target)
    assert status == 2
    for layout in (
        'cvnets',
        'timm',
        'Hugging Face',
        'EMO: official',
        'T2TViT',
    ):
        assert layout in err
    assert 'first keys are layer1.0.conv1.weight' in err
    assert target.read_text() == 'older'


def test_missing_file(run: Run, tmp_path: Path) -> None:
    status, _, err = run(tmp_path / 'nowhere.pth', tmp_path / 'ours.pth')
    assert status == 2
    assert err.rstrip().endswith('nowhere.pth does not exist')
