"""Text on pictures, and reasons in errors, that can be read."""

from pathlib import Path

import numpy as np
import pytest

from lvt_dense.runtime.detection import Detection
from lvt_dense.runtime.drawing import draw
from lvt_dense.runtime.errors import InputError
from lvt_dense.runtime.sessions import _open_onnx


@pytest.mark.parametrize(
    ('color', 'is_white'), [((0, 0, 200), True), ((255, 255, 0), False)]
)
def test_text_is_black_or_white(color: tuple, is_white: bool) -> None:
    image = np.full((60, 90, 3), 90, np.uint8)
    found = [Detection('car', 0, 0.374, np.array([10.0, 20, 80, 50]))]
    picture = np.asarray(draw(image, found, np.array([color], np.uint8)))
    ink = (picture > 200).all(-1) if is_white else (picture < 55).all(-1)
    assert ink.any()
    assert not (picture > 200).all(-1).any() or is_white


def test_reason_of_an_unreadable_model_is_told(tmp_path: Path) -> None:
    pytest.importorskip('onnxruntime')
    path = tmp_path / 'newer.onnx'
    path.write_bytes(b'\x08\x63no model')
    with pytest.raises(InputError, match='may be older than the file: .+'):
        _open_onnx(path, 1)


def test_the_best_objects_are_drawn() -> None:
    image = np.zeros((30, 660, 3), np.uint8)
    found = [
        Detection('a', 0, 0.5 + i / 1000, np.array([6 * i, 20, 6 * i + 4, 26]))
        for i in range(110)
    ]

    def drawn(**options: int) -> list[int]:
        colors = np.array([(255, 0, 0)], np.uint8)
        row = np.asarray(draw(image, found, colors, **options))[26]
        return [i for i in range(110) if row[6 * i + 1].any()]

    assert drawn() == list(range(10, 110))
    assert drawn(max_drawn=2) == [108, 109]
    assert drawn(max_drawn=300) == list(range(110))
