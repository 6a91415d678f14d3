"""The KITTI layout of the rendered scenes."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from lvt_dense.scenes import write_kitti
from lvt_dense.scenes.camera import Camera
from lvt_dense.scenes.frame import render
from lvt_dense.scenes.layout import KITTI_PROFILE
from lvt_dense.scenes.writers.kitti import occlusion_level

SIZE = (621, 188)


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('kitti') / 'data'
    return write_kitti(folder, 10, seed=3, size=SIZE)


def _labels(root: Path, name: str) -> list[list[str]]:
    text = (root / 'training/label_2' / f'{name}.txt').read_text()
    return [line.split() for line in text.splitlines()]


def _calib(root: Path, name: str) -> dict[str, np.ndarray]:
    text = (root / 'training/calib' / f'{name}.txt').read_text()
    rows = (line.split(': ') for line in text.splitlines())
    return {k: np.array(v.split(), float) for k, v in rows}


def test_frames_and_lists_belong_together(root: Path) -> None:
    names = {
        split: (root / 'ImageSets' / f'{split}.txt').read_text().split()
        for split in ('train', 'val', 'trainval', 'test')
    }
    assert names['trainval'] == [f'{i:06d}' for i in range(10)]
    assert sorted(names['train'] + names['val']) == names['trainval']
    assert len(names['val']) == 3 and names['test'] == []
    for name in names['trainval']:
        path = root / 'training/image_2' / f'{name}.png'
        assert cv2.imread(str(path)).shape == (188, 621, 3)
        assert (root / 'training/label_2' / f'{name}.txt').is_file()
    assert (root / 'testing/image_2').is_dir()


def test_calibration_is_complete(root: Path) -> None:
    calib = _calib(root, '000000')
    assert list(calib) == ['P0', 'P1', 'P2', 'P3', 'R0_rect',
                           'Tr_velo_to_cam', 'Tr_imu_to_velo']  # fmt: skip
    assert [len(v) for v in calib.values()] == [12, 12, 12, 12, 9, 12, 12]
    P2 = calib['P2'].reshape(3, 4)
    np.testing.assert_allclose(P2, Camera.for_size(*SIZE).P2, rtol=1e-9)
    # a camera 0.5 m to the right sees things further left
    assert calib['P3'][3] < calib['P0'][3] == 0


def test_labels_are_the_rendered_boxes(root: Path) -> None:
    camera, kinds = Camera.for_size(*SIZE), set()
    for index in range(10):
        users = render(3, index, camera, KITTI_PROFILE).users
        labels = _labels(root, f'{index:06d}')
        assert all(len(fields) == 15 for fields in labels)
        assert len(labels) == len(users)
        for fields in labels:
            kinds.add(fields[0])
            if fields[0] == 'DontCare':
                assert fields[1:4] == ['-1', '-1', '-10']
                x1, y1, x2, y2 = map(float, fields[4:8])
                assert 0 <= x1 < x2 <= 620 and 0 <= y1 < y2 <= 187
                continue
            h, w, length, x, y, z, yaw = map(float, fields[8:])
            box3d = np.array([x, y, z, length, h, w, yaw])
            errors = [np.abs(u.box3d - box3d).max() for u in users]
            user = users[int(np.argmin(errors))]
            assert min(errors) <= 0.00501
            assert fields[0].lower() == user.kind
            assert float(fields[1]) == pytest.approx(user.truncation, abs=0.01)
            assert float(fields[3]) == pytest.approx(user.alpha, abs=0.01)
            box = np.array(fields[4:8], float)
            np.testing.assert_allclose(box, user.projected, atol=0.00501)
            assert 0 <= box[0] < box[2] <= 620 and 0 <= box[1] < box[3] <= 187
    assert kinds == {'Car', 'Pedestrian', 'Cyclist', 'DontCare'}


def test_nearest_come_first_and_dontcare_last(root: Path) -> None:
    for index in range(10):
        types = [f[0] for f in _labels(root, f'{index:06d}')]
        known = [t != 'DontCare' for t in types]
        assert known == sorted(known, reverse=True)


def test_occlusion_levels() -> None:
    assert [occlusion_level(v) for v in (1.0, 0.9, 0.7, 0.5, 0.3)] == [
        0, 0, 1, 1, 2,
    ]  # fmt: skip
