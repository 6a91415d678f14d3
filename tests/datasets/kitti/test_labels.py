"""Readers of KITTI's text files, and what they say of bad ones."""

from pathlib import Path

import numpy as np
import pytest

from lvt_dense.datasets.kitti.labels import (
    KittiObjects,
    format_calib,
    format_objects,
    match_frame_ids,
    read_calib,
    read_frame_ids,
    read_labels,
    read_results,
)
from lvt_dense.utils.errors import UserError

CAR = (
    'Car 0.25 1 1.85 387.63 181.54 423.81 203.12 1.67 1.87 3.69 -16.53 2.39 '
    '58.49 1.57'
)
DONT_CARE = (
    'DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 '
    '-1000 -10'
)


def test_fields_of_a_label(tmp_path: Path) -> None:
    path = tmp_path / '000001.txt'
    path.write_text(f'{CAR}\n{DONT_CARE}\n')
    labels = read_labels(path)
    assert labels.types.tolist() == ['Car', 'DontCare']
    assert labels.truncated[0] == 0.25 and labels.occluded[0] == 1
    assert labels.alphas.tolist() == [1.85, -10]
    assert labels.bboxes[0].tolist() == [387.63, 181.54, 423.81, 203.12]
    # x, y, z, then length, height, width, and the yaw.
    expected = [-16.53, 2.39, 58.49, 3.69, 1.67, 1.87, 1.57]
    assert labels.boxes_3d[0].tolist() == expected
    assert labels.scores.tolist() == [1, 1]


def test_results_have_a_score_and_may_be_empty(tmp_path: Path) -> None:
    path = tmp_path / '000001.txt'
    path.write_text(f'{CAR} 0.75\n')
    assert read_results(path).scores.tolist() == [0.75]
    path.write_text('')
    empty = read_results(path)
    assert len(empty) == 0 and empty.boxes_3d.shape == (0, 7)


def test_types_match_in_any_case(tmp_path: Path) -> None:
    labels = KittiObjects.from_rows(['car', 'Van', 'CAR'], [[0] * 14] * 3)
    assert labels.is_type('Car').tolist() == [True, False, True]
    assert labels.is_type('Car', 'Van').all()
    assert not labels.is_type().any()


def test_concatenate_keeps_the_order() -> None:
    one = KittiObjects.from_rows(['Car'], [[1] * 14])
    two = KittiObjects.from_rows(['Van', 'Tram'], [[2] * 14, [3] * 14])
    both = KittiObjects.concatenate([one, two])
    assert both.types.tolist() == ['Car', 'Van', 'Tram']
    assert both.alphas.tolist() == [1, 2, 3]
    assert KittiObjects.concatenate([]).bboxes.shape == (0, 4)


def test_written_labels_are_those_that_were_read(tmp_path: Path) -> None:
    path = tmp_path / '000001.txt'
    path.write_text(f'{CAR}\n{DONT_CARE}\n')
    assert format_objects(read_labels(path)) == path.read_text()
    regions = KittiObjects.dont_care([[503.89, 169.71, 590.61, 190.13]])
    assert format_objects(regions) == f'{DONT_CARE}\n'
    assert format_objects(KittiObjects.dont_care(np.zeros((0, 4)))) == ''


@pytest.mark.parametrize('mark', [b'', b'\xef\xbb\xbf'])
def test_byte_order_mark_and_windows_line_ends(
    tmp_path: Path, mark: str
) -> None:
    path = tmp_path / '000001.txt'

    def write(text: str) -> None:
        path.write_bytes(mark + text.replace('\n', '\r\n').encode())

    write(f'{CAR}\n{DONT_CARE}\n')
    assert read_labels(path).types.tolist() == ['Car', 'DontCare']
    write(f'{CAR} 0.75\n')
    assert read_results(path).types.tolist() == ['Car']
    write('P2: 9 0 1 0 0 9 1 0 0 0 1 0\n')
    assert read_calib(path)[0, 0] == 9
    write('000004\n000001\n')
    assert list(read_frame_ids(path)) == ['000004', '000001']


def test_written_calibration_is_read_back(tmp_path: Path) -> None:
    matrix = np.array([[7, 0, 6, 0.1], [0, 7, 1, 0.25], [0, 0, 1, 1e-3]])
    path = tmp_path / '000001.txt'
    path.write_text(format_calib(dict(P0=matrix * 2, P2=matrix)))
    assert np.array_equal(read_calib(path)[:3], matrix)


@pytest.mark.parametrize(
    'text, message',
    [
        (f'{CAR}\nCar 0 0 1\n', ':2: 4 fields, but a label has 15'),
        (f'{CAR} 0.5 1\n', ':1: 17 fields, but a label has 15'),
        (CAR.replace('58.49', 'nan'), ':1: "nan" is not a finite number'),
        (CAR.replace('58.49', '1e999'), ':1: "1e999" is not a finite'),
        (CAR.replace('58.49', 'far'), ":1: could not convert .*'far'"),
    ],
)
def test_bad_labels_name_file_and_line(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / '000007.txt'
    path.write_text(text)
    with pytest.raises(UserError, match='000007.txt' + message):
        read_labels(path)


def test_a_label_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / '000007.txt'
    path.write_text(CAR)
    with pytest.raises(UserError, match=':1: 15 fields, but a result has 16'):
        read_results(path)


def test_files_that_are_missing_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='a.txt: no such file'):
        read_labels(tmp_path / 'a.txt')
    (tmp_path / 'b.txt').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(UserError, match='b.txt: cannot be read as text'):
        read_labels(tmp_path / 'b.txt')


def test_calib(tmp_path: Path) -> None:
    path = tmp_path / '000001.txt'
    numbers = [700, 0, 600, 45, 0, 700, 170, 0.2, 0, 0, 1, 0.003]
    text = ' '.join(map(str, numbers))
    path.write_text(f'P0: 1 2\nP2: {text}\nP3: 1\n')
    matrix = read_calib(path)
    assert matrix[:3].reshape(-1).tolist() == numbers
    assert matrix[3].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    'text, message',
    [
        ('P0: 1\nP3: 2\n', 'no line starts with "P2:"'),
        ('P0: 1\nP2: 1 2 3\n', ':2: P2 has 3 numbers'),
        ('P2: ' + 'nan ' * 12, ':1: "nan" is not a finite number'),
        ('P2: ' + '0 ' * 12, ':1: P2 is the matrix of no camera'),
        ('P2: 7 0 6 4 0 7 1 0 7 0 6 0', ':1: P2 is the matrix of no camera'),
    ],
)
def test_bad_calib_names_the_file(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / '000009.txt'
    path.write_text(text)
    with pytest.raises(UserError, match='000009.txt:? ?' + message):
        read_calib(path)


def test_frame_ids(tmp_path: Path) -> None:
    path = tmp_path / 'val.txt'
    path.write_text('000004\n\n000001\n')
    assert read_frame_ids(path) == {'000004': 1, '000001': 3}


def test_frame_ids_with_suffix_or_without_zeros(tmp_path: Path) -> None:
    path = tmp_path / 'val.txt'
    path.write_text('000004.png\n7\n000001.TXT\n12a\n')
    ids = read_frame_ids(path)
    assert list(ids) == ['000004', '7', '000001', '12a']
    known = ['000004', '000007', '000001']
    matched = match_frame_ids(ids, known, path)
    assert matched == {'000004': 1, '000007': 2, '000001': 3, '12a': 4}
    assert list(match_frame_ids({'7': 1}, ['7', '000007'], path)) == ['7']
    path.write_text('7\n000007\n')
    with pytest.raises(UserError, match=':2: frame 000007 .* line 1'):
        match_frame_ids(read_frame_ids(path), known, path)


@pytest.mark.parametrize(
    'text, message',
    [
        ('000001\n000002\n000001\n', ':3: frame 000001 .* line 1'),
        ('\n', 'lists no frames'),
        ('000001 Car\n', ':1: "000001 Car" is no frame'),
        ('../000001\n', ':1: "../000001" is no frame'),
    ],
)
def test_bad_frame_ids(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / 'val.txt'
    path.write_text(text)
    with pytest.raises(UserError, match='val.txt' + '.*' + message):
        read_frame_ids(path)


def test_missing_frame_ids_say_where_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='KITTI does not ship ImageSets'):
        read_frame_ids(tmp_path / 'train.txt')


def test_real_labels_have_boxes_of_plausible_size(real_data: Path) -> None:
    folder = real_data / 'kitti' / 'training' / 'label_2'
    labels = [read_labels(path) for path in sorted(folder.glob('*.txt'))]
    cars = KittiObjects.concatenate(labels)
    cars = cars[cars.is_type('Car')]
    length, height, width = np.median(cars.boxes_3d[:, 3:6], axis=0)
    # Means of the whole train split: 3.89, 1.53 and 1.62 m.
    assert 3.5 < length < 4.3 and 1.4 < height < 1.65 and 1.5 < width < 1.75
