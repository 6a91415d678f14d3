"""Prediction on tiles: what borders cut is put together again."""

from pathlib import Path

import numpy as np
import pytest
from helpers.sessions import color_labeler, spot_finder
from PIL import Image

from lvt_dense.runtime import InputError, Tiling
from lvt_dense.runtime.detection import Detection
from lvt_dense.runtime.pictures import TiffPicture, open_picture
from lvt_dense.runtime.tiles import (
    Piece,
    Tile,
    cut_axis,
    cut_tiles,
    inner_axis,
    merge_pieces,
)

SPOTS = {  # class: x1, y1, x2, y2
    0: (10, 10, 22, 20),
    1: (55, 30, 75, 44),  # across a border of tiles
    2: (20, 90, 150, 118),  # longer than a tile
}


def picture() -> np.ndarray:
    image = np.full((150, 200, 3), 90, np.uint8)
    for label, (x1, y1, x2, y2) in SPOTS.items():
        image[y1:y2, x1:x2] = np.eye(3, dtype=np.uint8)[label] * 255
    return image


@pytest.mark.parametrize('length', [30, 64, 65, 640, 1000])
@pytest.mark.parametrize('overlap', [0, 0.2, 0.5])
def test_tiles_cover_and_overlap(length: int, overlap: float) -> None:
    spans = cut_axis(length, Tiling(64, overlap))
    assert spans[0][0] == 0 and spans[-1][1] == length
    for (_, end), (start, _) in zip(spans, spans[1:]):
        assert end - start >= int(overlap * 64)
    inner = inner_axis(spans)
    assert [a for a, _ in inner[1:]] == [b for _, b in inner[:-1]]


@pytest.mark.parametrize('merge', ['nms', 'wbf'])
@pytest.mark.parametrize('masks', [False, True])
@pytest.mark.parametrize('whole', [False, True])
def test_every_object_once(merge: str, masks: bool, whole: bool) -> None:
    model = spot_finder(masks=masks)
    tiling = Tiling(64, 0.3, whole=whole, merge=merge, batch_size=2)
    found = model.predict(picture(), tiling=tiling)
    assert {f.index: tuple(f.box.astype(int)) for f in found} == SPOTS
    assert len(found) == 3
    if masks:
        for item in found:
            x1, y1, x2, y2 = SPOTS[item.index]
            expected = np.zeros((150, 200), bool)
            expected[y1:y2, x1:x2] = True
            np.testing.assert_array_equal(item.mask, expected)


def test_label_maps_have_no_seams() -> None:
    image = np.random.default_rng(0).integers(0, 256, (90, 131, 3), np.uint8)
    model = color_labeler()
    found = model.predict(image, tiling=Tiling(40, 0.25))
    np.testing.assert_array_equal(found, model.predict(image))


def test_a_label_comes_from_the_nearest_tile() -> None:
    model = color_labeler()
    seen = []

    def run(feed: dict) -> dict:
        count, height, width, _ = feed['image'].shape
        seen.append(len(seen) % 3)
        return dict(labels=np.full((count, height, width), seen[-1]))

    model.run = run
    found = model.predict(
        np.zeros((40, 100, 3), np.uint8), tiling=Tiling(40, 0.25, batch_size=1)
    )
    (line,) = cut_tiles((40, 100), Tiling(40, 0.25))
    for number, tile in enumerate(line):
        left, _, right, _ = (*tile.inner[:1], 0, *tile.inner[2:])
        assert (found[:, left:right] == number).all()


def _piece(box: tuple, tile: tuple, score: float, is_cut: bool) -> Piece:
    item = Detection('red', 0, score, np.array(box, float))
    return Piece(item, Tile(tile, tile), is_cut)


def test_a_whole_box_beats_a_surer_part() -> None:
    left, right = (0, 0, 64, 64), (44, 0, 108, 64)
    part = _piece((46, 10, 64, 20), left, 0.9, True)
    whole = _piece((46, 10, 70, 20), right, 0.6, False)
    (found,) = merge_pieces([part, whole])
    assert found.box.tolist() == [46, 10, 70, 20] and found.score == 0.6


def test_neighbors_stay_two() -> None:
    left, right = (0, 0, 64, 64), (44, 0, 108, 64)
    one = _piece((46, 10, 54, 20), left, 0.9, False)
    two = _piece((55, 10, 63, 20), right, 0.8, False)
    assert len(merge_pieces([one, two])) == 2


def test_weighted_boxes() -> None:
    left, right = (0, 0, 64, 64), (44, 0, 108, 64)
    one = _piece((46, 10, 58, 20), left, 0.9, False)
    two = _piece((48, 10, 60, 20), right, 0.3, False)
    (found,) = merge_pieces([one, two], 'wbf')
    assert found.box == pytest.approx(np.array([46.5, 10, 58.5, 20]))
    assert found.score == pytest.approx(0.6)


@pytest.mark.parametrize(
    'options',
    [dict(side=8), dict(overlap=1.0), dict(merge='soft')],
)
def test_bad_tilings(options: dict) -> None:
    with pytest.raises(InputError):
        Tiling(**options)


@pytest.mark.parametrize('kind', ['none', 'deflate', 'tiled'])
def test_rows_of_a_tiff(kind: str, tmp_path: Path) -> None:
    tifffile = pytest.importorskip('tifffile')
    image = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
    options = dict(
        none=dict(rowsperstrip=70),
        deflate=dict(compression='zlib', rowsperstrip=8),
        tiled=dict(tile=(32, 48), compression='zlib'),
    )
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, image, photometric='rgb', **options[kind])
    found = TiffPicture(path)
    assert found.shape == (70, 90)
    for top, bottom in ((0, 70), (5, 33), (69, 70)):
        rows = found.read_rows(top, bottom)
        np.testing.assert_array_equal(rows, image[top:bottom])
    box = np.array([3.2, 60.5, 200, 99])
    np.testing.assert_array_equal(found.read_box(box), image[60:, 3:])
    assert abs(found.shrink(7)[2, 3].mean() - image[14:21, 21:28].mean()) < 1


def test_16_bits_are_refused(tmp_path: Path) -> None:
    tifffile = pytest.importorskip('tifffile')
    tifffile.imwrite(tmp_path / 'a.tif', np.zeros((8, 8), np.uint16))
    with pytest.raises(InputError, match='8 bits'):
        TiffPicture(tmp_path / 'a.tif')


def test_a_large_tiff_is_read_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tifffile = pytest.importorskip('tifffile')
    path = tmp_path / 'a.tif'
    tifffile.imwrite(path, picture(), photometric='rgb')
    assert not isinstance(open_picture(path), TiffPicture)
    monkeypatch.setattr('lvt_dense.runtime.pictures.LARGE', 100)
    assert isinstance(open_picture(path), TiffPicture)
    found = spot_finder().predict(path, tiling=Tiling(64, 0.3))
    assert len(found) == 3
    Image.fromarray(picture()).save(path, tiffinfo={274: 6})
    assert open_picture(path).shape == (200, 150)
