"""Batches of varying image size: tables, ranks, epochs, resumption."""

import pickle
from itertools import islice

import pytest
from mmengine.dataset import (
    BaseDataset,
    ConcatDataset,
    DefaultSampler,
    InfiniteSampler,
    RepeatDataset,
)

from lvt_dense.datasets.samplers import (
    SizedIndex,
    VariableBatchSampler,
    list_scales,
    size_of,
)
from lvt_dense.utils.errors import UserError

# Measured with the authors' code (ml-cvnets v0.3 and later), one GPU.
PUBLISHED = {
    (256, 128, 0.625, 1.25, 5): {160: 327, 192: 227, 256: 128, 288: 101,
                                 320: 81},
    (1024, 4, 0.5, 1.25, 10): {512: 16, 608: 11, 672: 9, 768: 7, 864: 5,
                               928: 4, 1024: 4, 1120: 3, 1184: 2, 1280: 2},
    (320, 32, 0.6, 1.4, 5): {192: 88, 256: 50, 320: 32, 384: 22, 448: 16},
}  # fmt: skip


@pytest.mark.parametrize('case', PUBLISHED)
def test_published_tables(case: tuple) -> None:
    side, batch, low, high, count = case
    scales = list_scales((side, side), batch, (low, high), count)
    assert {s.height: s.batch_size for s in scales} == PUBLISHED[case]
    assert all(s.height == s.width for s in scales)


def make(
    rank: int = 0, epoch: int = 0, count: int = 103, seed: int = 5
) -> VariableBatchSampler:
    sampler = DefaultSampler(range(count), shuffle=True, seed=seed)
    sampler.rank, sampler.world_size = rank, 2
    sampler.num_samples = -(-count // 2)
    sampler.total_size = 2 * sampler.num_samples
    sampler.set_epoch(epoch)
    return VariableBatchSampler(sampler, 4, (64, 96))


@pytest.mark.parametrize('epoch', range(6))
def test_ranks_agree_and_length_is_right(epoch: int) -> None:
    one, two = (list(make(rank, epoch)) for rank in (0, 1))
    shapes = [[(i.height, i.width) for i in batch] for batch in one]
    assert shapes == [[(i.height, i.width) for i in b] for b in two]
    assert len(one) == len(make(0, epoch))
    assert {*map(int, sum(one + two, []))} == set(range(103))
    batches = {(s.height, s.width): s.batch_size for s in make().scales}
    assert all(
        len(set(shape)) == 1 and len(shape) == batches[shape[0]]
        for shape in shapes
    )


def test_epochs_differ_and_repeat() -> None:
    assert list(make(epoch=3)) == list(make(epoch=3))
    assert list(make(epoch=3)) != list(make(epoch=4))
    assert list(make(seed=5)) != list(make(seed=6))


def test_iterations_go_on_in_the_same_sequence() -> None:
    def batches() -> VariableBatchSampler:
        sampler = InfiniteSampler(range(20), seed=1)
        return VariableBatchSampler(sampler, 4, (64, 64))

    whole = list(islice(batches(), 30))
    skipped = batches()
    rest = list(islice(iter(skipped), 12, 30))
    assert rest == whole[12:] and len(skipped) > 1
    assert [i.height for b in rest for i in b] == [
        i.height for b in whole[12:] for i in b
    ]


class Numbers(BaseDataset):
    """Ten data of nothing but their index."""

    def load_data_list(self) -> list[dict]:
        return [dict(number=i) for i in range(10)]


def test_size_passes_data_sets_and_processes() -> None:
    index = pickle.loads(pickle.dumps(SizedIndex(17, 64, 96)))
    assert index == 17 and hash(index) == hash(17)
    for data in (
        ConcatDataset([Numbers(), Numbers()]),
        RepeatDataset(Numbers(), 2),
    ):
        assert size_of(data[index]) == (64, 96)
        assert data[index]['number'] == 7
    assert size_of(Numbers()[3]) is None


@pytest.mark.parametrize(
    ('options', 'text'),
    [
        (dict(base_size=(60, 64)), 'multiples of 32'),
        (dict(base_size=(64,)), 'height and width'),
        (dict(batch_size=0), '1 or more'),
        (dict(size_range=(1.5, 0.5)), r'such as \(0.5, 1.5\)'),
    ],
)
def test_bad_arguments(options: dict, text: str) -> None:
    arguments = dict(batch_size=4, base_size=(64, 64))
    with pytest.raises(UserError, match=text):
        VariableBatchSampler([1], **dict(arguments, **options))
