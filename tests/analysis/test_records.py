"""Records of predictions on disk."""

from pathlib import Path

import numpy as np
import pytest
from helpers.records import random_record

from lvt_dense.analysis.records import load_record, save_record
from lvt_dense.utils.errors import UserError


def test_a_record_comes_back(tmp_path: Path) -> None:
    record = random_record(0, images=2, masks=True)
    record.true_maps, record.maps = [b'abc', b''], [b'', b'de']
    record.extra['cameras'] = np.eye(4)[None]
    record.about = dict(checkpoint='epoch_1.pth')
    save_record(record, tmp_path / 'found.npz')
    again = load_record(tmp_path / 'found.npz')
    for name in ('task', 'classes', 'true_maps', 'maps', 'about'):
        assert getattr(again, name) == getattr(record, name)
    assert again.detections.masks == record.detections.masks
    np.testing.assert_array_equal(
        again.detections.boxes, record.detections.boxes
    )
    np.testing.assert_array_equal(again.truths.ignored, record.truths.ignored)
    np.testing.assert_array_equal(again.extra['cameras'], np.eye(4)[None])


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'found.npz'
    with pytest.raises(UserError, match='no such file'):
        load_record(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(UserError, match='no predictions of'):
        load_record(path)
    path.write_bytes(b'PK\x03\x04 cut off')
    with pytest.raises(UserError, match='no predictions of'):
        load_record(path)
