"""Types of ours build from the registries of others."""

import subprocess
import sys

import pytest
from mmengine.config import Config
from mmengine.hub import get_config


def run(code):
    return subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
def test_backbone_builds_with_nothing_imported(scope):
    done = run(
        f'from {scope}.registry import MODELS\n'
        'backbone = dict(type="lvt_dense.MobileViT", arch="xxs")\n'
        'print(MODELS.build(backbone).out_channels)'
    )
    assert done.stdout.endswith('(24, 48, 64, 80)\n'), done.stderr


def test_error_inside_the_package_shows_as_itself():
    done = run(
        'import sys\n'
        'sys.modules["lvt_dense.models.backbones.mobilevit"] = None\n'
        'from mmengine.registry import MODELS\n'
        'MODELS.build(dict(type="lvt_dense.MobileViT"))'
    )
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('RuntimeError: lvt_dense could not import'), last
    assert 'mobilevit' in last


def test_backbones_need_neither_mmdet_nor_mmseg():
    done = run(
        'import sys\n'
        'for name in ("mmdet", "mmseg", "mmcv.ops", "mmcv._ext"):\n'
        '    sys.modules[name] = None\n'
        'import lvt_dense\n'
        'print(len(lvt_dense.list_backbones()))\n'
        'print(lvt_dense.build_backbone("mobilevit_xxs").out_strides)'
    )
    assert done.stdout.endswith('(4, 8, 16, 32)\n'), done.stderr


def test_mmengine_finds_our_configs_by_name(tmp_path):
    import lvt_dense  # noqa: F401

    name = 'lvt_dense::ssdlite_mobilevit_xs_320_coco.py'
    assert get_config(name).model.backbone.arch == 'xs'
    heir = tmp_path / 'heir.py'
    heir.write_text(f"_base_ = ['{name}']\nmodel = dict(test_cfg=None)")
    cfg = Config.fromfile(heir)
    assert cfg.model.backbone.arch == 'xs'
    assert cfg.model.test_cfg is None
