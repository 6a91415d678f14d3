"""Images that differ from what their labels say."""

from pathlib import Path

import pytest
from PIL import Image

from lvt_dense.datasets.transforms import LoadImageFromFile


def load(path: Path, width: int, height: int, boxes: list) -> dict:
    """Load an image with labels for a size."""
    instances = [dict(bbox=box, bbox_label=0) for box in boxes]
    return LoadImageFromFile().transform(
        dict(
            img_path=str(path),
            width=width,
            height=height,
            instances=instances,
        )
    )


def test_boxes_are_fitted_to_the_image_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    monkeypatch.setattr(
        'lvt_dense.datasets.transforms.loading.print_log',
        lambda text, **_: said.append(text),
    )
    path = tmp_path / 'a.png'
    Image.new('RGB', (40, 60)).save(path)  # turned on the disk
    boxes = [[5, 5, 20, 20], [30, 10, 55, 30], [45, 0, 60, 40]]
    results = load(path, 60, 40, boxes)
    kept = [i['bbox'] for i in results['instances']]
    assert kept == [[5, 5, 20, 20], [30, 10, 40, 30]]
    assert (results['width'], results['height']) == (40, 60)
    assert 'is 40 x 60, but its labels are for 60 x 40' in said[0]
    assert '1 of its boxes' in said[0]


def test_nothing_is_said_or_changed_where_sizes_agree(tmp_path: Path) -> None:
    path = tmp_path / 'a.png'
    Image.new('RGB', (60, 40)).save(path)
    boxes = [[5, 5, 20, 20], [30, 10, 90, 30]]
    results = load(path, 60, 40, boxes)
    assert [i['bbox'] for i in results['instances']] == boxes
