#!/usr/bin/env bash
# Real and distilled digits in one-bit streams: the runs behind "Stored well" in docs/results/README.md.
#   bash docs/results/codecs.sh DATA_ROOT OUTPUT BYTES [MEMORY...]
# A run that is there already is not made again. One thread a run; six seeds of each memory, by default
# random, herding and kip; of naive and cumulative, which have none, once for all BYTES.
set -euo pipefail
data=$1 output=$2 bytes=$3
shift 3
export OMP_NUM_THREADS=1
run() { # PLACE STRATEGY SEED [OPTION...]
    local place=$1 strategy=$2 seed=$3
    shift 3
    [[ -e $place/report.json ]] || clbench run --benchmark split_mnist --data-root "$data" --quiet \
        --strategy "$strategy" --seed "$seed" --no-tensorboard --output "$place" "$@"
}
for seed in 0 1 2 3 4 5; do
    for memory in "${@:-random herding kip}"; do
        for one in $memory; do
            run "$output/$bytes/$one-seed$seed" "${one}_replay" "$seed" --memory-bytes "$bytes" \
                --codec levels:side=14,levels=2 --code-current no
        done
    done
    for bound in naive cumulative; do
        run "$output/bounds/$bound-seed$seed" "$bound" "$seed"
    done
done
clbench compare "$output"
