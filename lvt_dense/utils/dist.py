"""What a launcher tells each of the processes that it starts."""

import os

# By launcher, as MMEngine names them.
RANK = dict(pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')
WORLD_SIZE = dict(
    pytorch='WORLD_SIZE', slurm='SLURM_NTASKS', mpi='OMPI_COMM_WORLD_SIZE'
)


def is_first_process() -> bool:
    """Tell whether this is the first process of a launcher, or the only one.

    It can be asked before the processes know each other.
    """
    return all(int(os.environ.get(name) or 0) == 0 for name in RANK.values())


def count_processes(launcher: str) -> int:
    """Return the number of processes that a launcher started.

    Args:
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.
    """
    if launcher == 'none':
        return 1
    return int(os.environ.get(WORLD_SIZE[launcher], 1))
