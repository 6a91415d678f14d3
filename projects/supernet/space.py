"""The search space of NASViT, and what a search does in it."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvt_dense.models.backbones.nasvit import PARTS, NASViT
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import read_text

Arch = dict[str, Any]
Choices = tuple[tuple[int, ...], ...]

KEYS = ('width', 'depth', 'kernel_size', 'expand_ratio')
# Keys of NASViT's settings that no layer of the backbone depends on: which
# row of the official scaling tables is read, and the classifier's width.
RESOLUTION = 288
CLASSIFIER_WIDTH = 1984
_MOST_PARTS = 7


@dataclass(frozen=True)
class SearchSpace:
    """Choices for first_conv and the stages mb1 to mb7.

    The default is the published space (facebookresearch/NASViT,
    ``supernet_config``). Every choice is independent of the others.

    Attributes:
        width: Channels of first_conv, then of mb1 to mb7.
        depth: Blocks of mb1 to mb7; from mb4 on, the first is an MBConv block
            and the others are transformer blocks.
        kernel_size: Of the depthwise convolutions in the MBConv blocks.
        expand_ratio: Hidden width of these blocks over that of their input.
        num_stages: Stages of the backbone that are built. Choices of the
            other ones are the smallest.
    """

    width: Choices = (
        (16, 24),
        (16, 24),
        (24, 32),
        (32, 40),
        (64, 72),
        (112, 120, 128),
        (160, 168, 176, 184),
        (208, 216, 224),
    )
    depth: Choices = (
        (1, 2),
        (3, 4, 5),
        (3, 4, 5, 6),
        (3, 4, 5, 6),
        (3, 4, 5, 6, 7, 8, 9),
        (3, 4, 5, 6, 7, 8),
        (3, 4, 5, 6),
    )
    kernel_size: Choices = ((3, 5), (3, 5), (3,), (3,), (3,), (3,), (3,))
    expand_ratio: Choices = (
        (1,),
        (4, 5, 6),
        (4, 5, 6),
        (4, 5, 6),
        (4, 5, 6),
        (6,),
        (6,),
    )
    num_stages: int = 5

    def __post_init__(self) -> None:
        for key in KEYS:
            choices = getattr(self, key)
            wanted = _MOST_PARTS + (key == 'width')
            if len(choices) != wanted or not all(choices):
                raise UserError(
                    f'search space: {key}={choices!r}; give {wanted} lists '
                    'of choices: for '
                    + ('first_conv, ' if key == 'width' else '')
                    + 'mb1 to mb7'
                )
            ordered = tuple(tuple(sorted(set(c))) for c in choices)
            object.__setattr__(self, key, ordered)

    @property
    def largest(self) -> Arch:
        """The sub-network of all the largest choices."""
        return self._make(lambda choices: choices[-1])

    @property
    def smallest(self) -> Arch:
        """The sub-network of all the smallest choices."""
        return self._make(lambda choices: choices[0])

    def sample(self, rng: random.Random) -> Arch:
        """Draw every choice uniformly."""
        return self._make(rng.choice)

    def mutate(self, arch: Arch, rng: random.Random, prob: float) -> Arch:
        """Draw each choice anew with a probability."""
        return self._make(
            lambda choices: (
                rng.choice(choices) if rng.random() < prob else None
            ),
            arch,
        )

    def cross(self, one: Arch, other: Arch, rng: random.Random) -> Arch:
        """Take every choice from one of two sub-networks."""
        pairs = zip(self._flatten(one), self._flatten(other))
        return self._make(lambda choices: rng.choice(next(pairs)))

    def sandwich(self, key: str, num_random: int) -> list[Arch]:
        """List the sub-networks of a training step.

        Args:
            key: Text that the random choices follow from, so that processes
                agree on them.
            num_random: Number of random sub-networks.

        Returns:
            The largest one, the smallest one, then the random ones.
        """
        rng = random.Random(key)
        drawn = [self.sample(rng) for _ in range(num_random)]
        return [self.largest, self.smallest, *drawn]

    def check(self, arch: Mapping[str, Any]) -> Arch:
        """Check that a sub-network is in the space.

        Args:
            arch: Settings of :class:`NASViT`.

        Returns:
            The sub-network, without what no layer depends on.

        Raises:
            UserError: A choice is not in the space.
        """
        for key in KEYS:
            given = arch.get(key)
            choices = getattr(self, key)
            if not isinstance(given, Sequence) or len(given) < len(choices):
                raise UserError(
                    f'sub-network: {key}={given!r}; give at least '
                    f'{len(choices)} numbers'
                )
            for place, (value, allowed) in enumerate(zip(given, choices)):
                if self._is_built(key, place) and value not in allowed:
                    raise UserError(
                        f'sub-network: {key}[{place}]={value!r} is not in '
                        f'the search space; choose from {list(allowed)}'
                    )
        flat = iter(self._flatten(arch))
        return self._make(lambda choices: next(flat))

    def find(self, name: str | Mapping[str, Any]) -> Arch:
        """Find a sub-network.

        Args:
            name: ``min``, ``max``, a variant of :class:`NASViT` such as
                ``t2``, ``random:SEED``, or a JSON file of the search, with
                ``#N`` for its Nth sub-network; or the settings themselves.

        Raises:
            UserError: There is none, or it is not in the space.
        """
        if isinstance(name, Mapping):
            return self.check(name)
        if name in ('min', 'max'):
            return self.smallest if name == 'min' else self.largest
        if name in NASViT.arch_settings:
            return self.check(NASViT.arch_settings[name])
        kind, _, seed = name.partition(':')
        if kind == 'random' and seed:
            return self.sample(random.Random(seed))
        if '.json' in name:
            return self.check(_read_arch(name))
        raise UserError(
            f'there is no sub-network {name!r}; choose min, max, '
            f'{", ".join(NASViT.arch_settings)}, random:SEED, or a file '
            'FILE.json or FILE.json#N of the search'
        )

    def _make(self, choose: Any, keep: Arch | None = None) -> Arch:
        """Make a sub-network choice by choice; ``None`` keeps that of one."""
        arch: Arch = dict(resolution=RESOLUTION)
        for key in KEYS:
            values = []
            for place, choices in enumerate(getattr(self, key)):
                value = choices[0]
                if self._is_built(key, place):
                    value = choose(choices)
                    if value is None and keep is not None:
                        value = keep[key][place]
                values.append(value)
            arch[key] = tuple(values)
        arch['width'] += (CLASSIFIER_WIDTH,)
        return arch

    def _flatten(self, arch: Mapping[str, Any]) -> Iterator[int]:
        for key in KEYS:
            for place in range(len(getattr(self, key))):
                if self._is_built(key, place):
                    yield arch[key][place]

    def _is_built(self, key: str, place: int) -> bool:
        """Whether a choice belongs to a stage of the backbone."""
        part = place if key == 'width' else place + 1
        built = [1] + [p for ps in PARTS[: self.num_stages] for p in ps]
        return part <= max(built)


def identify(arch: Mapping[str, Any]) -> str:
    """Make a text that is equal for equal sub-networks."""
    return json.dumps({key: list(arch[key]) for key in KEYS})


def _read_arch(name: str) -> Mapping[str, Any]:
    path, _, number = name.partition('#')
    try:
        content = json.loads(read_text(Path(path)))
        if isinstance(content, dict):
            content = content.get('subnets', [content])
        entry = content[int(number or 0)]
    except (ValueError, IndexError) as error:
        raise UserError(f'{name} holds no sub-network: {error}') from error
    return entry.get('arch', entry)
