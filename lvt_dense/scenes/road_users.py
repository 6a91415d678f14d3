"""Templates of cars, pedestrians and cyclists, and how they vary.

Front, rear and sides differ, so that class and heading can be read off the
picture. Sizes follow the class means of KITTI's training labels.
"""

from functools import lru_cache

import numpy as np

from .solids import Builder, Label, Look, Template

_CAR_SLOTS = {
    'paint': (Label.CAR, 0.06),
    'glass': (Label.CAR, 0.12),
    'windshield': (Label.CAR, 0.1),
    'trim': (Label.CAR, 0.1),
    'tire': (Label.CAR, 0.15),
    'rim': (Label.CAR, 0.1),
    'headlight': (Label.CAR, 0.0),
    'taillight': (Label.CAR, 0.0),
    'plate': (Label.CAR, 0.0),
}
_PERSON_SLOTS = {
    'skin': (Label.PERSON, 0.05),
    'hair': (Label.PERSON, 0.15),
    'top': (Label.PERSON, 0.15),
    'trousers': (Label.PERSON, 0.15),
    'shoe': (Label.PERSON, 0.1),
    'pack': (Label.PERSON, 0.15),
}
_CYCLIST_SLOTS = {
    'skin': (Label.RIDER, 0.05),
    'helmet': (Label.RIDER, 0.1),
    'top': (Label.RIDER, 0.15),
    'trousers': (Label.RIDER, 0.15),
    'shoe': (Label.RIDER, 0.1),
    'frame': (Label.BICYCLE, 0.05),
    'tire': (Label.BICYCLE, 0.1),
    'spokes': (Label.BICYCLE, 0.25),
}


def _car(
    dims: tuple[float, float, float],
    belt: float,
    cabin: tuple[float, float],
    roof: tuple[float, float],
    wheel: float = 0.31,
) -> Template:
    """Build a car: body up to ``belt`` m, cabin and roof over x in meters."""
    length, height, width = dims
    half, side = length / 2, width / 2
    car = Builder(dims, _CAR_SLOTS)
    car.box((-half + 0.1, half - 0.1), (0.1, 0.4),
            (-side + 0.06, side - 0.06), 'tire')  # fmt: skip
    body = car.frustum(
        (0.22, -half, half, -side, side),
        (belt, -half + 0.06, half - 0.1, -side + 0.03, side - 0.03),
        'paint',
    )
    for u in ((0.03, 0.24), (0.76, 0.97)):
        car.decal(body['front'], u, (0.5, 0.82), 'headlight')
        car.decal(body['back'], u, (0.5, 0.92), 'taillight')
    car.decal(body['front'], (0.28, 0.72), (0.3, 0.72), 'trim')
    car.decal(body['back'], (0.36, 0.64), (0.3, 0.55), 'plate')
    for end in ('front', 'back'):
        car.decal(body[end], (0.0, 1.0), (0.0, 0.14), 'trim')
    for name in ('left', 'right'):
        car.decal(body[name], (0.0, 1.0), (0.0, 0.08), 'trim')
        car.decal(body[name], (0.5, 0.51), (0.1, 1.0), 'trim')
    car.part(layer=1)
    for z, outward in ((-side, -1.0), (side, 1.0)):
        for x in (-half + 0.2 + wheel, half - 0.24 - wheel):
            car.disc((x, wheel, z), wheel, outward, 'tire')
            car.disc((x, wheel, z), 0.58 * wheel, outward, 'rim', True)
    top = car.frustum(
        (belt, *cabin, -side + 0.05, side - 0.05),
        (height, *roof, -side + 0.2, side - 0.2),
        'paint',
        layer=1,
    )
    car.decal(top['front'], (0.05, 0.95), (0.06, 0.9), 'windshield')
    car.decal(top['back'], (0.1, 0.9), (0.25, 0.88), 'glass')
    for name in ('left', 'right'):
        car.decal(top[name], (0.06, 0.47), (0.1, 0.85), 'glass')
        car.decal(top[name], (0.53, 0.94), (0.1, 0.85), 'glass')
    return car.build()


_CAR_SIZES = {
    'sedan': (4.15, 1.46, 1.64),
    'hatchback': (3.6, 1.5, 1.58),
    'suv': (4.1, 1.68, 1.7),
}


@lru_cache
def car_template(style: str) -> Template:
    """Build a 'sedan', a 'hatchback' or an 'suv'."""
    dims = _CAR_SIZES[style]
    if style == 'sedan':
        return _car(dims, 0.88, (-1.65, 0.95), (-0.95, 0.2))
    if style == 'hatchback':
        return _car(dims, 0.92, (-1.72, 0.85), (-1.45, 0.2))
    return _car(dims, 1.02, (-1.98, 0.95), (-1.8, 0.4), 0.36)


@lru_cache
def pedestrian_template(backpack: bool) -> Template:
    """Build a person walking toward +x, one leg and one arm forward."""
    dims = (0.82, 1.77, 0.63)
    half, height, side = dims[0] / 2, dims[1], dims[2] / 2
    man = Builder(dims, _PERSON_SLOTS)
    for sign in (1.0, -1.0):
        z = (0.02, 0.17) if sign > 0 else (-0.17, -0.02)
        foot = (half - 0.22, half) if sign > 0 else (-half, -half + 0.22)
        man.box(foot, (0.0, 0.08), z, 'shoe')
        ankle = _ordered(sign * 0.16, sign * 0.3)
        hip = _ordered(sign * -0.07, sign * 0.1)
        man.frustum((0.08, *ankle, *z), (0.86, *hip, *z), 'trousers')
        arm = (side - 0.11, side) if sign < 0 else (-side, -side + 0.11)
        hand = _ordered(sign * 0.12, sign * 0.24)
        man.frustum((0.86, *hand, *arm), (1.42, -0.06, 0.06, *arm), 'top')
        man.box(hand, (0.76, 0.86), arm, 'skin')
    man.frustum(
        (0.84, -0.12, 0.12, -0.19, 0.19),
        (1.46, -0.11, 0.13, -0.21, 0.21),
        'top',
        layer=1,
    )
    if backpack:
        man.box((-0.3, -0.12), (0.98, 1.4), (-0.16, 0.16), 'pack', layer=1)
    _head(man, 0.02, height, 'hair')
    return man.build()


def _ordered(a: float, b: float) -> tuple[float, float]:
    return min(a, b), max(a, b)


def _head(builder: Builder, x: float, top: float, cover: str) -> None:
    """Add a head: face toward +x, ``cover`` on the crown and the back."""
    low = top - 0.31
    builder.box((x - 0.11, x + 0.11), (low, top - 0.08),
                (-0.085, 0.085), 'skin', layer=2)  # fmt: skip
    builder.box((x - 0.12, x - 0.02), (low + 0.06, top - 0.05),
                (-0.1, 0.1), cover, layer=2)  # fmt: skip
    builder.box((x - 0.12, x + 0.09), (top - 0.1, top),
                (-0.1, 0.1), cover, layer=3)  # fmt: skip


@lru_cache
def cyclist_template() -> Template:
    """Build a rider on a bicycle heading for +x."""
    dims = (1.77, 1.72, 0.57)
    half, height, side = dims[0] / 2, dims[1], dims[2] / 2
    bike = Builder(dims, _CYCLIST_SLOTS)
    radius = 0.34
    for x in (half - radius, -half + radius):
        _wheel(bike, x, radius)
    bike.frustum((0.3, -0.1, 0.06, -0.03, 0.03),
                 (0.92, -0.26, -0.16, -0.03, 0.03), 'frame')  # fmt: skip
    bike.frustum((0.3, -0.56, 0.04, -0.025, 0.025),
                 (0.37, -0.56, 0.04, -0.025, 0.025), 'frame')  # fmt: skip
    bike.frustum((0.68, -0.2, 0.44, -0.03, 0.03),
                 (0.78, -0.2, 0.44, -0.03, 0.03), 'frame')  # fmt: skip
    bike.frustum((0.34, half - radius - 0.03, half - radius + 0.03, -0.03,
                  0.03), (1.02, 0.36, 0.44, -0.03, 0.03), 'frame')  # fmt: skip
    bike.box((0.34, 0.42), (0.98, 1.05), (-side, side), 'frame')
    for sign in (1.0, -1.0):
        z = (0.05, 0.17) if sign > 0 else (-0.17, -0.05)
        foot = 0.04 * sign
        knee = 0.16 + 0.08 * sign
        low = 0.2 - 0.1 * sign
        bike.box((foot - 0.08, foot + 0.16), (low, low + 0.08), z, 'shoe')
        bike.frustum((low + 0.08, foot - 0.06, foot + 0.06, *z),
                     (0.68, knee - 0.08, knee + 0.08, *z),
                     'trousers')  # fmt: skip
        bike.frustum((0.62, knee - 0.1, knee + 0.1, *z),
                     (0.98, -0.34, -0.08, *z), 'trousers')  # fmt: skip
        arm = (
            (side - 0.1, side - 0.01)
            if sign > 0
            else (0.01 - side, 0.1 - side)
        )
        bike.frustum((1.04, 0.3, 0.42, *arm), (1.38, 0.0, 0.12, *arm),
                     'top', layer=1)  # fmt: skip
    bike.frustum((0.9, -0.38, -0.08, -0.17, 0.17),
                 (1.44, -0.08, 0.16, -0.2, 0.2), 'top', layer=1)  # fmt: skip
    _head(bike, 0.12, height, 'helmet')
    return bike.build()


def _wheel(bike: Builder, x: float, radius: float) -> None:
    """Add a wheel 4 cm wide: tire as a prism, spokes painted on discs."""
    bike.part()
    turn = np.arange(11) * 2 * np.pi / 10
    rim = np.stack([x + radius * np.cos(turn), radius + radius * np.sin(turn)])
    for i in range(10):
        (x0, x1), (y0, y1) = rim[:, i : i + 2]
        quad = [(x0, y0, -0.02), (x1, y1, -0.02), (x1, y1, 0.02),
                (x0, y0, 0.02)]  # fmt: skip
        away = np.array([(x0 + x1) / 2 - x, (y0 + y1) / 2 - radius, 0.0])
        bike.face(np.array(quad), 'tire', away)
    for z in (-0.02, 0.02):
        bike.disc((x, radius, z), radius, z, 'tire')
        bike.disc((x, radius, z), 0.8 * radius, z, 'spokes', True)


_PAINTS = np.array([
    [225, 225, 225], [190, 190, 186], [120, 120, 122], [52, 50, 50],
    [40, 36, 170], [150, 72, 30], [60, 92, 40], [60, 160, 205],
    [120, 140, 160], [60, 40, 90],
], float)  # fmt: skip
_CLOTHES = np.array([
    [40, 40, 200], [190, 90, 30], [50, 150, 60], [40, 190, 220],
    [210, 210, 210], [60, 60, 60], [150, 60, 140], [130, 150, 170],
    [40, 110, 230],
], float)  # fmt: skip
_LEGWEAR = np.array([
    [110, 70, 45], [50, 45, 45], [120, 125, 130], [70, 95, 120],
], float)  # fmt: skip
_SKINS = np.array([
    [150, 180, 226], [120, 155, 205], [80, 110, 160], [55, 75, 110],
], float)  # fmt: skip
_HAIRS = np.array([
    [30, 35, 45], [40, 60, 95], [90, 140, 180], [120, 120, 125],
], float)  # fmt: skip


def _pick(rng: np.random.Generator, colors: np.ndarray) -> np.ndarray:
    color = colors[rng.integers(len(colors))]
    return np.clip(color * rng.uniform(0.85, 1.12, 3), 0, 255)


def _scaled(
    rng: np.random.Generator,
    dims: tuple[float, float, float],
    spread: tuple[float, float, float],
) -> tuple[float, float, float]:
    factor = 1 + np.clip(rng.standard_normal(3), -2, 2) * spread
    return tuple((np.array(dims) * factor).tolist())


def sample_road_user(rng: np.random.Generator, kind: str) -> Look:
    """Draw the shape, size and colors of a road user of ``kind``."""
    if kind == 'car':
        style = rng.choice(list(_CAR_SIZES), p=(0.4, 0.4, 0.2))
        dims = _scaled(rng, _CAR_SIZES[style], (0.04, 0.025, 0.025))
        glass = np.array([70, 58, 46]) * rng.uniform(0.7, 1.3)
        palette = np.stack([
            _pick(rng, _PAINTS), glass, np.array([150, 135, 112]),
            np.array([38, 36, 36]), np.array([28, 28, 30]),
            np.array([165, 165, 165]), np.array([225, 248, 255]),
            np.array([35, 25, 205]), np.array([215, 225, 225]),
        ])  # fmt: skip
        return Look(car_template(style), dims, palette)
    skin, hair = _pick(rng, _SKINS), _pick(rng, _HAIRS)
    top, legs = _pick(rng, _CLOTHES), _pick(rng, _LEGWEAR)
    shoe = np.array([40, 40, 45]) * rng.uniform(0.6, 2.5)
    if kind == 'pedestrian':
        dims = _scaled(rng, (0.82, 1.77, 0.63), (0.1, 0.04, 0.06))
        pack = _pick(rng, _CLOTHES) * 0.7
        template = pedestrian_template(bool(rng.random() < 0.5))
        palette = np.stack([skin, hair, top, legs, shoe, pack])
        return Look(template, dims, palette)
    dims = _scaled(rng, (1.77, 1.72, 0.57), (0.03, 0.03, 0.06))
    helmet, frame = _pick(rng, _CLOTHES), _pick(rng, _PAINTS) * 0.8
    palette = np.stack([
        skin, helmet, top, legs, shoe, frame,
        np.array([30, 30, 32]), np.array([125, 125, 125]),
    ])  # fmt: skip
    return Look(cyclist_template(), dims, palette)
