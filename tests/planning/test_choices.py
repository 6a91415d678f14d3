"""The rules of a plan, by numbers alone."""

import math

import pytest

from lvt_dense.planning import choices as rules
from lvt_dense.planning.choices import Budget
from lvt_dense.planning.facts import DataFacts
from lvt_dense.planning.recipes import GOALS, RECIPES, TASKS, Recipe
from lvt_dense.utils.errors import UserError


def facts(**changes: object) -> DataFacts:
    usual = dict(
        layout='COCO JSON', train=200, val=40, classes=2, objects=400,
        width=640, height=480, side=0.4, small_side=0.25,
    )  # fmt: skip
    return DataFacts(**usual | changes)


def recipe(name: str) -> Recipe:
    return next(r for r in RECIPES if name in r.config)


@pytest.mark.parametrize('task', TASKS)
@pytest.mark.parametrize('goal', GOALS)
def test_every_task_has_a_recipe_for_every_goal(task: str, goal: str) -> None:
    found, reason = rules.choose_recipe(task, goal, facts())
    assert found.task == task and goal in found.goals
    assert f'--for {goal}' in reason
    size, _ = rules.choose_size(found, goal, facts())
    assert size == found.size[goal] and size in found.sizes


def test_small_objects_take_a_finer_recipe() -> None:
    tiny = facts(side=0.04, small_side=0.025)
    found, reason = rules.choose_recipe('detection', 'cpu', tiny)
    assert 'rtmdet' in found.config
    assert '2.5% of the image' in reason


def test_small_objects_take_a_larger_input() -> None:
    ssdlite = recipe('ssdlite')
    small = facts(small_side=0.07)
    size, reason = rules.choose_size(ssdlite, 'cpu', small)
    assert size == 384 > ssdlite.size['cpu']
    assert '7% of the image, or 27 pixels' in reason


def test_label_maps_have_no_sides() -> None:
    found = recipe('deeplabv3')
    maps = facts(objects=0, side=None, small_side=None)
    assert rules.choose_size(found, 'cpu', maps)[0] == 360
    assert rules.needed_size(found, maps) == found.sizes[0]


@pytest.mark.parametrize(
    ('kind', 'images', 'gpus', 'batch'),
    [('cpu', 200, 1, 8), ('gpu', 200, 1, 16), ('gpu', 20, 1, 4),
     ('gpu', 200, 8, 4), ('cpu', 3, 1, 2), ('cpu', 1, 1, 1)],
)  # fmt: skip
def test_batch(kind: str, images: int, gpus: int, batch: int) -> None:
    found, reason = rules.choose_batch(recipe('ssdlite'), kind, images, gpus)
    assert found == batch
    assert ('instead of' in reason) == (batch < 16 and kind == 'gpu'
                                         or images < 16)  # fmt: skip


def test_usual_length_follows_data_and_start() -> None:
    ssdlite = recipe('ssdlite')
    from_random, reason = rules.usual_updates(ssdlite, 200, 4, False)
    assert 'random weights' in reason
    assert rules.usual_updates(ssdlite, 200, 4, True)[0] < from_random
    assert rules.usual_updates(ssdlite, 200, 8, False)[0] == pytest.approx(
        from_random / 2, abs=1
    )
    # four times the data: twice the updates
    more = rules.usual_updates(ssdlite, 800, 4, False)[0]
    assert more == pytest.approx(2 * from_random, abs=2)
    few = rules.usual_updates(ssdlite, 5, 2, False)[0]
    assert few == math.ceil(rules.MOST_EPOCHS * 5 / 2)


def test_budget_leaves_room_for_start_and_end() -> None:
    budget = Budget.after(20, 3)
    assert 120 < budget.seconds < 160
    with pytest.raises(UserError, match='--minutes 0.5: start-up.*give 2 or'):
        Budget.after(25, 0.5)


def test_short_time_takes_a_smaller_input() -> None:
    ssdlite = recipe('ssdlite')
    minutes = Budget(480, 8.5)
    assert rules.fit_size(ssdlite, 256, 0.3, minutes, 192) == (256, '')
    size, reason = rules.fit_size(ssdlite, 256, 1.35, minutes, 192)
    assert size == 192
    assert 'instead of 256: 8.5 minutes allow 492 updates at 192' in reason
    # not smaller than the objects allow
    assert rules.fit_size(ssdlite, 256, 1.35, minutes, 224)[0] == 224
    assert rules.fit_size(ssdlite, 320, 9, minutes, 448)[0] == 320


@pytest.mark.parametrize(
    ('seconds', 'validation', 'count'),
    [(1000, 1, 10), (1000, 20, 5), (1000, 50, 3), (100, 10, 3),
     (100, 20, 1), (100, 200, 1)],
)  # fmt: skip
def test_validations(seconds: float, validation: float, count: int) -> None:
    assert rules.choose_validations(seconds, validation) == count


def test_updates_and_validations_fill_the_time() -> None:
    updates, validations, reason = rules.fit_updates(
        Budget(160, 3), 0.5, 4, 10_000
    )
    assert validations * 4 <= 0.1 * 160
    assert updates * 0.5 + validations * 4 == pytest.approx(160, abs=0.5)
    assert reason == 'fits into 3 minutes at 0.5 s per update'


def test_more_passes_than_help_are_not_made() -> None:
    updates, _, reason = rules.fit_updates(Budget(1600, 30), 0.1, 4, 900)
    assert updates == 900
    assert 'which take less than 30 minutes' in reason


def test_time_for_hardly_an_update() -> None:
    with pytest.raises(
        UserError, match='an update takes 20 s.*only 2 updates'
    ):
        rules.fit_updates(Budget(60, 1.5), 20, 4, 900)


def test_augmentation_follows_how_often_an_image_is_seen() -> None:
    ssdlite = recipe('ssdlite')
    assert rules.choose_augment(ssdlite, 5)[0] == 'light'
    assert rules.choose_augment(ssdlite, 80)[0] == 'light'
    assert rules.choose_augment(recipe('rtmdet'), 5)[0] == 'light'
    assert rules.choose_augment(recipe('rtmdet'), 80)[0] == 'strong'
    assert rules.choose_augment(recipe('deeplabv3'), 5)[0] == 'light'
    assert rules.choose_augment(recipe('deeplabv3'), 80)[0] == 'recipe'


def test_note_on_a_recipe_far_too_long() -> None:
    assert rules.warn_of_length(200, 160) is None
    line = rules.warn_of_length(200, 5000)
    assert line is not None and '200 epochs; 5000 images need about 12' in line
