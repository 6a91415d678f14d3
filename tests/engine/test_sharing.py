"""What the first of several processes tells the others."""

from pathlib import Path

import pytest
from helpers.processes import free_port, set_rank
from torch.multiprocessing import spawn

from lvt_dense.engine.runner import join_by_gloo
from lvt_dense.engine.sharing import share_object


def run_process(rank: int, folder: str, port: int) -> None:
    set_rank(rank, 2, port)
    found = share_object(dict(file=f'{rank}.py'), 'pytorch')
    join_by_gloo()  # as the training does, which finds them joined
    Path(folder, str(rank)).write_text(found['file'])


@pytest.mark.release
def test_first_process_decides(tmp_path: Path) -> None:
    spawn(run_process, (str(tmp_path), free_port()), nprocs=2)
    assert [p.read_text() for p in tmp_path.iterdir()] == ['0.py', '0.py']


def test_one_process_has_nobody_to_tell() -> None:
    assert share_object(7, 'none') == share_object(7, 'pytorch') == 7
