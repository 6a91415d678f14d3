"""The search space."""

import json
import random
from pathlib import Path

import pytest
from supernet.space import KEYS, SearchSpace, identify

from lvt_dense.models.backbones.nasvit import NASViT
from lvt_dense.utils.errors import UserError

SPACE = SearchSpace()


@pytest.mark.parametrize('name', ['min', 'max'])
def test_ends_are_the_published_ones(name: str) -> None:
    found = SPACE.find(name)
    expected = NASViT.arch_settings[name]
    for key in KEYS:
        count = 8 if key == 'width' else 7  # the classifier is no layer here
        assert found[key][:count] == expected[key][:count]


def test_published_subnetworks_are_in_the_space() -> None:
    for name in NASViT.arch_settings:
        assert SPACE.find(name)['depth'] == NASViT.arch_settings[name]['depth']


def test_sandwich_follows_from_the_key() -> None:
    first = SPACE.sandwich('0-7', 2)
    assert first == SPACE.sandwich('0-7', 2)
    assert first[2:] != SPACE.sandwich('0-8', 2)[2:]
    assert first[:2] == [SPACE.largest, SPACE.smallest]
    assert len({identify(arch) for arch in first}) == 4


def test_samples_cover_every_choice() -> None:
    rng = random.Random(0)
    archs = [SPACE.check(SPACE.sample(rng)) for _ in range(200)]
    for key in KEYS:
        for place, choices in enumerate(getattr(SPACE, key)):
            assert {arch[key][place] for arch in archs} == set(choices)


def test_children_have_the_choices_of_their_parents() -> None:
    rng = random.Random(1)
    child = SPACE.cross(SPACE.smallest, SPACE.largest, rng)
    assert identify(SPACE.check(child)) not in map(
        identify, (SPACE.smallest, SPACE.largest)
    )
    assert SPACE.mutate(child, rng, 0.0) == child
    assert SPACE.mutate(child, rng, 1.0) != child


def test_stages_that_are_not_built_do_not_vary() -> None:
    space = SearchSpace(num_stages=3)  # up to mb4
    for arch in (space.largest, space.sample(random.Random(2))):
        assert arch['width'][5:8] == (112, 160, 208)
        assert arch['depth'][4:] == (3, 3, 3)
    assert space.largest['width'][4] == 72
    # Whatever a sub-network says there is of no consequence.
    assert space.check(SPACE.largest) == space.largest


def test_subnetworks_of_a_search_are_found(tmp_path: Path) -> None:
    path = tmp_path / 'found.json'
    archs = [SPACE.smallest, SPACE.find('t2')]
    entries = [dict(arch=arch, metric=1.0) for arch in archs]
    path.write_text(json.dumps(dict(subnets=entries)))
    assert SPACE.find(f'{path}#1') == archs[1]
    assert SPACE.find(str(path)) == archs[0]
    with pytest.raises(UserError, match='holds no sub-network'):
        SPACE.find(f'{path}#2')


def test_wrong_choices_are_named() -> None:
    arch = dict(SPACE.smallest, depth=(1, 3, 3, 3, 3, 3, 9))
    with pytest.raises(UserError, match=r'depth\[6\]=9 .* \[3, 4, 5, 6\]'):
        SPACE.check(arch)
    with pytest.raises(UserError, match='choose min, max'):
        SPACE.find('t9')
    with pytest.raises(UserError, match='give 7 lists'):
        SearchSpace(depth=((1,),))
