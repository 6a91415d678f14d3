"""Sources and formats, runs that go on, and the file that leaves alone."""

import csv
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.commands import run_command
from helpers.sessions import CLASSES, color_labeler, spot_finder
from PIL import Image
from pycocotools.coco import COCO

from lvt_dense.runtime import (
    InputError,
    Options,
    Predictor,
    Summary,
    Tiling,
    open_source,
    predict_source,
    read_frames,
)
from lvt_dense.runtime.sources import in_background

BOX = (8, 4, 24, 20)
MODEL = spot_finder()


def draw_spot(label: int, size: tuple[int, int] = (40, 60)) -> np.ndarray:
    image = np.full((*size, 3), 90, np.uint8)
    x1, y1, x2, y2 = BOX
    image[y1:y2, x1:x2] = np.eye(3, dtype=np.uint8)[label] * 255
    return image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three images, one in a folder below, and a file that is none."""
    (tmp_path / 'in' / 'b').mkdir(parents=True)
    for label, name in enumerate(('a.png', 'b/a.png', 'c.png')):
        image = draw_spot(label, (40, 60 + label))
        Image.fromarray(image).save(tmp_path / 'in' / name)
    (tmp_path / 'in' / 'notes.txt').write_text('no image')
    return tmp_path / 'in'


def predict(
    source: Path | str,
    out: Path,
    model: Predictor | None = None,
    **options: Any,
) -> Summary:
    model = model or spot_finder()
    return predict_source(
        model, open_source(source), Options(out=out, **options)
    )


def records_of(out: Path) -> list[dict]:
    return json.loads((out / 'predictions.json').read_text())


@pytest.mark.parametrize('batch_size', [1, 2, 5])
def test_a_folder(folder: Path, tmp_path: Path, batch_size: int) -> None:
    out = tmp_path / 'out'
    summary = predict(folder, out, batch_size=batch_size)
    assert summary.images == 3 and not summary.failures
    records = records_of(out)
    assert [r['objects'][0]['index'] for r in records] == [0, 1, 2]
    assert records[1]['image'] == str(folder / 'b' / 'a.png')
    assert records[0]['objects'][0]['box'] == list(BOX)
    assert (out / 'b' / 'a.png.png').is_file()
    assert not list(out.glob('*.partial'))
    # Its own pictures are no images.
    assert predict(folder, folder / 'out').images == 3
    assert predict(folder, folder / 'out').images == 3


@pytest.mark.parametrize(
    ('pattern', 'count'), [('*.png', 2), ('**/*.png', 3), ('b/?.png', 1)]
)
def test_patterns(
    folder: Path, tmp_path: Path, pattern: str, count: int
) -> None:
    summary = predict(f'{folder}/{pattern}', tmp_path / 'out')
    assert summary.images == count
    with pytest.raises(InputError, match='matches no image'):
        open_source(f'{folder}/*.tif')


def test_formats_of_objects(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    formats = ('coco', 'yolo', 'csv', 'kitti', 'crops')
    predict(folder, out, spot_finder(masks=True), formats=formats)
    truth = COCO(str(out / 'coco_images.json'))
    results = truth.loadRes(str(out / 'coco_results.json'))
    (entry,) = results.loadAnns(results.getAnnIds(imgIds=[2]))
    assert entry['bbox'] == [8, 4, 16, 16] and entry['category_id'] == 2
    assert entry['area'] == 256
    line = (out / 'yolo' / 'c.txt').read_text().split()
    assert line[0] == '2'
    numbers = [float(v) for v in line[1:]]
    expected = [16 / 62, 12 / 40, 16 / 62, 16 / 40, 1]
    assert numbers == pytest.approx(expected, abs=1e-6)
    rows = list(csv.DictReader((out / 'predictions.csv').open()))
    assert rows[1]['label'] == 'green' and float(rows[1]['x2']) == 24
    from lvt_dense.datasets.kitti.labels import read_results

    (found,) = read_results(out / 'kitti' / 'a.txt').bboxes.tolist()
    assert found == list(BOX)
    crop = Image.open(out / 'crops' / 'green' / 'b' / 'a.png.0.png')
    assert crop.size == (16, 16) and crop.getpixel((3, 3)) == (0, 255, 0)


@pytest.mark.parametrize(('options', 'count'), [((), 3), ((1,), 1)])
def test_number_of_objects_that_are_drawn(
    options: tuple[int, ...],
    count: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr('lvt_dense.apis.load.load', lambda *_, **__: MODEL)
    image = np.concatenate([draw_spot(i) for i in range(3)], 1)
    Image.fromarray(image).save(tmp_path / 'a.png')
    words = ('model.onnx', tmp_path / 'a.png', '--out', tmp_path / 'out')
    given = [word for n in options for word in ('--max-drawn', n)]
    assert run_command('predict', *words, *given) == 0
    assert len(records_of(tmp_path / 'out')[0]['objects']) == 3
    drawn = np.asarray(Image.open(tmp_path / 'out' / 'a.png.png'))
    changed = (drawn != image).any(-1).reshape(40, 3, 60).any((0, 2))
    assert changed.sum() == count


def test_label_maps(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    formats = ('label-maps', 'json')
    kept = ['green', 'blue']
    predict(folder, out, color_labeler(), formats=formats, classes=kept)
    labels = Image.open(out / 'label_maps' / 'b' / 'a.png.png')
    assert labels.mode == 'P'
    values = np.asarray(labels)
    assert values[10, 10] == 1 and values[0, 0] == 255
    assert labels.convert('RGB').getpixel((10, 10)) == (0, 255, 0)
    assert records_of(out)[1]['pixels'] == {'green': 256, '255': 40 * 61 - 256}


def test_numbers_of_an_annotation_file(folder: Path, tmp_path: Path) -> None:
    names = ['b/a.png', 'a.png', 'c.png']
    content = dict(
        images=[dict(id=70 + i, file_name=n) for i, n in enumerate(names)],
        categories=[dict(id=9 - i, name=n) for i, n in enumerate(CLASSES)],
        annotations=[],
    )
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(content))
    options = dict(formats=('coco',), annotations=str(path))
    predict(folder, tmp_path / 'out', **options)
    found = json.loads((tmp_path / 'out' / 'coco_results.json').read_text())
    pairs = [(r['image_id'], r['category_id']) for r in found]
    assert pairs == [(71, 9), (70, 8), (72, 7)]
    (folder / 'd.png').write_bytes((folder / 'c.png').read_bytes())
    with pytest.raises(InputError, match=r'd\.png is not in'):
        predict(folder, tmp_path / 'out', **options)


def test_broken_images_are_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / 'b.jpg').write_bytes(b'no image')
    whole = (folder / 'c.png').read_bytes()
    (folder / 'd.png').write_bytes(whole[: len(whole) - 40])
    summary = predict(folder, tmp_path / 'out', batch_size=3)
    names = [Path(name).name for name, _ in summary.failures]
    assert sorted(names) == ['b.jpg', 'd.png']
    assert len(records_of(tmp_path / 'out')) == 3
    assert 'b.jpg: cannot identify' in capsys.readouterr().err


def interrupted_after(count: int) -> Predictor:
    """A model that stops at an image as Ctrl-C does."""
    model = spot_finder()
    run, calls = model.run, []

    def limited(feed: dict) -> dict:
        calls.append(1)
        if len(calls) > count:
            raise KeyboardInterrupt
        return run(feed)

    model.run = limited
    return model


def test_an_interrupted_folder_goes_on(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    first = predict(folder, out, interrupted_after(2))
    assert not first.is_complete and first.images == 2
    assert not (out / 'predictions.json').exists()
    with pytest.raises(InputError, match='another classes'):
        predict(folder, out, classes=['red'])
    # The line of an image that was being written when the power failed.
    with (out / 'predictions.jsonl.partial').open('a') as file:
        file.write('{"image": "')
    second = predict(folder, out, interrupted_after(1))
    assert (second.images, second.resumed) == (3, 2)
    assert len(records_of(out)) == 3
    assert [p.name for p in out.iterdir() if 'partial' in p.name] == []


def test_a_changed_image_is_done_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    predict(folder, out, interrupted_after(2))
    Image.fromarray(draw_spot(2, (50, 50))).save(folder / 'a.png')
    summary = predict(folder, out)
    assert (summary.images, summary.resumed) == (3, 1)
    records = {r['image']: r for r in records_of(out)}
    assert len(records) == 3
    (found,) = records[str(folder / 'a.png')]['objects']
    assert found['label'] == 'blue'


def write_clip(path: Path, count: int = 3) -> None:
    codec = cv2.VideoWriter_fourcc(*'MJPG')
    writer = cv2.VideoWriter(str(path), codec, 5.0, (64, 48))
    for number in range(count):
        writer.write(draw_spot(number % 3, (48, 64))[..., ::-1].copy())
    writer.release()


def test_a_video_becomes_a_video(tmp_path: Path) -> None:
    write_clip(tmp_path / 'clip.avi')
    out = tmp_path / 'out'
    formats = ('video', 'json')
    summary = predict(
        tmp_path / 'clip.avi', out, formats=formats, batch_size=2
    )
    assert summary.images == 3
    frames = list(read_frames(out / 'clip.mp4'))
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 3
    assert [r['image'] for r in records_of(out)] == [
        f'clip.avi.{number:06}' for number in range(3)
    ]
    assert sorted(p.name for p in out.iterdir()) == [
        'clip.mp4',
        'predictions.json',
    ]


def test_an_interrupted_video_leaves_none(tmp_path: Path) -> None:
    write_clip(tmp_path / 'clip.avi')
    formats = ('video', 'json')
    summary = predict(
        tmp_path / 'clip.avi',
        tmp_path / 'out',
        interrupted_after(2),
        formats=formats,
    )
    assert not summary.is_complete
    assert list((tmp_path / 'out').iterdir()) == []


def test_a_camera_ends_when_it_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / 'clip.avi')
    capture = cv2.VideoCapture

    def camera(source: int | str) -> cv2.VideoCapture:
        assert source == 0
        return capture(str(tmp_path / 'clip.avi'))

    monkeypatch.setattr(cv2, 'VideoCapture', camera)
    summary = predict('0', tmp_path / 'out', interrupted_after(2))
    assert summary.is_complete and summary.images == 2
    assert len(records_of(tmp_path / 'out')) == 2


def test_frames_of_a_video(tmp_path: Path) -> None:
    write_clip(tmp_path / 'clip.avi', 2)
    frames = list(read_frames(tmp_path / 'clip.avi'))
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 2
    (tmp_path / 'clip.mp4').write_bytes(b'no video')
    with pytest.raises(InputError, match='is no readable video'):
        list(read_frames(tmp_path / 'clip.mp4'))


def test_opencv_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'cv2', None)
    with pytest.raises(InputError, match='pip install opencv-python'):
        list(read_frames('clip.mp4'))


def test_what_does_not_fit(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    cases = {
        'cannot hold': dict(formats=('label-maps',)),
        'choose from': dict(formats=('voc',)),
        'needs a video': dict(formats=('video',)),
        'the model knows red': dict(classes=['pink']),
        'no such file': dict(annotations=str(tmp_path / 'none.json')),
        'does not say which': dict(score_thr='best'),
        'does not exist': dict(camera=str(tmp_path / 'calib')),
    }
    for text, options in cases.items():
        with pytest.raises(InputError) as error:
            predict(folder, out, **options)
        assert text.lower() in str(error.value).lower()
    (folder / 'a.jpg').write_bytes(b'')
    with pytest.raises(InputError, match=r'would write a\.txt for both'):
        predict(folder, out, formats=('yolo',))
    assert not out.exists()


def test_tiles_of_a_folder(folder: Path, tmp_path: Path) -> None:
    predict(folder, tmp_path / 'out', tiling=Tiling(32, 0.2))
    boxes = [r['objects'][0]['box'] for r in records_of(tmp_path / 'out')]
    assert boxes == [list(BOX)] * 3


def test_the_report_s_threshold() -> None:
    model = spot_finder()
    model.info['score_thr'] = 0.45
    assert model.score_threshold('best') == 0.45
    assert model.score_threshold(0.1) == 0.1


def test_a_thread_ends_with_its_reader() -> None:
    before = threading.active_count()
    numbers = in_background(iter(range(10**6)))
    assert [next(numbers) for _ in range(3)] == [0, 1, 2]
    numbers.close()
    for thread in threading.enumerate()[before:]:
        thread.join(5)
    assert threading.active_count() == before


def test_needs_no_framework() -> None:
    check = (
        'import sys\nbefore = set(sys.modules)\nimport lvt_dense.runtime\n'
        "bad = {'torch', 'mmengine', 'mmcv', 'cv2', 'tifffile'}\n"
        'assert not bad & (set(sys.modules) - before)\n'
    )
    subprocess.run([sys.executable, '-c', check], check=True)
