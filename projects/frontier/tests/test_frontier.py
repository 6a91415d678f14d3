"""The comparison of backbones: pieces, tables, pictures. No figure is held."""

import json
from pathlib import Path

import pytest
from frontier import camvid, detectors, published, report, runs, sweep
from swap_sweep import trial
from torch import nn

from lvt_dense.config import load_config
from lvt_dense.models.backbones import list_backbones
from lvt_dense.models.layers import LayerNorm2d
from lvt_dense.utils.errors import UserError


def test_front_has_what_no_other_beats() -> None:
    points = [(3, 5), (1, 2), (2, 1), (2, 4), (4, 5), (5, 9)]
    assert report.pareto_front(points) == [(1, 2), (2, 4), (3, 5), (5, 9)]


def test_published_figures_are_of_models_that_are_measured() -> None:
    assert set(published.OURS) <= set(list_backbones())
    assert set(published.PUBLISHED) <= {*published.OURS, *published.THEIRS}
    for figures in published.PUBLISHED.values():
        assert all(f.source and 15 < f.value < 85 for f in figures)


def test_second_run_measures_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, 'TOGETHER', 1)
    out = tmp_path / 'rows.json'
    names, size = ['emo_1m', 'mobilevit_xxs'], (64, 64)

    def go_on(limit: int | None) -> list[str]:
        sweep.measure_all(names, size, tmp_path, out, 1, 1, limit)
        return [row['name'] for row in json.loads(out.read_text())]

    assert go_on(1) == ['emo_1m']
    assert go_on(None) == names
    monkeypatch.delattr(sweep, 'measure')
    assert go_on(None) == names  # nothing is measured twice
    first, second = sweep.read_rows(out)
    assert first['eager_ratio'] == 1 and second['eager'] > 0
    report.write_report([first, second], tmp_path)
    table = (tmp_path / 'table.md').read_text()
    assert '34.4 RetinaNet, COCO' in table and 'no export' in table
    assert (tmp_path / 'macs_64x64.png').stat().st_size > 1000


def test_a_failed_export_leaves_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError('no such operator')

    monkeypatch.setattr(sweep, 'export_network', fail)
    sweep.export_all(['emo_1m'], (64, 64), tmp_path)
    reason = tmp_path / 'emo_1m_64x64.txt'
    assert reason.read_text() == 'ValueError: no such operator'


def test_openvino_has_a_file_of_its_own_where_layers_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(model: nn.Module, image: object, path: Path) -> None:
        norms = sum(isinstance(m, LayerNorm2d) for m in model.modules())
        path.write_text(str(norms))

    monkeypatch.setattr(sweep, 'export_network', export)
    sweep.export_all(['emo_1m', 'mobilevit_xxs'], (64, 64), tmp_path)
    found = {path.stem: path.read_text() for path in tmp_path.iterdir()}
    assert int(found.pop('emo_1m_64x64')) > 0
    assert found == {'emo_1m_64x64_openvino': '0', 'mobilevit_xxs_64x64': '0'}


@pytest.mark.parametrize('name', camvid.TITLES)
def test_families_share_all_but_the_backbone(name: str) -> None:
    cfg = load_config(str(camvid.HERE / 'camvid' / f'{name}.py'))
    base = load_config(str(camvid.HERE / 'camvid' / 'mobilevit_xxs.py'))
    assert trial.try_modes(cfg) == dict.fromkeys(trial.MODES, '')
    for key in ('train_dataloader', 'optim_wrapper', 'param_scheduler'):
        assert cfg[key] == base[key]
    head, own = (dict(c.model.decode_head) for c in (base, cfg))
    for key in ('in_channels', 'in_index'):
        del head[key], own[key]
    assert own == head


def test_metrics_of_all_validations(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='train there first'):
        runs.read_metric(tmp_path, 'mIoU')
    path = tmp_path / '20260101_000000' / 'vis_data' / 'scalars.json'
    path.parent.mkdir(parents=True)
    path.write_text('{"loss": 2.0}\n{"mIoU": 20.5}\n{"mIoU": 25.0}\n')
    assert runs.read_metric(tmp_path, 'mIoU') == [20.5, 25.0]


def test_families_in_table_and_picture(tmp_path: Path) -> None:
    row = dict(
        family='EMO-1M',
        miou=25.04,
        parameters=2_770_000,
        macs=6e8,
        seconds=0.05,
        ratio=1.5,
    )
    table = camvid.make_table([row])
    assert '| EMO-1M | 25.0 | 2.77 | 0.60 | 50 | 1.50 |' in table
    camvid.draw([row], tmp_path / 'camvid.png')
    assert (tmp_path / 'camvid.png').stat().st_size > 1000


@pytest.mark.parametrize('name', detectors.TITLES)
def test_detectors_share_all_but_neck_and_head(name: str) -> None:
    folder = detectors.HERE / 'detectors'
    cfg = load_config(str(folder / f'{name}.py'))
    base = load_config(str(folder / 'ssdlite_emo_1m.py'))
    assert trial.try_modes(cfg) == dict.fromkeys(trial.MODES, '')
    for key in ('train_dataloader', 'optim_wrapper', 'param_scheduler'):
        assert cfg[key] == base[key]
    assert cfg.model.backbone.arch == '1m'
    assert cfg.model.bbox_head.num_classes == 1


def test_detectors_in_table_and_picture(tmp_path: Path) -> None:
    row = dict.fromkeys(detectors.KEYS, [0.01, 0.12])
    cost = dict(parameters=2_100_000, macs=5e8, seconds=0.02, ratio=1.0)
    rows = [dict(row, detector='RTMDet', **cost)]
    table = detectors.make_table(rows)
    assert '| RTMDet | 12.0 | 12.0 | 12.0 | 2.10 | 0.50 | 20 | 1.00 |' in table
    detectors.draw(rows, 3, tmp_path / 'detectors.png')
    assert (tmp_path / 'detectors.png').stat().st_size > 1000
