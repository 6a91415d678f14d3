"""What a plan finds out about a folder of labels."""

from pathlib import Path

import pytest
from helpers import own_data

from lvt_dense.config import load_config
from lvt_dense.planning.facts import (
    DataFacts,
    choose_task,
    facts_of_tiles,
    read_facts,
)
from lvt_dense.scenes import write_coco, write_kitti, write_semantic
from lvt_dense.utils.errors import UserError


@pytest.mark.parametrize('layout', own_data.DETECTION)
def test_boxes_are_for_detection(layout: str, tmp_path: Path) -> None:
    """So are polygons that are the boxes themselves."""
    shots = own_data.make_shots()
    own_data.DETECTION[layout](tmp_path, shots)
    task, reason = choose_task(tmp_path)
    assert (task, reason.split()[-3:]) == (
        'detection',
        ['boxes', 'without', 'masks'],
    )
    recipe = load_config('lvt_dense::ssdlite_mobilevit_xxs_320_coco.py')
    facts = read_facts(recipe, tmp_path, task)
    assert (facts.train, facts.val, facts.classes) == (8, 4, 3)
    sides = sorted(
        (w * h / (shot.size[0] * shot.size[1])) ** 0.5
        for shot in shots['train']
        for _, (_, _, w, h) in shot.boxes
    )
    assert facts.objects == len(sides)
    middle = (sides[len(sides) // 2] + sides[-(len(sides) // 2) - 1]) / 2
    assert facts.side == pytest.approx(middle, abs=1e-4)
    assert facts.small_side is not None and facts.small_side < facts.side
    # from the cache
    assert read_facts(recipe, tmp_path, task) == facts
    assert choose_task(tmp_path) == (task, reason)


def test_outlines_are_for_instances(tmp_path: Path) -> None:
    write_coco(tmp_path, 4, size=(96, 72), val_fraction=0.25)
    task, reason = choose_task(tmp_path)
    assert task == 'instance' and 'objects have a mask' in reason


def test_label_maps_are_for_segmentation(tmp_path: Path) -> None:
    write_semantic(tmp_path, 'camvid', 4, size=(96, 72), val_fraction=0.25)
    assert choose_task(tmp_path)[0] == 'semantic'


def test_kitti_is_for_3d(tmp_path: Path) -> None:
    write_kitti(tmp_path, 4, size=(310, 94), val_fraction=0.25)
    assert choose_task(tmp_path)[0] == 'mono3d'


def test_no_labels(tmp_path: Path) -> None:
    shot = own_data.make_shots(2)['train'][0]
    own_data.save_image(tmp_path, shot)
    with pytest.raises(UserError, match='no labels for'):
        choose_task(tmp_path)


def test_objects_are_larger_in_tiles() -> None:
    whole = DataFacts('YOLO', 9, 3, 1, 50, 2000, 1000, 0.04, 0.8)
    tiles = facts_of_tiles(whole, 500)
    assert (tiles.width, tiles.height, tiles.small_side) == (500, 500, 1.0)
    assert tiles.side == pytest.approx(0.04 * 8**0.5)
