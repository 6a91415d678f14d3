"""The page in a real browser gives what the predictor gives."""

import json
import os
import re
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from helpers.commands import run_command
from helpers.webdriver import Browser, open_browser
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


STATUS = "return document.getElementById('status').textContent"
RECORDS = "return JSON.parse(document.getElementById('json').textContent)"


@pytest.fixture(scope='module')
def detector(tmp_path_factory: pytest.TempPathFactory, ort_web: Path) -> Path:
    """A page of a small detector."""
    name = 'ssdlite_mobilevit_xxs_192_demo'
    return make_page(name, tmp_path_factory.mktemp('detector'), ort_web)


@pytest.fixture
def browser(detector: Path, tmp_path: Path) -> Iterator[Browser]:
    """The page, ready, with all scores from 0.01 on."""
    with (
        make_server(detector, 0) as server,
        open_browser(tmp_path / 'profile') as browser,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.open(f'http://127.0.0.1:{server.server_address[1]}/')
        assert browser.wait_for(STATUS) == 'Ready.'
        set_threshold(browser, 0.01)
        yield browser
        server.shutdown()


def set_threshold(browser: Browser, value: float) -> None:
    browser.run(
        "const bar = document.getElementById('threshold');"
        f"bar.value = {value}; bar.dispatchEvent(new Event('input'))"
    )


def choose(browser: Browser, path: Path) -> list[dict]:
    browser.choose_file('#files', path)
    assert browser.wait_for(f"{STATUS} === 'Done.'")
    return browser.run(RECORDS)


def test_filters_of_score_and_class(browser: Browser, picture: Path) -> None:
    (every,) = choose(browser, picture)
    scores = sorted(item['score'] for item in every['objects'])
    middle = scores[len(scores) // 2]
    set_threshold(browser, round(middle, 2))
    (some,) = browser.run(RECORDS)
    limit = round(middle, 2)
    kept = [item for item in every['objects'] if item['score'] >= limit]
    assert some['objects'] == kept
    assert len(kept) < len(scores)
    set_threshold(browser, 0.01)
    label = every['objects'][0]['label']
    browser.run(
        "for (const label of document.querySelectorAll('#classes label'))"
        f"if (label.textContent === '{label}') label.click()"
    )
    (others,) = browser.run(RECORDS)
    assert others['objects'] == [
        item for item in every['objects'] if item['label'] != label
    ]
    browser.run("document.getElementById('none').click()")
    assert browser.run(RECORDS)[0]['objects'] == []
    browser.run("document.getElementById('all').click()")
    assert browser.run(RECORDS) == [every]


def test_video_is_played_to_its_end(
    browser: Browser, picture: Path, tmp_path: Path
) -> None:
    frame = cv2.imread(str(picture))
    size = frame.shape[1] // 2 * 2, frame.shape[0] // 2 * 2
    path = tmp_path / 'clip.webm'
    clip = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'VP80'), 5, size)
    for _ in range(3):
        clip.write(frame[: size[1], : size[0]])
    clip.release()
    (record,) = choose(browser, path)
    assert record['image'] == 'clip.webm'
    assert record['objects']
    shape = browser.run(
        "const drawn = document.querySelector('canvas');"
        'return [drawn.width, drawn.height]'
    )
    assert shape == list(size)
    text = browser.run(
        "return document.querySelector('figcaption').textContent"
    )
    assert re.fullmatch(r'clip\.webm: \d+ objects, \d+ ms', text)
    assert browser.run("return document.getElementById('stop').hidden")
    broken = tmp_path / 'broken.webm'
    broken.write_bytes(b'no video')
    browser.choose_file('#files', broken)
    browser.wait_for(f"{STATUS}.includes('cannot be played as a video')")


def test_keyboard_reaches_and_works_everything(browser: Browser) -> None:
    name = 'return document.activeElement.id || document.activeElement.tagName'
    reached = []
    for _ in range(4):
        browser.press('tab')
        reached.append(browser.run(name))
    assert reached == ['files', 'webcam', 'threshold', 'SUMMARY']
    browser.press('enter')
    opened = "return document.querySelector('#filters details').open"
    assert browser.wait_for(opened)
    browser.press('tab', 'tab')
    assert browser.run(name) == 'none'
    browser.press('space', 'tab')
    checked = "return document.querySelectorAll('#classes :checked').length"
    assert browser.run(checked) == 0
    browser.press('space')
    assert browser.run(checked) == 1
    outline = 'return getComputedStyle(document.activeElement).outlineStyle'
    assert browser.run(outline) != 'none'


def test_phone_needs_no_sideways_scrolling(
    browser: Browser, picture: Path
) -> None:
    browser.emulate(
        'setDeviceMetricsOverride',
        width=360, height=740, deviceScaleFactor=2, mobile=True,
    )  # fmt: skip
    choose(browser, picture)
    assert browser.run('return window.innerWidth') == 360
    page = 'return document.documentElement.scrollWidth'
    assert browser.run(page) <= 360
    sides = browser.run(
        "return [...document.querySelectorAll('.button, button')]"
        '.map((x) => x.getBoundingClientRect())'
        '.filter((x) => x.width).map((x) => [x.height, x.right])'
    )
    assert sides
    assert all(height >= 44 and right <= 360 for height, right in sides)


def test_light_and_dark_can_be_read(browser: Browser) -> None:
    luminance = {}
    for scheme in ('light', 'dark'):
        feature = dict(name='prefers-color-scheme', value=scheme)
        browser.emulate('setEmulatedMedia', features=[feature])
        for place in ('body', '#about', 'button'):
            text, ground = browser.run(
                f'const style = getComputedStyle(document.querySelector('
                f"'{place}')); const below = getComputedStyle(document.body);"
                'return [style.color, style.backgroundColor === '
                "'rgba(0, 0, 0, 0)' ? below.backgroundColor"
                ' : style.backgroundColor]'
            )
            pair = [relative_luminance(color) for color in (text, ground)]
            # WCAG 2.2, criterion 1.4.3: normal text.
            assert (max(pair) + 0.05) / (min(pair) + 0.05) >= 4.5, place
            luminance[scheme, place] = pair[1]
    assert luminance['light', 'body'] > 0.8 > 0.1 > luminance['dark', 'body']


def relative_luminance(color: str) -> float:
    """Return the luminance of ``rgb(...)`` as WCAG 2.2 defines it."""
    values = [int(v) / 255 for v in re.findall(r'\d+', color)[:3]]
    linear = [
        v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4
        for v in values
    ]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def test_serve_sends_what_threads_need(tmp_path: Path) -> None:
    (tmp_path / 'index.html').write_text('<p>page</p>')
    (tmp_path / 'model.wasm').write_bytes(b'')
    with make_server(tmp_path, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host, port = server.server_address[:2]
        assert host == '127.0.0.1'
        for name, kind in (('', 'text/html'), ('model.wasm', 'wasm')):
            address = f'http://127.0.0.1:{port}/{name}'
            with urllib.request.urlopen(address) as answer:
                headers = answer.headers
            assert kind in headers['Content-Type']
            assert headers['Cross-Origin-Opener-Policy'] == 'same-origin'
            assert headers['Cross-Origin-Embedder-Policy'] == 'require-corp'
        server.shutdown()


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
