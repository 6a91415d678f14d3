"""Labels in KITTI's format as converters write them, by the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.commands import run_command
from helpers.own_data_commands import MONO3D, load, read, summary
from PIL import Image

from lvt_dense.datasets.kitti.labels import KittiObjects, format_objects
from lvt_dense.structures import box2d_from_boxes3d

CAMERA = np.array(
    [[700.0, 0, 300, 0], [0, 700, 90, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
)
SIZE = (600, 180)


def objects(index: int) -> KittiObjects:
    """Three cars on the road whose 2D boxes are their projections."""
    import torch

    rng = np.random.default_rng(index)
    boxes = np.zeros((3, 7))
    boxes[:, 0] = rng.uniform(-4, 4, 3)
    boxes[:, 1] = 1.6
    boxes[:, 2] = rng.uniform(14, 30, 3)
    boxes[:, 3:6] = 4.1, 1.5, 1.7
    boxes[:, 6] = rng.uniform(-3, 3, 3)
    flat = box2d_from_boxes3d(
        torch.from_numpy(boxes), torch.from_numpy(CAMERA), SIZE[::-1]
    ).numpy()
    rows = [
        [0, 0, 0, *flat[i], *boxes[i, [4, 5, 3]], *boxes[i, :3], boxes[i, 6]]
        for i in range(3)
    ]
    return KittiObjects.from_rows(['Car'] * 3, rows)


def write(
    root: Path, change: Callable[[KittiObjects], None], end: str = ''
) -> Path:
    """Write four frames; ``change`` alters the objects of each."""
    for folder in ('image_2', 'label_2', 'calib'):
        (root / 'training' / folder).mkdir(parents=True)
    for index in range(4):
        name = f'{index:06}'
        Image.new('RGB', SIZE).save(root / f'training/image_2/{name}.png')
        numbers = ' '.join(f'{v:.6f}' for v in CAMERA[:3].ravel())
        calib = root / f'training/calib/{name}.txt'
        calib.write_text(f'P2: {numbers}\n')
        found = objects(index)
        change(found)
        text = format_objects(found, digits=3).replace('\n', f'{end}\n')
        (root / f'training/label_2/{name}.txt').write_text(text)
    (root / 'ImageSets').mkdir()
    (root / 'ImageSets/train.txt').write_text('000000\n000001\n000002\n')
    (root / 'ImageSets/val.txt').write_text('000003\n')
    return root


def refused(root: Path, capfd: pytest.CaptureFixture, *args: str) -> str:
    """Run a training that ends with one line."""
    work = root.parent / 'work'
    status = run_command('train', MONO3D, *args, '--work-dir', work)
    out = ''.join(capfd.readouterr())
    assert status != 0
    assert 'Traceback' not in out
    return out


def test_sound_labels_and_a_16th_field(tmp_path: Path) -> None:
    root = write(tmp_path / 'data', lambda found: None, ' 0.87')
    cfg = read(MONO3D, root)
    assert len(load(cfg)[0]['data_samples'].gt_instances_3d.labels_3d) == 3
    text = summary(root)
    assert 'the labels have a 16th field' in text
    assert 'left out:' not in text


CASES = dict(
    occlusion=('occlusion above 2 (3 means unknown)', 'occluded', 3),
    truncation=(
        'truncation above 0.5 (the labels have 0, 1 and 2',
        'truncated',
        1,
    ),
)  # fmt: skip


@pytest.mark.parametrize('case', list(CASES))
@pytest.mark.parametrize('option', ['--data', '--data-root'])
def test_objects_that_the_recipe_leaves_out(
    case: str, option: str, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    reason, field, value = CASES[case]

    def some(found: KittiObjects) -> None:
        getattr(found, field)[0] = value

    def all_of_them(found: KittiObjects) -> None:
        getattr(found, field)[:] = value

    if option == '--data':
        root = write(tmp_path / 'some' / 'data', some)
        read(MONO3D, root)
        assert f'3 of 9 objects are left out: {reason}' in summary(root)
    root = write(tmp_path / 'all' / 'data', all_of_them)
    out = refused(root, capfd, option, str(root))
    words = f'9 of 9 objects are left out: {reason}'
    assert f'no object is left to train on: {words}' in out


def far_and_low(found: KittiObjects) -> None:
    found.boxes_3d[0, 2] = 80
    found.bboxes[1] = [100, 80, 130, 95]


def test_far_and_low_objects(tmp_path: Path) -> None:
    root = write(tmp_path / 'data', far_and_low)
    with_poor = summary_of(root)
    assert '3 of 9 objects are left out: farther than 65 m' in with_poor
    assert '3 of 9 objects are left out: 2D boxes lower than 25' in with_poor


def summary_of(root: Path) -> str:
    """Read the data; a third of the boxes may miss their 2D box."""
    from lvt_dense.config import load_config
    from lvt_dense.datasets.own import mono3d
    from lvt_dense.datasets.own.api import describe_data, load_labels

    cfg = load_config(MONO3D)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mono3d, '_check_projections', lambda data: None)
        return describe_data(cfg, load_labels(cfg, root, 'mono3d'))


def behind(found: KittiObjects) -> None:
    found.boxes_3d[:, 2] *= -1


def lidar(found: KittiObjects) -> None:
    x, y, z = found.boxes_3d[:, :3].T.copy()
    found.boxes_3d[:, 0], found.boxes_3d[:, 1] = z, -x
    found.boxes_3d[:, 2] = -y
    found.boxes_3d[:, 6] = -found.boxes_3d[:, 6] - np.pi / 2


def sides(found: KittiObjects) -> None:
    found.boxes_3d[:, 3:6] = found.boxes_3d[:, [4, 5, 3]]


def one_behind(found: KittiObjects) -> None:
    found.boxes_3d[0, 2] *= -1


@pytest.mark.parametrize(
    'change, words',
    [
        (behind, '12 lie behind the camera'),
        (lidar, 'the boxes are in the axes of the lidar'),
        (sides, 'the sides are in the order'),
    ],
)
def test_boxes_that_miss_their_projection(
    change: Callable,
    words: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture,
) -> None:
    root = write(tmp_path / 'data', change)
    out = refused(root, capfd, '--data', str(root))
    assert words in out
    assert 'do not meet their 2D box when projected' in out


def test_few_boxes_that_miss_are_counted(tmp_path: Path) -> None:
    root = write(tmp_path / 'data', one_behind)
    read(MONO3D, root)
    assert '4 3D boxes do not meet their 2D box' in summary(root)
