#!/usr/bin/env bash
# Real and distilled digits in one-bit streams: the runs behind "Stored well" in docs/results/README.md.
#   bash docs/results/codecs.sh DATA_ROOT OUTPUT BYTES LEARNER [MEMORY...]
# LEARNER is mlp, convnet or lenet; a MEMORY is that of replay (kip), or a strategy (kip_gdumb). A run that
# is there already is not made again. One thread a run; six seeds (SEEDS="0 1 2" for others) of each memory,
# by default random, herding and kip; of naive and cumulative, which have none, once for all BYTES.
set -euo pipefail
data=$1 output=$2/$4 bytes=$3 learner=$4
shift 4
export OMP_NUM_THREADS=1
# Chosen on the validation stream: a ConvNet tells coded images from sharp ones, an MLP hardly.
case $learner in
    mlp) options=() current=no ;;
    convnet) options=(--network convnet --width 32) current=yes ;;
    lenet) options=(--network lenet) current=yes ;;
    *) echo "expected mlp, convnet or lenet, found $learner" >&2 && exit 2 ;;
esac
run() { # PLACE STRATEGY SEED [OPTION...]
    local place=$1 strategy=$2 seed=$3
    shift 3
    [[ -e $place/report.json ]] || clbench run --benchmark split_mnist --data-root "$data" --quiet \
        "${options[@]}" --strategy "$strategy" --seed "$seed" --no-tensorboard --output "$place" "$@"
}
for seed in ${SEEDS:-0 1 2 3 4 5}; do
    for memory in ${@:-random herding kip}; do
        strategy=$memory
        [[ $memory == *_* ]] || strategy=${memory}_replay
        run "$output/$bytes/$memory-seed$seed" "$strategy" "$seed" --memory-bytes "$bytes" \
            --codec levels:side=14,levels=2 --code-current "$current"
    done
done
for seed in ${SEEDS:-0 1 2 3 4 5}; do
    for bound in naive cumulative; do
        run "$output/bounds/$bound-seed$seed" "$bound" "$seed"
    done
done
clbench compare "$output"
