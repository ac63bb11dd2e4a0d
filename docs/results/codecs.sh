#!/usr/bin/env bash
# Real and distilled digits in one-bit streams: the runs behind "Stored well" in docs/results/README.md.
#   bash docs/results/codecs.sh DATA_ROOT OUTPUT BYTES
# A run that is there already is not made again. One thread a run; six seeds of three memories.
set -euo pipefail
data=$1 output=$2 bytes=$3
export OMP_NUM_THREADS=1
for seed in 0 1 2 3 4 5; do
    for memory in random herding kip; do
        place=$output/$bytes/$memory-seed$seed
        [[ -e $place/report.json ]] || clbench run --benchmark split_mnist --data-root "$data" --quiet \
            --strategy "${memory}_replay" --seed "$seed" --codec levels:side=14,levels=2 \
            --memory-bytes "$bytes" --no-tensorboard --output "$place"
    done
done
clbench compare "$output/$bytes" --baseline random_replay
clbench compare "$output/$bytes" --baseline herding_replay
