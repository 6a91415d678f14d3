"""The predictor's own image operations, and what it imports."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from lvt_dense.deploy import predictor


@pytest.mark.parametrize('size', [(7, 5), (40, 23), (24, 32), (64, 9)])
def test_resizing_is_opencv_s(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    expected = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    found = predictor.resize_bilinear(image, size)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_fit_keeps_the_ratio_and_pads() -> None:
    info = dict(
        resize='fit', scale=[80, 40], size=None, divisor=32, color='bgr'
    )
    image = np.full((100, 50, 3), (10, 20, 30), np.uint8)
    padded, scale = predictor.prepare(image, info)
    assert scale.size == (80, 40) and padded.shape == (96, 64, 3)
    assert padded[79, 39].tolist() == [30, 20, 10]
    assert not padded[80:].any() and not padded[:, 40:].any()


def test_a_full_mask_fills_its_box() -> None:
    mask = predictor.paste_mask(
        np.ones((28, 28)), np.array([2.0, 3.0, 9.0, 8.0]), (12, 10)
    )
    expected = np.zeros((12, 10), bool)
    expected[3:8, 2:9] = True
    np.testing.assert_array_equal(mask, expected)


def test_masks_are_mmdet_s() -> None:
    torch = pytest.importorskip('torch')
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import (
        _do_paste_mask,
    )

    values = np.random.default_rng(1).random((28, 28)).astype(np.float32)
    values = cv2.blur(values, (5, 5))
    box = np.array([3.3, -2.0, 41.7, 30.2], np.float32)
    pasted, _ = _do_paste_mask(
        torch.from_numpy(values)[None, None],
        torch.from_numpy(box)[None],
        40,
        50,
        skip_empty=False,
    )
    found = predictor.paste_mask(values, box, (40, 50))
    assert (found != (pasted[0].numpy() >= 0.5)).mean() < 1e-3


def test_exif_turns_the_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (20, 10)).save(tmp_path / 'a.jpg', exif=exif)
    assert predictor.to_array(tmp_path / 'a.jpg').shape == (20, 10, 3)


def test_camera_follows_the_resizing() -> None:
    camera = np.array([[700.0, 0, 600, 40], [0, 700, 180, 2], [0, 0, 1, 0]])
    scale = predictor.Scale((370, 1224), (185, 612))
    point = np.array([2.0, 1.0, 20.0, 1.0])
    u, v, w = camera @ point
    u2, v2, w2, _ = predictor._camera(camera, scale) @ point
    assert u2 / w2 == pytest.approx((u / w + 0.5) / 2 - 0.5, abs=1e-3)
    assert v2 / w2 == pytest.approx((v / w + 0.5) / 2 - 0.5, abs=1e-3)


def test_file_stands_alone(tmp_path: Path) -> None:
    copy = tmp_path / 'predictor.py'
    copy.write_text(Path(predictor.__file__).read_text())
    check = (
        'import sys\nbefore = set(sys.modules)\nimport predictor\n'
        "bad = {'torch', 'mmengine', 'mmcv', 'lvt_dense', 'cv2'}\n"
        'assert not bad & (set(sys.modules) - before)\n'
    )
    subprocess.run([sys.executable, '-c', check], cwd=tmp_path, check=True)


def test_bad_input_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    import argparse

    parser = argparse.ArgumentParser()
    predictor.add_arguments(parser)
    args = parser.parse_args([str(tmp_path / 'no.onnx'), str(tmp_path)])
    assert predictor.run(args) == 2
    assert capsys.readouterr().err == (
        f'error: {tmp_path / "no.onnx"} does not exist\n'
    )


def test_a_video_is_its_frames(tmp_path: Path) -> None:
    path = tmp_path / 'clip.avi'
    codec = cv2.VideoWriter_fourcc(*'MJPG')
    writer = cv2.VideoWriter(str(path), codec, 5.0, (64, 48))
    for level in (40, 200):
        writer.write(np.full((48, 64, 3), (level, 0, 0), np.uint8))
    writer.release()
    frames = list(predictor.read_frames(path))
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 2
    for frame, level in zip(frames, (40, 200)):
        assert np.abs(frame.mean((0, 1)) - (0, 0, level)).max() < 12
    names = [str(name) for name, _ in predictor._frames(path)]
    assert names == ['clip.avi.000000', 'clip.avi.000001']


def test_a_broken_video_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / 'clip.mp4'
    path.write_bytes(b'no video')
    with pytest.raises(ValueError, match='is no readable video'):
        list(predictor.read_frames(path))


def test_opencv_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'cv2', None)
    with pytest.raises(ValueError, match='pip install opencv-python'):
        list(predictor.read_frames('clip.mp4'))
