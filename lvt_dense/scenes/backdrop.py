"""Templates of buildings, trees, poles, signs and fences."""

from functools import lru_cache

import numpy as np

from .solids import Builder, Label, Look, Template

_HOUSE_SLOTS = {
    'wall': (Label.BUILDING, 0.3),
    'window': (Label.BUILDING, 0.15),
    'door': (Label.BUILDING, 0.2),
    'roof': (Label.BUILDING, 0.2),
}


@lru_cache
def building_template(floors: int, columns: int) -> Template:
    """Build a block of flats with a grid of windows and doors."""
    dims = (3.2 * columns, 3.2 * floors, 3.2 * columns)
    half = dims[0] / 2
    house = Builder(dims, _HOUSE_SLOTS)
    sides = house.box((-half, half), (0.0, dims[1]), (-half, half), 'wall')
    for name in ('front', 'back', 'left', 'right'):
        house.decal(sides[name], (0.0, 1.0), (1 - 0.12 / floors, 1.0), 'roof')
        for j in range(floors):
            low, high = (j + 0.35) / floors, (j + 0.8) / floors
            for i in range(columns):
                u = ((i + 0.28) / columns, (i + 0.72) / columns)
                if j == 0 and i == columns // 2:
                    house.decal(sides[name], u, (0.0, high), 'door')
                else:
                    house.decal(sides[name], u, (low, high), 'window')
    return house.build()


@lru_cache
def tree_template(crowns: int) -> Template:
    """Build a trunk with one to three overlapping crowns, 6 m high."""
    tree = Builder(
        (4.0, 6.0, 4.0),
        {'trunk': (Label.TREE, 0.35), 'leaves': (Label.TREE, 0.9)},
    )
    tree.box((-0.14, 0.14), (0.0, 3.2), (-0.14, 0.14), 'trunk')
    if crowns == 1:
        tree.ball((0.0, 4.2, 0.0), (1.6, 1.9, 1.6), 'leaves', 1)
        return tree.build()
    turn = np.arange(crowns) * 2 * np.pi / crowns + 0.6
    for angle in turn:
        center = (0.7 * np.cos(angle), 4.0 + 0.3 * np.sin(3 * angle),
                  0.7 * np.sin(angle))  # fmt: skip
        tree.ball(center, (1.25, 1.3, 1.25), 'leaves', 1)
    tree.ball((0.0, 4.9, 0.0), (1.1, 1.1, 1.1), 'leaves', 2)
    return tree.build()


@lru_cache
def lamp_template() -> Template:
    """Build a street lamp whose arm points to +x."""
    lamp = Builder((2.4, 6.0, 0.3), {'metal': (Label.POLE, 0.1)})
    lamp.frustum((0.0, -0.1, 0.1, -0.1, 0.1),
                 (6.0, -0.05, 0.05, -0.05, 0.05), 'metal')  # fmt: skip
    lamp.box((0.0, 1.2), (5.85, 6.0), (-0.06, 0.06), 'metal', layer=1)
    return lamp.build()


@lru_cache
def sign_template(round_plate: bool) -> Template:
    """Build a traffic sign, its face toward +z and -z."""
    sign = Builder(
        (0.7, 2.6, 0.1),
        {
            'metal': (Label.POLE, 0.1),
            'plate': (Label.SIGN, 0.05),
            'back': (Label.SIGN, 0.05),
            'figure': (Label.SIGN, 0.05),
        },
    )
    sign.box((-0.04, 0.04), (0.0, 2.5), (-0.03, 0.03), 'metal')
    if round_plate:
        sign.part(layer=1)
        sign.disc((0.0, 2.25, -0.05), 0.34, -1.0, 'plate')
        sign.disc((0.0, 2.25, -0.05), 0.22, -1.0, 'figure', True)
        sign.disc((0.0, 2.25, 0.05), 0.34, 1.0, 'back')
        return sign.build()
    sides = sign.box((-0.34, 0.34), (1.9, 2.58), (-0.05, 0.05), 'plate', 1)
    sign.decal(sides['left'], (0.15, 0.85), (0.15, 0.85), 'figure')
    return sign.build()


@lru_cache
def fence_template(bays: int) -> Template:
    """Build a board fence of ``bays`` bays, 1.2 m high."""
    half = bays * 1.1
    fence = Builder(
        (2 * half, 1.2, 0.12),
        {'board': (Label.FENCE, 0.35), 'gap': (Label.FENCE, 0.3)},
    )
    sides = fence.box((-half, half), (0.0, 1.2), (-0.06, 0.06), 'board')
    for name in ('left', 'right'):
        for i in range(2 * bays):
            u = ((i + 0.9) / (2 * bays), (i + 1.0) / (2 * bays))
            fence.decal(sides[name], u, (0.0, 0.92), 'gap')
    return fence.build()


_WALLS = np.array([
    [150, 175, 200], [130, 140, 150], [110, 130, 175], [175, 185, 190],
    [95, 115, 150], [120, 150, 185], [140, 130, 120],
], float)  # fmt: skip


def sample_building(
    rng: np.random.Generator, length: float, depth: float
) -> Look:
    """Draw a building for a plot of ``length`` along the road."""
    floors = int(rng.integers(2, 6))
    template = building_template(floors, int(rng.integers(3, 5)))
    wall = _WALLS[rng.integers(len(_WALLS))]
    wall = wall * rng.uniform(0.75, 1.1) * rng.uniform(0.93, 1.07, 3)
    palette = np.stack([
        wall, np.array([95, 80, 66]) * rng.uniform(0.7, 1.6),
        np.array([50, 62, 84]) * rng.uniform(0.7, 1.3), wall * 0.6,
    ])  # fmt: skip
    height = floors * rng.uniform(2.9, 3.5)
    return Look(template, (length, height, depth), palette)


def sample_tree(rng: np.random.Generator) -> Look:
    """Draw a street tree, 4.5 to 8 m high."""
    height, spread = rng.uniform(4.8, 8.0), rng.uniform(3.2, 5.0)
    leaves = np.array([45, 105, 62]) * rng.uniform(0.7, 1.25, 3)
    palette = np.stack([np.array([45, 62, 82]), leaves])
    template = tree_template(int(rng.integers(1, 4)))
    trunk = 0.28 * spread / 4.0
    return Look(template, (spread, height, spread), palette, (trunk, trunk))


def sample_lamp(rng: np.random.Generator) -> Look:
    """Draw a street lamp, 5 to 8 m high."""
    metal = np.full((1, 3), rng.uniform(70, 150))
    return Look(
        lamp_template(), (2.4, rng.uniform(5.0, 8.0), 0.3), metal, (0.2, 0.2)
    )


def sample_sign(rng: np.random.Generator) -> Look:
    """Draw a traffic sign: a disc or a plate."""
    plates = ([40, 40, 210], [190, 90, 20], [40, 190, 230])
    plate = np.array(plates[rng.integers(3)], float)
    palette = np.stack([
        np.full(3, 130.0), plate, np.full(3, 150.0), np.full(3, 235.0)
    ])  # fmt: skip
    template = sign_template(bool(rng.random() < 0.6))
    return Look(template, (0.7, rng.uniform(2.4, 3.0), 0.1), palette,
                (0.1, 0.1))  # fmt: skip


def sample_fence(rng: np.random.Generator, length: float) -> Look:
    """Draw a fence of the given length, about 1.3 m high."""
    board = np.array([75, 105, 140]) * rng.uniform(0.6, 1.5)
    palette = np.stack([board, board * 0.55])
    bays = max(int(length / 2.2), 1)
    dims = (length, rng.uniform(1.1, 1.6), 0.12)
    return Look(fence_template(bays), dims, palette)
