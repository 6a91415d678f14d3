"""What is said of data that cannot be used."""

import json

import pytest
from mmengine.config import Config

from lvt_dense.apis.checks import annotation_fault, check_data, coco_fault
from lvt_dense.errors import UserError

GOOD = dict(
    images=[dict(id=1, file_name='a.jpg', width=4, height=3)],
    annotations=[dict(id=1, image_id=1, category_id=1, bbox=[0, 0, 2, 2])],
    categories=[dict(id=1, name='car')],
)


def config(root):
    dataset = dict(
        type='CocoDataset',
        data_root=str(root),
        ann_file='ann.json',
        data_prefix=dict(img='images/'),
    )
    return Config(dict(train_dataloader=dict(dataset=dataset)))


def test_missing_root_file_and_folder_are_named(tmp_path):
    root = tmp_path / 'data'
    with pytest.raises(UserError, match=f'root {root} is not there'):
        check_data(config(root), ['train'])
    root.mkdir()
    with pytest.raises(UserError, match='ann.json'):
        check_data(config(root), ['train'])
    (root / 'ann.json').write_text('{}')
    with pytest.raises(UserError, match='images'):
        check_data(config(root), ['train'])
    (root / 'images').mkdir()
    check_data(config(root), ['train'])


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (dict(images=None), "lacks the list 'images'"),
        (dict(annotations=[dict(id=1)]), r'annotations\[0\] lacks image_id'),
        (
            dict(annotations=[dict(GOOD['annotations'][0], bbox=[1, 2])]),
            'four numbers',
        ),
        (dict(categories=[3]), r'categories\[0\] lacks everything'),
    ],
)
def test_faults_of_a_coco_file(tmp_path, change, words):
    path = tmp_path / 'ann.json'
    path.write_text(json.dumps({**GOOD, **change}))
    fault = coco_fault(path)
    with pytest.raises(AssertionError, match=words):
        assert fault is None, fault


def test_good_file_has_no_fault(tmp_path):
    path = tmp_path / 'ann.json'
    path.write_text(json.dumps(GOOD))
    assert coco_fault(path) is None
    assert annotation_fault(config(tmp_path)) is None


def test_truncated_json_is_named(tmp_path):
    path = tmp_path / 'ann.json'
    path.write_text(json.dumps(GOOD)[:-20])
    assert f'{path}: not JSON' in annotation_fault(config(tmp_path))
