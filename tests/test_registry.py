"""Types of ours build from the registries of others."""

from pathlib import Path

import pytest
from helpers.processes import run_python
from mmengine.config import Config
from mmengine.hub import get_config


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
def test_backbone_builds_with_nothing_imported(scope: str) -> None:
    done = run_python(
        f'from {scope}.registry import MODELS\n'
        'backbone = dict(type="lvt_dense.MobileViT", arch="xxs")\n'
        'print(MODELS.build(backbone).out_channels)'
    )
    assert done.stdout.endswith('(24, 48, 64, 80)\n'), done.stderr


def test_error_inside_the_package_shows_as_itself() -> None:
    done = run_python(
        'import sys\n'
        'sys.modules["lvt_dense.models.backbones.mobilevit"] = None\n'
        'from mmengine.registry import MODELS\n'
        'MODELS.build(dict(type="lvt_dense.MobileViT"))'
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('RuntimeError: lvt_dense could not import'), last
    assert 'mobilevit' in last


def test_backbones_need_neither_mmdet_nor_mmseg() -> None:
    done = run_python(
        'import sys\n'
        'for name in ("mmdet", "mmseg", "mmcv.ops", "mmcv._ext"):\n'
        '    sys.modules[name] = None\n'
        'import lvt_dense\n'
        'print(len(lvt_dense.list_backbones()))\n'
        'print(lvt_dense.build_backbone("mobilevit_xxs").out_strides)'
    )
    assert done.stdout.endswith('(4, 8, 16, 32)\n'), done.stderr


def test_mmengine_finds_our_configs_by_name(tmp_path: Path) -> None:
    import lvt_dense  # noqa: F401

    name = 'lvt_dense::ssdlite_mobilevit_xs_320_coco.py'
    assert get_config(name).model.backbone.arch == 'xs'
    heir = tmp_path / 'heir.py'
    heir.write_text(f"_base_ = ['{name}']\nmodel = dict(test_cfg=None)")
    cfg = Config.fromfile(heir)
    assert cfg.model.backbone.arch == 'xs'
    assert cfg.model.test_cfg is None


@pytest.mark.parametrize(
    'fault',
    (
        'raise ModuleNotFoundError("No module named \'mmcv._ext\'")',
        'raise AssertionError("MMCV==9 is used but incompatible")',
    ),
    ids=('ops missing', 'version refused'),
)
def test_broken_frameworks(fault: str, tmp_path: Path) -> None:
    for name in ('mmdet', 'mmseg'):
        (tmp_path / f'{name}.py').write_text(fault)
    done = run_python(
        'import sys\n'
        f'sys.path.insert(0, {str(tmp_path)!r})\n'
        'import lvt_dense\n'
        'from lvt_dense.registry import MODELS\n'
        'print(lvt_dense.build_backbone("emo_1m").out_strides)\n'
        'print(MODELS.build(dict(type="SimpleFPN", in_channels=8)))\n'
        'MODELS.build(dict(type="lvt_dense.SSDLiteHead"))\n'
    )
    assert done.stdout.startswith('(4, 8, 16, 32)\nSimpleFPN('), done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('lvt_dense.utils.errors.UserError: SSDLiteHead'), (
        last
    )
    assert fault.split('"')[1] in last


def test_backbones_import_no_framework() -> None:
    done = run_python(
        'import sys\n'
        'import lvt_dense\n'
        'lvt_dense.build_backbone("emo_1m")\n'
        'print(sorted({"mmdet", "mmseg", "mmcv.ops"} & set(sys.modules)))'
    )
    assert done.stdout == '[]\n', done.stderr
