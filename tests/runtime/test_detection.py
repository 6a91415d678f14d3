"""Conversion to other packages' classes."""

import numpy as np
import pytest
from helpers.sessions import color_labeler, spot_finder

from lvt_dense.runtime import InputError, to_supervision

IMAGE = np.full((40, 60, 3), 90, np.uint8)
IMAGE[4:20, 8:24] = (0, 255, 0)


def test_detections_become_supervision_s() -> None:
    pytest.importorskip('supervision')
    found = spot_finder(masks=True).predict(IMAGE)
    converted = to_supervision(found)
    assert converted.xyxy.tolist() == [[8, 4, 24, 20]]
    assert converted.confidence.tolist() == [1]
    assert converted.data['class_name'].tolist() == ['green']
    assert converted.mask.shape == (1, 40, 60)
    assert converted.mask.sum() == 256
    assert len(to_supervision([])) == 0


def test_label_maps_become_supervision_s() -> None:
    pytest.importorskip('supervision')
    model = color_labeler()
    converted = to_supervision(model.predict(IMAGE), model.classes)
    assert converted.class_id.tolist() == [0, 1]
    assert converted.mask[1].sum() == 256
    assert converted.xyxy[1].tolist() == [8, 4, 24, 20]


def test_supervision_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'supervision', None)
    with pytest.raises(InputError, match='pip install supervision'):
        to_supervision([])
