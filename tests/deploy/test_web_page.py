"""The page in a real browser gives what the predictor gives."""

import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.commands import run_command
from helpers.webdriver import open_browser
from mmengine.registry import MODELS, init_default_scope
from PIL import Image

from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.deploy.web_page import ORT_FILES, find_ort_web
from lvt_dense.runtime import InputError, Predictor
from lvt_dense.runtime.serve import make_server
from lvt_dense.scenes import write_coco
from lvt_dense.utils.errors import UserError

pytest.importorskip('onnxscript')
CASES = {
    'ssdlite_mobilevit_xxs_192_demo': (96, 96),
    'deeplabv3_mobilevit_xxs_360_camvid': (64, 96),
    'mask_rcnn_emo_coco': (64, 96),
    'monocon_mobilevit_xxs_kitti': (64, 160),
}
P2 = 'P2: 90 0 65 0 0 90 37 0 0 0 1 0\n'
MATRIX = np.array(P2.split()[1:], float).reshape(3, 4)


@pytest.fixture(scope='session')
def ort_web() -> Path:
    """Files of onnxruntime-web."""
    try:
        return find_ort_web(os.environ.get('LVT_DENSE_ORT_WEB'))
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture(scope='module')
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered scene, which PNG keeps as it is."""
    folder = tmp_path_factory.mktemp('scenes')
    write_coco(folder / 'coco', 2, seed=0, size=(130, 75))
    path = next((folder / 'coco' / 'train2017').iterdir())
    Image.open(path).save(folder / 'scene.png')
    return folder / 'scene.png'


def make_page(name: str, folder: Path, ort_web: Path) -> Path:
    import_stack()
    cfg = load_config(f'lvt_dense::{name}.py')
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    if hasattr(model, 'roi_head'):
        torch.nn.init.normal_(model.roi_head.bbox_head.fc_cls.weight, std=0.5)
    path = folder / 'model.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    height, width = CASES[name]
    status = run_command(
        'export', f'lvt_dense::{name}.py', path, '--format', 'web',
        '--out', folder / 'page', '--ort-web', ort_web,
        '--size', f'{height}x{width}',
    )  # fmt: skip
    assert status == 0
    return folder / 'page'


@pytest.mark.parametrize('name', CASES)
def test_page_equals_predictor(
    name: str, tmp_path: Path, ort_web: Path, picture: Path
) -> None:
    page = make_page(name, tmp_path, ort_web)
    model = Predictor(page / 'model.onnx', threads=1)
    threshold = 0.05
    expected = model.predict(picture, MATRIX, threshold)
    broken = tmp_path / 'broken.jpg'
    broken.write_bytes(b'no picture')
    (tmp_path / 'calib.txt').write_text(P2)
    with (
        make_server(page, 0) as server,
        open_browser(tmp_path / 'profile') as browser,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.open(f'http://127.0.0.1:{server.server_address[1]}/')
        status = "return document.getElementById('status').textContent"
        assert browser.wait_for(status) == 'Ready.'
        assert browser.run('return crossOriginIsolated')
        browser.run(
            "const bar = document.getElementById('threshold');"
            f"bar.value = {threshold}; bar.dispatchEvent(new Event('input'))"
        )
        if name.startswith('monocon'):
            browser.choose_file('#camera', tmp_path / 'calib.txt')
            browser.wait_for(f"{status} === 'Camera file read.'")
        browser.choose_file('#files', picture)
        assert browser.wait_for(f"{status} === 'Done.'")
        text = browser.run(
            "return document.getElementById('json').textContent"
        )
        browser.choose_file('#files', broken)
        browser.wait_for(f"{status}.includes('broken.jpg cannot be read')")
        server.shutdown()
    (record,) = json.loads(text)
    compare(record, expected, model)


def compare(record: dict, expected: Any, model: Predictor) -> None:
    if isinstance(expected, np.ndarray):
        values, counts = np.unique(expected, return_counts=True)
        pixels = {model.classes[v]: int(c) for v, c in zip(values, counts)}
        assert len(pixels) > 1
        for label in pixels.keys() | record['pixels'].keys():
            gap = pixels.get(label, 0) - record['pixels'].get(label, 0)
            assert abs(gap) <= expected.size / 1000
        return
    assert len(record['objects']) == len(expected) > 0
    free = list(record['objects'])
    for item in expected:  # equal scores may change places
        gaps = [
            np.abs(np.array(other['box']) - item.box).max()
            + abs(other['score'] - item.score)
            + (other['index'] != item.index) * 1e6
            for other in free
        ]
        found = free.pop(int(np.argmin(gaps)))
        assert min(gaps) < 1e-3 * max(1, np.abs(item.box).max())
        if item.box_3d is not None:
            np.testing.assert_allclose(
                found['box_3d'], item.box_3d, atol=1e-3, rtol=1e-3
            )
        if item.pixels is not None:
            assert abs(found['mask_area'] - item.pixels.area) <= 2


def test_without_its_package(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='lacks files of onnxruntime-web'):
        find_ort_web(str(tmp_path))
    for name in ORT_FILES:
        (tmp_path / name).write_bytes(b'')
    assert find_ort_web(str(tmp_path)) == tmp_path


def test_serving_what_is_no_page(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'holds no index\.html'):
        make_server(tmp_path)
