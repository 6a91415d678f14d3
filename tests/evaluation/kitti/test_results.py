"""Result folders, the metric, and the script that scores a folder."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.kitti import write_kitti
from mmdet.structures import DetDataSample
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from torch import Tensor

from lvt_dense.commands.main import main
from lvt_dense.datasets.kitti import results as kitti_results
from lvt_dense.datasets.kitti.dataset import KittiMonoDataset
from lvt_dense.datasets.kitti.labels import (
    KittiObjects,
    read_labels,
    read_results,
)
from lvt_dense.datasets.kitti.results import (
    format_results,
    read_folders,
    write_results,
)
from lvt_dense.evaluation.kitti.metric import describe_limits
from lvt_dense.evaluation.kitti.table import format_scores
from lvt_dense.utils.errors import UserError

ROW = [0.0, 0, 1.85, 387.63, 181.54, 423.81, 203.12, 1.67, 1.87, 3.69,
       -16.53, 2.39, 58.49, 1.57, 0.625]  # fmt: skip
NONE = KittiObjects.from_rows([], [])


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Labels of three frames, and results that equal them."""
    labels, results = tmp_path / 'label_2', tmp_path / 'results'
    labels.mkdir()
    results.mkdir()
    words = ' '.join(map(str, ROW))
    for i in range(3):
        (results / f'00000{i}.txt').write_text(f'Car {words}\n')
        label = words.rsplit(' ', 1)[0]
        (labels / f'00000{i}.txt').write_text(f'Car {label}\n')
    return results, labels


def test_a_line_has_the_16_fields_of_the_server() -> None:
    text = format_results(KittiObjects.from_rows(['Car'], [ROW]))
    assert text == (
        'Car -1 -1 1.8500 387.6300 181.5400 423.8100 203.1200 1.6700 1.8700 '
        '3.6900 -16.5300 2.3900 58.4900 1.5700 0.625000\n'
    )


def test_written_results_are_read_back(tmp_path: Path) -> None:
    objects = KittiObjects.from_rows(['Car', 'Cyclist'], [ROW, ROW[::-1]])
    write_results(tmp_path / 'out', {'000001': objects, '000002': NONE})
    again = read_results(tmp_path / 'out' / '000001.txt')
    assert again.types.tolist() == ['Car', 'Cyclist']
    assert np.allclose(again.boxes_3d, objects.boxes_3d, atol=1e-4)
    assert np.allclose(again.scores, objects.scores, atol=1e-6)
    # A frame without detections has an empty file.
    assert (tmp_path / 'out' / '000002.txt').read_text() == ''


def test_stale_results_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    monkeypatch.setattr(
        kitti_results, 'print_log', lambda text, **_: said.append(text)
    )
    write_results(tmp_path, {'000001': NONE, '000002': NONE})
    assert not said
    write_results(tmp_path, {'000001': NONE})
    assert '1 other frames, such as 000002.txt' in said[0]


def test_frames_that_are_missing(folders: tuple[Path, Path]) -> None:
    results, labels = folders
    (results / '000001.txt').unlink()
    with pytest.raises(UserError, match='lacks 1 of 3 frames.*000001.txt'):
        read_folders(results, labels)
    truth, found = read_folders(results, labels, missing_as_empty=True)
    assert [len(item) for item in found] == [1, 0, 1]
    assert [len(item) for item in truth] == [1, 1, 1]


def test_frames_can_be_named(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    results, labels = folders
    (results / '000001.txt').unlink()
    ids = tmp_path / 'val.txt'
    ids.write_text('000002\n000000\n')
    truth, found = read_folders(results, labels, ids)
    assert len(truth) == len(found) == 2
    ids.write_text('000002\n000009\n')
    with pytest.raises(UserError, match='val.txt:2: frame 000009 has no'):
        read_folders(results, labels, ids)


def test_labels_without_alpha_are_counted(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    results, labels = folders
    for path in labels.glob('*.txt'):
        words = path.read_text().split()
        path.write_text(' '.join([*words[:3], '-10', *words[4:]]) + '\n')
    main('kitti-eval', [str(results), str(labels)])
    said = '3 of 3 ground truths have no alpha (-10): it is computed'
    assert said in capsys.readouterr().out


def test_results_without_labels(folders: tuple[Path, Path]) -> None:
    results, labels = folders
    (labels / '000001.txt').unlink()
    with pytest.raises(UserError, match='000001.txt: no label file'):
        read_folders(results, labels)


def test_folders_that_hold_nothing(
    folders: tuple[Path, Path], tmp_path: Path
) -> None:
    results, labels = folders
    with pytest.raises(UserError, match='nowhere: no such folder'):
        read_folders(tmp_path / 'nowhere', labels)
    (tmp_path / 'sub').mkdir()
    results.rename(tmp_path / 'sub' / 'data')
    with pytest.raises(UserError, match='no .txt files; did you mean .*data'):
        read_folders(tmp_path / 'sub', labels)


def test_table() -> None:
    levels = {
        level: {'R40': 12.345, 'R11': None}
        for level in ('easy', 'moderate', 'hard')
    }
    names = [
        f'{c}_{m}'
        for c in ('car', 'pedestrian', 'cyclist')
        for m in ('2d', 'bev', '3d', 'aos')
    ]
    table = format_scores(dict.fromkeys(names, levels)).splitlines()
    assert len(table) == 13
    assert table[3].split() == ['Car', '3D', *['12.35'] * 3, *['-'] * 3] or (
        table[3].split() == ['Car', '3D', *['12.34'] * 3, *['-'] * 3]
    )


# ------------------------------------------------------------------ metric


def make_samples(
    root: Path, classes: tuple[str, ...] | None = None, **changes: Any
) -> tuple[list, dict]:
    """Data samples of all frames, with the ground truth as predictions."""
    data = KittiMonoDataset(
        data_root=str(root),
        ann_file='ImageSets/trainval.txt',
        test_mode=True,
        metainfo=dict(classes=classes) if classes else None,
    )
    samples = []
    for i in range(len(data)):
        info = data.get_data_info(i)
        items = info['instances']
        count = len(items)

        def gather(
            key: str,
            width: tuple[int, ...],
            items: list[dict] = items,
            count: int = count,
        ) -> Tensor:
            values = [item[key] for item in items]
            return torch.tensor(values).reshape(count, *width)

        predictions = InstanceData(
            bboxes_3d=gather('bbox_3d', (7,)),
            scores_3d=torch.full((count,), 0.9),
            labels_3d=gather('bbox_label', ()).long(),
            bboxes=gather('bbox', (4,)),
            alphas=gather('alpha', ()),
        )
        sample = DetDataSample(
            metainfo=dict(
                sample_idx=info['sample_idx'],
                ori_shape=(info['height'], info['width']),
                eval_labels=info['eval_labels'],
            )
        )
        sample.set_metainfo(changes)
        sample.pred_instances_3d = predictions
        samples.append(sample)
    return samples, data.metainfo


def run_metric(samples: list, meta: dict, **kwargs: Any) -> dict[str, float]:
    evaluator = Evaluator(dict(type='lvt_dense.KittiMetric', **kwargs))
    evaluator.dataset_meta = meta
    evaluator.process(samples)
    return evaluator.evaluate(len(samples))


def test_metric_names_and_figures(tmp_path: Path) -> None:
    root = write_kitti(tmp_path / 'kitti')
    figures = run_metric(*make_samples(root))
    strict = [key for key in figures if key.endswith('_strict')]
    loose = [key for key in figures if key.endswith('_loose')]
    assert (len(strict), len(loose)) == (73, 36)
    # Three cars are three thresholds, the first of them at recall 0.
    assert figures['KITTI/Car_3D_AP40_moderate_strict'] == 2 / 40 * 100
    assert figures['KITTI/Car_AOS_AP40_hard_strict'] == pytest.approx(
        2 / 40 * 100
    )
    assert figures['KITTI/Cyclist_BEV_AP11_hard_loose'] == pytest.approx(
        100 / 11, abs=0.01
    )
    # That of Car, by which checkpoints are selected.
    assert figures['KITTI/3D_AP40_moderate_strict'] == 2 / 40 * 100
    # The only pedestrian is partly occluded, too hard for easy.
    assert math.isnan(figures['KITTI/Pedestrian_2D_AP40_easy_strict'])


def test_metric_scores_as_the_folder_it_writes(tmp_path: Path) -> None:
    root = write_kitti(tmp_path / 'kitti')
    out = tmp_path / 'submission'
    figures = run_metric(*make_samples(root), submission_dir=str(out))
    assert sorted(path.name for path in out.iterdir()) == [
        f'00000{i}.txt' for i in range(4)
    ]
    assert (out / '000002.txt').read_text() == ''
    report = run_tool(out, root / 'training' / 'label_2', tmp_path)
    value = report['ap']['car_3d']['moderate']['R40']
    assert value == figures['KITTI/Car_3D_AP40_moderate_strict']


def test_boxes_are_clipped_to_the_image(tmp_path: Path) -> None:
    samples, meta = make_samples(write_kitti(tmp_path / 'kitti'))
    samples[0].pred_instances_3d.bboxes[0] = torch.tensor(
        [-20.0, 5.0, 900.0, 900.0]
    )
    run_metric(samples, meta, submission_dir=str(tmp_path / 'out'))
    found = read_results(tmp_path / 'out' / '000000.txt')
    assert found.bboxes[0].tolist() == [0, 5, 479, 159]


def test_test_set_is_written_and_not_scored(tmp_path: Path) -> None:
    root = write_kitti(tmp_path / 'kitti')
    samples, meta = make_samples(root, eval_labels=None)
    out = tmp_path / 'submission'
    assert run_metric(samples, meta, submission_dir=str(out)) == {}
    assert len(list(out.iterdir())) == 4
    samples, meta = make_samples(root, eval_labels=None)
    with pytest.raises(UserError, match='set submission_dir'):
        run_metric(samples, meta)


def test_nan_in_predictions_names_the_frame(tmp_path: Path) -> None:
    samples, meta = make_samples(write_kitti(tmp_path / 'kitti'))
    samples[3].pred_instances_3d.bboxes_3d[1, 2] = math.nan
    with pytest.raises(UserError, match='frame 000003: .*boxes_3d.*NaN'):
        run_metric(samples, meta)


def test_classes_of_ones_own_have_their_metrics(tmp_path: Path) -> None:
    root = write_kitti(tmp_path / 'kitti')
    samples, meta = make_samples(root, ('Van', 'cyclist'))
    # A little too long for 0.7 in space, not for 0.6.
    samples[0].pred_instances_3d.bboxes_3d[:, 3] *= 1.5
    # mmcv's rotated overlap is not exact where edges coincide.
    samples[0].pred_instances_3d.bboxes_3d[:, 5] *= 0.98
    metrics = run_metric(samples, meta)
    assert metrics['KITTI/Van_2D_AP40_hard_strict'] == 0
    assert metrics['KITTI/Van_3D_AP11_hard_strict'] == 0
    loose = run_metric(samples, meta, overlaps=dict(Van=0.6))
    assert loose['KITTI/Van_3D_AP11_hard_strict'] == pytest.approx(
        100 / 11, abs=0.01
    )
    assert loose['KITTI/cyclist_3D_AP11_hard_strict'] == pytest.approx(
        100 / 11, abs=0.01
    )
    assert not any(key.startswith('KITTI/Car') for key in metrics)
    # The van is largely occluded, so that the mean is the cyclist's alone.
    assert math.isnan(metrics['KITTI/Van_3D_AP40_moderate_strict'])
    assert metrics['KITTI/3D_AP40_moderate_strict'] == 0


@pytest.mark.parametrize(
    'overlaps, message',
    [
        (dict(Car=1.5), 'IoU of Car is 1.5; give a number between 0 and 1'),
        (dict(Bus=0.5), 'Bus is no class.*Car, Pedestrian, Cyclist'),
    ],
)
def test_overlaps_that_are_none(
    tmp_path: Path, overlaps: Any, message: str
) -> None:
    samples, meta = make_samples(write_kitti(tmp_path / 'kitti'))
    with pytest.raises(UserError, match=message):
        run_metric(samples, meta, overlaps=overlaps)


def test_more_classes_predicted_than_there_are(tmp_path: Path) -> None:
    samples, meta = make_samples(write_kitti(tmp_path / 'kitti'))
    with pytest.raises(UserError, match='predicts class 2, .* has 1 classes'):
        run_metric(samples, dict(meta, classes=('Car',)))


# ------------------------------------------------------------------ script


def call_tool(*args: object) -> None:
    main('kitti-eval', list(map(str, args)))


def run_tool(results: Path, labels: Path, tmp_path: Path, *args: Any) -> dict:
    out = tmp_path / 'figures.json'
    call_tool(results, labels, '--out', out, *args)
    return json.loads(out.read_text())


def test_script_writes_all_figures(
    folders: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = run_tool(*folders, tmp_path)
    assert report['frames'] == 3
    values = [
        value
        for levels in report['ap'].values()
        for entry in levels.values()
        for value in entry.values()
    ]
    assert len(values) == 72
    # 21.6 px high: no difficulty counts it.
    assert set(values) == {None}
    table = capsys.readouterr().out
    assert 'Car 3D' in table and 'Cyclist AOS' in table


def test_script_scores_other_classes(
    folders: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = run_tool(*folders, tmp_path, '--classes', 'Truck', 'Car')
    assert {key.split('_')[0] for key in report['ap']} == {'truck', 'car'}
    assert 'Truck AOS' in capsys.readouterr().out


@pytest.mark.parametrize(
    'text, message',
    [
        ('Car 0 0 1\n', '000001.txt:1: 4 fields, but a result has 16'),
        (
            'Car ' + ' '.join(map(str, ROW[:-1])) + ' nan\n',
            '000001.txt:1: "nan" is not a finite number',
        ),
    ],
)
def test_script_says_bad_input_in_one_line(
    folders: tuple[Path, Path],
    capsys: pytest.CaptureFixture[str],
    text: str,
    message: str,
) -> None:
    results, labels = folders
    (results / '000001.txt').write_text(text)
    with pytest.raises(SystemExit) as stop:
        call_tool(results, labels)
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith('error: ') and message in error
    assert error.count('\n') == 1


def test_script_refuses_missing_frames_unless_told(
    folders: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results, labels = folders
    (results / '000001.txt').unlink()
    with pytest.raises(SystemExit) as stop:
        call_tool(results, labels)
    assert stop.value.code == 2
    assert '--missing-as-empty' in capsys.readouterr().err
    report = run_tool(results, labels, tmp_path, '--missing-as-empty')
    assert report['frames'] == 3


def test_real_labels_as_results_give_what_the_counts_allow(
    real_data: Path, tmp_path: Path
) -> None:
    labels = real_data / 'kitti' / 'training' / 'label_2'
    frames = {path.stem: read_labels(path) for path in labels.glob('*.txt')}
    own = {
        name: objects[objects.is_type('Car', 'Pedestrian', 'Cyclist')]
        for name, objects in frames.items()
    }
    write_results(tmp_path / 'results', own)
    report = run_tool(tmp_path / 'results', labels, tmp_path)
    for metric in ('2d', 'bev', '3d', 'aos'):
        entry = report['ap'][f'car_{metric}']
        assert entry['moderate']['R40'] == 100, metric
        assert entry['hard']['R11'] == 100, metric


def test_small_counts_are_named() -> None:
    rows = [ROW[:6] + [250.0] + ROW[7:]] * 21
    labels = [KittiObjects.from_rows(['Car'] * 21, rows)]
    text = describe_limits(labels)
    # 68 px high and without any occlusion: it counts for all three.
    assert 'Car easy 21 (50.0)' in text and 'Car hard 21 (50.0)' in text
    assert 'Pedestrian' not in text
    low = [KittiObjects.from_rows(['Van'] * 2, [ROW] * 2)]
    assert 'Van 0 of 2' in describe_limits(low, ['Van', 'Car'])
    assert describe_limits(labels * 2) == ''
