"""Exported teachers, and files that cannot teach."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.distillation import SEGMENTER, SSDLITE, build

from lvt_dense.deploy.inputs import ImageInput
from lvt_dense.engine.distillation import teachers
from lvt_dense.engine.distillation.distiller import attach
from lvt_dense.engine.distillation.normalization import ImageNorm
from lvt_dense.engine.distillation.teachers import (
    ExportedTeacher,
    open_teacher,
)
from lvt_dense.runtime.sessions import Session
from lvt_dense.utils.errors import UserError

CLASSES = tuple(map(str, range(11)))


def exported(model: Any, **info: Any) -> tuple[ExportedTeacher, list]:
    """A segmenter's graph as a runtime would run it, and what it was fed."""
    model.eval()
    fed: list[dict] = []
    first = ImageInput(dict(mean=[0.0] * 3, std=[255.0] * 3, bgr_to_rgb=False))

    @torch.no_grad()
    def run(feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        fed.append(feed)
        x = first(torch.from_numpy(feed['image']))
        logits = model.decode_head(model.extract_feat(x))
        return dict(map_0=logits.numpy())

    known = dict(
        task='raw', maps_of='semantic', classes=list(CLASSES), color='rgb',
        size=None, batch=None, inputs=['image'], **{},
    )  # fmt: skip
    session = Session(run, {**known, **info}, 'teacher.onnx')
    return ExportedTeacher(session, 'segmenter'), fed


@pytest.mark.parametrize('batch', [None, 1])
def test_file_gives_what_its_network_gives(batch: int | None) -> None:
    model = build(SEGMENTER).eval()
    teacher, fed = exported(model, batch=batch)
    raw = torch.randint(256, (2, 3, 64, 64), dtype=torch.uint8)
    images = model.data_preprocessor(dict(inputs=list(raw)))['inputs']
    norm = ImageNorm.of(model.data_preprocessor)
    found = teacher.answer('logits', images, norm, [(64, 64)] * 2)
    with torch.no_grad():
        expected = model.decode_head(model.extract_feat(images))
    assert torch.allclose(found, expected, atol=1e-3)
    # Pixels as they were, BGR to the RGB of the file.
    pixels = np.concatenate([feed['image'] for feed in fed])
    assert np.array_equal(pixels[..., ::-1].transpose(0, 3, 1, 2), raw)


def test_fixed_size_and_content() -> None:
    model = build(SEGMENTER).eval()
    teacher, fed = exported(model, size=[96, 128], inputs=['image', 'size'])
    norm = ImageNorm.of(model.data_preprocessor)
    images = torch.rand(1, 3, 48, 64)
    found = teacher.answer('logits', images, norm, [(24, 64)])
    assert fed[0]['image'].shape == (1, 96, 128, 3)
    assert fed[0]['size'].tolist() == [[48, 128]]
    assert found.shape[-2:] == (6, 8)


def test_student_of_a_file() -> None:
    teacher, _ = exported(build(SEGMENTER, seed=1))
    student = build(SEGMENTER)
    used, lines = attach(student, teacher, {}, CLASSES)
    assert used['kind'] == 'cwd'
    assert 'teacher.onnx (an exported file) teaches by cwd' in lines[0]
    with pytest.raises(UserError, match='returns no features'):
        attach(build(SEGMENTER), teacher, dict(kind='pkd'))
    with pytest.raises(UserError, match='is a segmenter, and the model a'):
        attach(build(SSDLITE), teacher, dict(kind='logits'))


@pytest.mark.parametrize(
    ('info', 'text'),
    [
        (dict(task='semantic'), 'export it with --raw'),
        (dict(task='raw'), 'does not name its task'),
    ],
)
def test_files_that_cannot_teach(
    info: dict, text: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    session = Session(lambda feed: feed, info, 'a.onnx')
    monkeypatch.setattr(teachers, 'open_session', lambda path: session)
    with pytest.raises(UserError, match=text):
        open_teacher('a.onnx', None)


def test_file_that_is_not_there() -> None:
    with pytest.raises(UserError, match='--teacher: none.onnx does not exist'):
        open_teacher('none.onnx', None)
