"""Train, resume, test and draw with the scripts, on rendered data."""

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch
from helpers.commands import run_tool, skip_beautifier
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lvt_dense.scenes import write_coco

CONFIG = 'lvt_dense::ssdlite_mobilevit_xxs_192_demo.py'
SMALL = (
    '--cfg-options',
    'train_dataloader.dataset.pipeline.3.scale=(64,64)',
    'train_dataloader.batch_size=4',
    'train_dataloader.num_workers=0',
    'train_dataloader.persistent_workers=False',
    *(
        f'{split}_dataloader.{option}'
        for split in ('val', 'test')
        for option in (
            'dataset.pipeline.1.scale=(64,64)',
            'num_workers=0',
            'persistent_workers=False',
        )
    ),
    'train_cfg.max_epochs=2',
    'train_cfg.val_interval=2',
    'randomness.seed=0',
)


@pytest.fixture(autouse=True)
def plain_dumps(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_beautifier(monkeypatch)


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('scenes') / 'coco'
    write_coco(folder, 10, seed=1, size=(96, 72), val_fraction=0.4)
    return folder


@pytest.fixture(scope='module')
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work_dir = tmp_path_factory.mktemp('work')
    with pytest.MonkeyPatch.context() as patch:
        skip_beautifier(patch)
        options = ('--data-root', data, '--work-dir', work_dir, *SMALL)
        assert run_tool('train', CONFIG, *options) == 0
    return work_dir


def log_of(work_dir: Path) -> str:
    return max(work_dir.glob('*/*.log'), key=lambda p: p.parent).read_text()


def test_training_leaves_whole_checkpoints_and_figures(trained: Path) -> None:
    names = {path.name for path in trained.glob('*.pth')}
    assert {'epoch_1.pth', 'epoch_2.pth'} <= names
    assert not list(trained.glob('*.partial'))
    assert 'coco/bbox_AR@100' in log_of(trained)


def test_resume_skips_a_truncated_checkpoint(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    work_dir = tmp_path / 'copy'
    shutil.copytree(trained, work_dir)
    whole = (work_dir / 'epoch_2.pth').read_bytes()
    (work_dir / 'epoch_3.pth').write_bytes(whole[:-1000])
    assert (
        run_tool(
            'train',
            CONFIG,
            '--resume',
            '--data-root',
            data,
            '--work-dir',
            work_dir,
            *SMALL,
            'train_cfg.max_epochs=3',
        )
        == 0
    )
    log = log_of(work_dir)
    assert 'resumed epoch: 2' in log
    assert 'Epoch(train) [3]' in log
    assert torch.load(work_dir / 'epoch_3.pth', weights_only=False)


def test_nothing_to_resume(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ('--resume', '--data-root', data, '--work-dir', tmp_path)
    assert run_tool('train', CONFIG, *options, *SMALL) == 2
    assert 'holds no complete' in capsys.readouterr().err


@pytest.fixture(scope='module')
def tested(
    trained: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp('tested')
    status = run_tool(
        'test',
        CONFIG,
        trained / 'epoch_2.pth',
        '--data-root',
        data,
        '--work-dir',
        out,
        '--out',
        out / 'found.json',
        '--show-dir',
        out / 'pictures',
        '--score-thr',
        0.0,
        *SMALL,
    )
    assert status == 0
    return out


def test_twelve_figures_are_those_of_pycocotools(
    tested: Path, data: Path
) -> None:
    figures = json.loads((tested / 'metrics.json').read_text())
    truth = COCO(str(data / 'annotations/instances_val2017.json'))
    scores = COCOeval(truth, truth.loadRes(str(tested / 'found.json')), 'bbox')
    scores.evaluate()
    scores.accumulate()
    scores.summarize()
    names = 'mAP mAP_50 mAP_75 mAP_s mAP_m mAP_l AR@1 AR@10 AR@100 '
    names += 'AR_s@100 AR_m@100 AR_l@100'
    found = [figures[f'coco/bbox_{name}'] for name in names.split()]
    assert found == pytest.approx(list(scores.stats), abs=6e-4)


def test_unlabeled_test_set(
    trained: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    truth = data / 'annotations' / 'instances_val2017.json'
    content = json.loads(truth.read_text())
    del content['annotations']
    unlabeled = tmp_path / 'image_info.json'
    unlabeled.write_text(json.dumps(content))
    options = (
        *('--data-root', data, '--work-dir', tmp_path / 'work', *SMALL),
        f'test_dataloader.dataset.ann_file={unlabeled}',
        f'test_evaluator.ann_file={unlabeled}',
    )
    args = ('test', CONFIG, trained / 'epoch_2.pth')
    assert run_tool(*args, *options) == 2
    assert 'set test_evaluator.format_only=True' in capsys.readouterr().err
    options += ('test_evaluator.format_only=True',)
    assert run_tool(*args, *options) == 2
    assert 'set outfile_prefix=FILE' in capsys.readouterr().err
    out = tmp_path / 'found.json'
    assert run_tool(*args, '--out', out, *options) == 0
    found = json.loads(out.read_text())
    images = {image['id'] for image in content['images']}
    assert found
    assert {item['image_id'] for item in found} <= images
    assert {item['category_id'] for item in found} <= {1, 2, 3}
    assert json.loads((tmp_path / 'work' / 'metrics.json').read_text()) == {}


def test_pictures_show_truth_beside_prediction(
    tested: Path, data: Path
) -> None:
    pictures = list((tested / 'pictures').glob('*.png'))
    assert len(pictures) == 4
    assert cv2.imread(str(pictures[0])).shape == (72, 2 * 96, 3)


def test_visualize_a_folder(
    trained: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = run_tool(
        'visualize',
        CONFIG,
        trained / 'epoch_2.pth',
        data / 'val2017',
        '--out',
        tmp_path,
        '--score-thr',
        0.0,
        *SMALL,
    )
    assert status == 0
    records = json.loads((tmp_path / 'predictions.json').read_text())
    assert len(records) == 4
    found = records[0]['objects']
    assert {item['label'] for item in found} <= {'person', 'bicycle', 'car'}
    assert all(len(item['box']) == 4 for item in found)
    assert found
    picture = cv2.imread(records[0]['picture'])
    assert picture.shape == (72, 96, 3)  # no truth, so the prediction alone


def test_visualize_with_annotations(
    trained: Path, data: Path, tmp_path: Path
) -> None:
    image = sorted((data / 'val2017').iterdir())[0]
    status = run_tool(
        'visualize',
        CONFIG,
        trained / 'epoch_2.pth',
        image,
        '--annotations',
        data / 'annotations/instances_val2017.json',
        '--out',
        tmp_path,
        *SMALL,
    )
    assert status == 0
    picture = cv2.imread(str(tmp_path / f'{image.name}.png'))
    assert picture.shape == (72, 2 * 96, 3)


def one_line(text: str) -> str:
    lines = [x for x in text.splitlines() if x.startswith('error:')]
    assert len(lines) == 1
    assert 'Traceback' not in text
    return lines[0]


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        (('--data-root', '/none'), 'root /none/ is not there'),
        (('--amp',), '--amp needs a GPU'),
        (('--resume', 'none.pth'), 'none.pth is missing'),
        (('--cfg-options', 'modle.x=1'), 'model'),
        (('--backbone', 'mobilevit_xl'), 'mobilevit_xs'),
    ],
)
def test_bad_options_of_training(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    args: Any,
    words: str,
) -> None:
    if '--amp' in args and torch.cuda.is_available():
        pytest.skip('this machine has a GPU')
    given = ('--data-root', data, '--work-dir', tmp_path, *args)
    assert run_tool('train', CONFIG, *given) == 2
    assert words in one_line(capsys.readouterr().err)


def test_checkpoint_of_another_size(
    trained: Path,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = run_tool(
        'test',
        'lvt_dense::ssdlite_mobilevit_xs_320_coco.py',
        trained / 'epoch_2.pth',
        '--data-root',
        data,
        '--work-dir',
        tmp_path,
    )
    assert status == 2
    line = one_line(capsys.readouterr().err)
    assert 'was trained for 3 classes (person, bicycle, car)' in line
    assert 'and the config has 80: add --data DIR' in line


@pytest.fixture
def broken(data: Path, tmp_path: Path) -> Path:
    """A copy of the data to be broken."""
    folder = tmp_path / 'broken'
    shutil.copytree(data, folder)
    return folder


def test_malformed_annotations_are_named(
    broken: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = broken / 'annotations/instances_train2017.json'
    path.write_text(path.read_text()[:-100])
    options = ('--data-root', broken, '--work-dir', tmp_path, *SMALL)
    assert run_tool('train', CONFIG, *options) == 2
    line = one_line(capsys.readouterr().err)
    assert str(path) in line
    assert 'not JSON' in line


@pytest.mark.parametrize('content', [b'', b'no image'])
def test_training_skips_a_broken_image_with_one_warning(
    broken: Path, tmp_path: Path, content: bytes
) -> None:
    image = sorted((broken / 'train2017').iterdir())[0]
    image.write_bytes(content)
    options = ('--data-root', broken, '--work-dir', tmp_path, *SMALL)
    assert run_tool('train', CONFIG, *options) == 0
    warnings = [x for x in log_of(tmp_path).splitlines() if str(image) in x]
    assert len(warnings) == 1
    assert 'WARNING' in warnings[0]


def test_testing_names_a_broken_image(
    trained: Path,
    broken: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image = sorted((broken / 'val2017').iterdir())[0]
    image.write_bytes(b'')
    status = run_tool(
        'test',
        CONFIG,
        trained / 'epoch_2.pth',
        '--data-root',
        broken,
        '--work-dir',
        tmp_path,
        *SMALL,
        'test_dataloader.num_workers=1',  # its error arrives from a worker
    )
    assert status == 2
    line = one_line(capsys.readouterr().err)
    assert str(image) in line
    assert 'replace or remove' in line
