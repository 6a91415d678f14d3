"""Tell all processes of a run what the first one has found."""

from typing import Any

import torch.distributed
from mmengine.device import get_device
from mmengine.dist import broadcast_object_list, init_dist

from lvt_dense.utils.dist import count_processes

from .runner import join_by_gloo


def share_object(found: Any, launcher: str) -> Any:
    """Return what the first process has found, in every process.

    The processes join for this over gloo. On a CPU they stay joined; with
    GPUs they part again, as the training joins them by NCCL.

    Args:
        found: What this process has found; only that of the first counts.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.
    """
    if count_processes(launcher) == 1:
        return found
    is_cpu = get_device() == 'cpu'
    if launcher == 'pytorch':
        join_by_gloo()
    else:
        init_dist(launcher, backend='gloo')
    content = [found]
    broadcast_object_list(content)
    if not is_cpu:
        torch.distributed.destroy_process_group()
    return content[0]
