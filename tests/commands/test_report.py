"""Reports through the command line, for every task."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.commands import run_command
from helpers.kitti import write_kitti
from mmengine.registry import MODELS, init_default_scope

from lvt_dense.analysis.records import load_record
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.scenes import write_coco, write_semantic

CONFIGS = Path(__file__).parents[2] / 'configs'
DETECTOR = CONFIGS / 'ssdlite_mobilevit_xxs_192_demo.py'
INSTANCES = CONFIGS / 'mask_rcnn_mobilevit_coco.py'
SEGMENTER = CONFIGS / 'deeplabv3_mobilevit_xxs_360_camvid.py'
MONO3D = CONFIGS / 'monocon_mobilevit_xxs_kitti.py'
QUICK = ('test_dataloader.num_workers=0',
         'test_dataloader.persistent_workers=False')  # fmt: skip


def save_weights(
    config: Path, path: Path, seed: int = 0, **options: int
) -> Path:
    """Write random weights of a config as a checkpoint."""
    import_stack()
    cfg = load_config(str(config), options)
    init_default_scope(cfg.default_scope)
    torch.manual_seed(seed)
    cfg.model.backbone.init_cfg = None
    torch.save(dict(state_dict=MODELS.build(cfg.model).state_dict()), path)
    return path


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('data')
    write_coco(root, 8, size=(96, 72), seed=0, val_fraction=0.5)
    return root


@pytest.fixture(scope='module')
def tested(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work directory with a report, and one of other weights beside it."""
    root = tmp_path_factory.mktemp('runs')
    for seed, name in enumerate(('one', 'two')):
        (root / name).mkdir()
        weights = save_weights(DETECTOR, root / name / 'epoch_1.pth', seed)
        status = run_command(
            'test', DETECTOR, weights, '--data-root', data, '--work-dir',
            root / name, '--report', '--precision', 0.001, '--out',
            root / name / 'found.json', '--cfg-options', *QUICK,
        )  # fmt: skip
        assert status == 0
    return root


def test_report_of_a_test_run(tested: Path) -> None:
    metrics = json.loads((tested / 'one/metrics.json').read_text())
    found = metrics['report']
    assert found['figures']['AP'] == pytest.approx(
        metrics['coco/bbox_mAP'], abs=6e-4
    )
    assert found['figures']['AR100'] == pytest.approx(
        metrics['coco/bbox_AR@100'], abs=6e-4
    )
    assert found['figures']['AR100'] > 0
    assert 0 < found['score_thr'] < 1
    assert found['at_precision']['precision'] >= 0.001
    page = (tested / 'one/report.html').read_text()
    for title in ('Kinds of error', 'Calibration', 'Worst and best images',
                  'Missed objects', 'Config', 'Environment',
                  'Complexity and latency'):  # fmt: skip
        assert f'<h2>{title}</h2>' in page
    assert 'What differs from ssdlite_mobilevit_xxs_320_coco.py' in page


def test_json_of_a_test_run_gives_the_same_figures(
    tested: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lvt_dense.analysis.coco_results import read_coco_results
    from lvt_dense.analysis.detection import analyze_detection

    found = tested / 'one/found.json'
    truth = data / 'annotations/instances_val2017.json'
    overall = analyze_detection(read_coco_results(found, truth)).overall
    metrics = json.loads((tested / 'one/metrics.json').read_text())
    assert overall['AR100'] == pytest.approx(
        metrics['report']['figures']['AR100'], abs=1e-9
    )
    out = tested / 'from_json.html'
    assert run_command(
        'report', '--predictions', found, '--annotations', truth,
        '--images', data / 'val2017', '--out', out,
    ) == 0  # fmt: skip
    assert '<figure' in out.read_text()
    assert run_command('report', '--predictions', found) == 2
    assert 'holds no truth: give --annotations' in capsys.readouterr().err


def test_report_of_a_work_dir_tests_what_is_new(
    tested: Path, data: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    cfg = load_config(str(DETECTOR))
    text = cfg.pretty_text.replace('data/demo/', f'{data}/')
    text = text.replace('num_workers=1', 'num_workers=0')
    text = text.replace('persistent_workers=True', 'persistent_workers=False')
    (tmp_path / 'mine.py').write_text(text)
    weights = tested / 'one/epoch_1.pth'
    (tmp_path / 'epoch_1.pth').write_bytes(weights.read_bytes())
    assert run_command('report', tmp_path) == 0
    assert f'{tmp_path}: testing epoch_1.pth' in capsys.readouterr().out
    assert (tmp_path / 'report.html').is_file()
    record = load_record(tmp_path / 'predictions.npz')
    again = load_record(tested / 'one/predictions.npz')
    np.testing.assert_allclose(
        record.detections.scores, again.detections.scores, atol=1e-6
    )
    assert run_command('report', tmp_path) == 0
    assert 'testing' not in capsys.readouterr().out


def test_comparison(
    tested: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'both.html'
    runs = [tested / 'one/predictions.npz', tested / 'two']
    assert run_command('report', *runs, '--out', out) == 0
    assert 'noise of 4 images' in capsys.readouterr().out
    assert 'two against predictions' in out.read_text()


def test_best_score_goes_into_an_export(
    tested: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from lvt_dense.apis.report import best_score

    metrics = json.loads((tested / 'one/metrics.json').read_text())
    weights = tested / 'one/epoch_1.pth'
    cfg = load_config(str(DETECTOR))
    assert best_score(cfg, str(weights)) == metrics['report']['score_thr']
    made = []
    monkeypatch.setattr(
        'lvt_dense.apis.export._convert',
        lambda graph, *_: (made.append(graph.info), (None, lambda: None))[1],
    )
    words = ('export', DETECTOR, weights, '--out', tmp_path / 'b.onnx',
             '--raw', '--size', '64x64', '--score-thr')  # fmt: skip
    assert run_command(*words, 'best') == 0
    assert run_command(*words, '0.5') == 0
    thresholds = [info['score_thr'] for info in made]
    assert thresholds == [metrics['report']['score_thr'], 0.5]
    other = tmp_path / 'other.pth'
    other.write_bytes(weights.read_bytes())
    status = run_command(
        'export', DETECTOR, other, '--out', tmp_path / 'a.onnx',
        '--score-thr', 'best',
    )  # fmt: skip
    assert status == 2
    assert 'holds no threshold for other.pth' in capsys.readouterr().err


@pytest.mark.parametrize(
    'words, message',
    [
        ([], 'give the work directory'),
        (['nowhere'], 'nowhere: no such folder'),
        (['--predictions', 'a.txt'], 'give an .npz file'),
        (['--predictions', 'a.npz'], 'a.npz: no such file'),
        (['.', '--out', 'a.txt'], 'give a file .html'),
        (['.', '--images', 'b'], 'need --predictions'),
    ],
)
def test_bad_input(
    words: list[str], message: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run_command('report', *words) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_semantic(tmp_path: Path) -> None:
    write_semantic(tmp_path / 'data', 'camvid', 4, size=(96, 64), seed=0)
    weights = save_weights(SEGMENTER, tmp_path / 'a.pth')
    out = tmp_path / 'page.html'
    status = run_command(
        'test', SEGMENTER, weights, '--data-root', tmp_path / 'data',
        '--work-dir', tmp_path / 'work', '--report', out,
        '--cfg-options', *QUICK,
    )  # fmt: skip
    assert status == 0
    metrics = json.loads((tmp_path / 'work/metrics.json').read_text())
    figures = metrics['report']['figures']
    for name in ('mIoU', 'mAcc', 'aAcc'):
        assert 100 * figures[name] == pytest.approx(metrics[name], abs=0.006)
    assert 0 < figures['boundary IoU'] < 1
    assert 0 < metrics['report']['ece'] < 1
    page = out.read_text()
    assert 'boundary IoU' in page and page.count('<figure') >= 1


def test_mono3d(tmp_path: Path) -> None:
    root = write_kitti(tmp_path / 'kitti')
    weights = save_weights(MONO3D, tmp_path / 'a.pth')
    out = tmp_path / 'page.html'
    status = run_command(
        'test', MONO3D, weights, '--data-root', root, '--work-dir',
        tmp_path / 'work', '--report', out, '--cfg-options', *QUICK,
    )  # fmt: skip
    assert status == 0
    page = out.read_text()
    for text in ('Figures by difficulty', 'moderate', '20-40 m', 'Car 3D'):
        assert text in page


def test_instances(data: Path, tmp_path: Path) -> None:
    heads = ('bbox_head', 'mask_head')
    options = {f'model.roi_head.{name}.num_classes': 3 for name in heads}
    weights = save_weights(INSTANCES, tmp_path / 'a.pth', **options)
    out = tmp_path / 'page.html'
    status = run_command(
        'test', INSTANCES, weights, '--data-root', data, '--work-dir',
        tmp_path / 'work', '--report', out, '--cfg-options', *QUICK,
        'test_dataloader.dataset.metainfo.classes=person,bicycle,car',
        'test_dataloader.dataset.pipeline.1.scale=(128,128)',
        'model.test_cfg.rcnn.score_thr=0.0',
        'model.test_cfg.rcnn.max_per_img=20',
        'model.test_cfg.rpn.max_per_img=50',
        *(f'{key}={value}' for key, value in options.items()),
    )  # fmt: skip
    assert status == 0
    metrics = json.loads((tmp_path / 'work/metrics.json').read_text())
    assert metrics['report']['figures']['AR100'] == pytest.approx(
        metrics['coco/segm_AR@100'], abs=6e-4
    )
    page = out.read_text()
    assert '<h2>Figures of the boxes</h2>' in page
    assert 'by the IoU of the mask' in page
