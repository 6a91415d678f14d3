"""The table of the precisions."""

import json
from pathlib import Path

import pytest
from precision import study

from lvt_dense.utils.errors import UserError


def test_table_joins_what_there_is(tmp_path: Path) -> None:
    for file, size in (('fp32.onnx', 4000), ('int8.xml', 500)):
        (tmp_path / file).write_bytes(b'x' * size)
    (tmp_path / 'int8.bin').write_bytes(b'x' * 1500)
    metrics = {
        'PyTorch': dict(mIoU=40.0),
        'ONNX Runtime fp32': dict(mIoU=40.0),
        'OpenVINO int8': dict(mIoU=39.6),
    }
    (tmp_path / 'metrics.json').write_text(json.dumps(metrics))
    rows = {
        'fp32.onnx': dict(ms=30.0, p90=31.0, ratio=1.0),
        'int8.xml': dict(ms=15.0, p90=16.0, ratio=0.5),
    }
    (tmp_path / 'speed.json').write_text(json.dumps(dict(rows=rows)))
    first, second = study.tabulate(tmp_path, 'mIoU')
    assert first['gain'] == 1.0 and not first['pays']
    assert second['megabytes'] == 0.002
    assert second['lost'] == pytest.approx(0.4) and second['pays']
    text = study.to_markdown([first, second], 'mIoU')
    name = tmp_path.name
    assert text.splitlines()[-1] == (
        f'| {name} | OpenVINO int8 | 0.0 | 15.0 | 2.00 | 39.60 | 0.40 | yes |'
    )


def test_table_without_measurements(tmp_path: Path) -> None:
    (tmp_path / 'fp32.onnx').write_bytes(b'x')
    (row,) = study.tabulate(tmp_path, 'mIoU')
    assert row['pays'] is None and row['metric'] is None
    with pytest.raises(UserError, match='export first'):
        study.time_versions(tmp_path / 'none', None, 1, 1)
