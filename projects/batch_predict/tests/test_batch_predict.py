"""Results as Parquet, and runs in the processes of Ray."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.optional import is_importable
from helpers.sessions import color_labeler, spot_finder
from PIL import Image

if not (is_importable('pyarrow') and is_importable('onnxruntime')):
    pytest.skip('needs pyarrow and onnxruntime', allow_module_level=True)

import pyarrow as pa
from batch_predict.shards import Run
from batch_predict.tables import (
    as_text,
    check_images,
    make_failure,
    make_row,
    make_schema,
    write_rows,
)
from batch_predict.workers import ShardPredictor
from pyarrow import parquet

from lvt_dense.runtime.errors import InputError

RUN = Path(__file__).resolve().parents[1] / 'run.py'
needs_ray = pytest.mark.skipif(
    not is_importable('ray'), reason='ray cannot be imported'
)
COUNT, SHARD = 36, 4
ABOUT = dict(
    task='detection',
    classes=['mean'],
    color='rgb',
    size=[32, 64],
    resize='stretch',
    scale=[64, 32],
    divisor=1,
    batch=1,
    score_thr=0.01,
)


def make_model(path: Path, rounds: int) -> None:
    """Write a detector that finds an image's mean, slowly."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    floats, integers = TensorProto.FLOAT, TensorProto.INT64
    nodes = [
        helper.make_node('Cast', ['image'], ['x'], to=floats),
        helper.make_node('ReduceMean', ['x'], ['mean'], keepdims=0),
        helper.make_node('Mul', ['mean', 'eye'], ['y0']),
        *(
            helper.make_node('MatMul', [f'y{i}', 'eye'], [f'y{i + 1}'])
            for i in range(rounds)
        ),
        helper.make_node('ReduceMax', [f'y{rounds}'], ['top'], keepdims=0),
        helper.make_node('Div', ['top', 'full'], ['score']),
        helper.make_node('Reshape', ['score', 'one'], ['scores']),
        helper.make_node('Identity', ['box'], ['boxes']),
        helper.make_node('Identity', ['label'], ['labels']),
    ]
    values = dict(
        eye=np.eye(512, dtype=np.float32),
        full=np.float32(255),
        one=np.array([1, 1]),
        box=np.array([[[1, 2, 30, 20]]], np.float32),
        label=np.array([[0]]),
    )
    describe = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        'mean',
        [describe('image', TensorProto.UINT8, [1, 32, 64, 3])],
        [
            describe('boxes', floats, [1, 1, 4]),
            describe('scores', floats, [1, 1]),
            describe('labels', integers, [1, 1]),
        ],
        [numpy_helper.from_array(v, k) for k, v in values.items()],
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8
    )
    entry = model.metadata_props.add()
    entry.key = 'lvt_dense'
    entry.value = json.dumps(ABOUT)
    onnx.save(model, path)


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of different means, one of which is none."""
    root = tmp_path_factory.mktemp('images')
    for i in range(COUNT - 1):
        pixels = np.full((24, 40, 3), 5 * i + 10, np.uint8)
        Image.fromarray(pixels).save(root / f'{i:03}.png')
    (root / '007_broken.png').write_text('no picture')
    return root


@pytest.fixture(scope='module')
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('model') / 'mean.onnx'
    make_model(path, rounds=12)
    return path


@pytest.fixture(scope='module')
def plain(
    folder: Path, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> pa.Table:
    """The rows of a run in this process."""
    out = tmp_path_factory.mktemp('plain') / 'out'
    run = Run(out, folder, {}, SHARD)
    worker = ShardPredictor(str(model), str(folder), str(out))
    for shard in run.shards:
        run.note(worker(dict(shard=shard.number, images=shard.images)))
    assert run.merge() == dict(images=COUNT, shards=9, failures=1)
    check_images([out / s.file for s in run.shards], run.images)
    return parquet.read_table(out / 'results')


def test_rows_are_what_the_predictor_finds(plain: pa.Table) -> None:
    rows = plain.to_pylist()
    assert [r['image'] for r in rows if r['error']] == ['007_broken.png']
    row = next(r for r in rows if r['image'] == '020.png')
    assert (row['height'], row['width']) == (24, 40)
    (item,) = row['objects']
    assert item['score'] == pytest.approx(110 / 255, abs=1e-5)
    assert [item[k] for k in ('label', 'index')] == ['mean', 0]
    box = [item[k] for k in ('x1', 'y1', 'x2', 'y2')]
    np.testing.assert_allclose(box, [0.625, 1.5, 18.75, 15], atol=0.01)


def test_masks_and_label_maps_are_kept(tmp_path: Path) -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    image[4:12, 8:20, 0] = 255
    finder = spot_finder(masks=True)
    found = finder.predict(image)
    row = make_row('a.png', (32, 48), found, finder.classes)
    write_rows(tmp_path / 'a.parquet', [row], make_schema('instance'))
    (read,) = parquet.read_table(tmp_path / 'a.parquet').to_pylist()
    (item,) = read['objects']
    assert item['mask'] == found[0].pixels.to_rle()['counts']
    assert item['mask_area'] == 8 * 12
    labels = color_labeler().predict(image)
    row = make_row('a.png', (32, 48), labels, ['red', 'green'])
    write_rows(tmp_path / 'b.parquet', [row], make_schema('semantic'))
    (read,) = parquet.read_table(tmp_path / 'b.parquet').to_pylist()
    png = Image.open(io.BytesIO(read['label_map']))
    np.testing.assert_array_equal(np.asarray(png), labels)
    assert sum(c['pixels'] for c in read['classes']) == 32 * 48


def test_lost_and_doubled_images_are_found(tmp_path: Path) -> None:
    schema = make_schema('detection')
    names = ['a', 'b', 'bad\udcff']
    paths = [tmp_path / 'part-0.parquet', tmp_path / 'part-1.parquet']

    def write(*parts: list[str]) -> None:
        for path, part in zip(paths, parts):
            write_rows(path, [make_failure(n, 'x') for n in part], schema)

    write(names[:2], names[2:])
    check_images(paths, names)
    assert as_text(names[2]) == 'bad\\udcff'
    for parts in (
        (['a'], ['bad\udcff']),
        (['a', 'a'], ['bad\udcff']),
        (['a', 'b'], ['bad\udcff', 'bad\udcff']),
        (['a', 'b'], []),
    ):
        write(*parts)
        with pytest.raises(InputError, match='run the command again'):
            check_images(paths, names)


def start(*args: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, RUN, *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@needs_ray
def test_a_killed_worker_loses_and_doubles_nothing(
    folder: Path, model: Path, plain: pa.Table, tmp_path: Path
) -> None:
    out = tmp_path / 'out'
    command = (model, folder, out, '--workers', 2, '--shard-size', SHARD)
    run = start(*command)
    journal, deadline = out / 'journal.jsonl', time.monotonic() + 90
    while not (journal.exists() and b'\n' in journal.read_bytes()):
        assert run.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    first = json.loads(journal.read_text().splitlines()[0])
    os.kill(first['pid'], signal.SIGKILL)
    begun = list(out.glob('*.attempt'))
    text, _ = run.communicate(timeout=120)
    assert run.returncode == 0, text
    assert '1 failed' in text
    assert begun and not list(out.glob('*.attempt'))
    entries = [json.loads(x) for x in journal.read_text().splitlines()]
    assert sorted(e['shard'] for e in entries) == list(range(9))
    assert parquet.read_table(out / 'results').equals(plain)

    # One more run does what is missing, and nothing else.
    (out / 'results' / 'part-000003.parquet').unlink()
    run = start(*command)
    text, _ = run.communicate(timeout=120)
    assert run.returncode == 0, text
    assert '8 of 9 shards are done already' in text
    lines = journal.read_text().splitlines()[len(entries) :]
    assert [json.loads(x)['shard'] for x in lines] == [3]
    assert parquet.read_table(out / 'results').equals(plain)


@needs_ray
def test_bad_input_is_told_in_one_line(
    folder: Path, model: Path, tmp_path: Path
) -> None:
    for args, message in (
        ((model, tmp_path, tmp_path / 'out'), 'holds no image'),
        ((model, folder, tmp_path, '--workers', 0), '--workers 0: 1 or more'),
        ((model, folder, tmp_path, '--camera', folder), 'takes no --camera'),
        ((folder, folder, tmp_path), 'is no exported model'),
    ):
        run = start(*args)
        text, _ = run.communicate(timeout=60)
        assert run.returncode == 2
        assert message in text and text.count('\n') == 1, text
