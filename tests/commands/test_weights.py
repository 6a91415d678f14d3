"""``lvt-dense weights list``: what a download is checked against."""

import pytest
from helpers.commands import run_command


def test_list_says_what_is_verified(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_command('weights', 'list') == 0
    lines = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line for line in lines}
    assert 'not verified' in rows['emo_1m']
    assert '8 digits of SHA-256' in rows['mobilevit_xs.mmpretrain']
    assert 'size alone' in rows['t2t_vit_14']
    assert run_command('weights', 'where', 'emo_1m') == 0
    assert 'content: not verified' in capsys.readouterr().out
