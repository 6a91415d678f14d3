"""What converters print is held back; errors pass."""

import logging
import sys
import warnings

import pytest

from lvt_dense.deploy.quiet import silence


def test_nothing_is_heard(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger('torch.onnx._internal.exporter')
    with warnings.catch_warnings(record=True) as heard, silence():
        print('out')
        print('err', file=sys.stderr)
        warnings.warn('a warning', stacklevel=1)
        logger.warning('a skipped operator')
    assert capsys.readouterr() == ('', '')
    assert not heard and not caplog.records
    logger.warning('after it')
    assert [record.message for record in caplog.records] == ['after it']


def test_errors_pass() -> None:
    before = logging.getLogger('torch.onnx').level
    with pytest.raises(ValueError, match='no such operator'), silence():
        raise ValueError('no such operator')
    assert logging.getLogger('torch.onnx').level == before
