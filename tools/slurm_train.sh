#!/usr/bin/env bash
# Usage: GPUS=8 tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options]
# GPUS in all, GPUS_PER_NODE (8), CPUS_PER_TASK (5) and SRUN_ARGS may be set.
# One task a node; torchrun starts the processes of its GPUs.
set -euo pipefail
partition=$1 job=$2; shift 2
gpus=${GPUS:-8} per_node=${GPUS_PER_NODE:-8}
if (( gpus < per_node )); then per_node=$gpus; fi
nodes=$(( (gpus + per_node - 1) / per_node ))
export TOOL="$(cd "$(dirname "$0")" && pwd)/train.py" PER_NODE=$per_node
exec srun -p "$partition" --job-name="$job" --nodes="$nodes" \
    --ntasks="$nodes" --ntasks-per-node=1 --gres="gpu:$per_node" \
    --cpus-per-task="$(( per_node * ${CPUS_PER_TASK:-5} ))" \
    --kill-on-bad-exit=1 ${SRUN_ARGS:-} bash -c '
        head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
        exec torchrun --nnodes="$SLURM_NNODES" --node_rank="$SLURM_NODEID" \
            --master_addr="$head" --master_port="${MASTER_PORT:-29500}" \
            --nproc_per_node="$PER_NODE" -- \
            "$TOOL" "$@" --launcher pytorch' "$job" "$@"
