#!/usr/bin/env bash
# Memories of histology in colour, stored in several ways: the runs behind "Histology in colour" in
# docs/results/README.md. FOLDER holds the classes of EBHI-Seg.
#   bash docs/results/histology.sh FOLDER OUTPUT
# A run that is there already is not made again. One thread a run; seeds 0 to 2 (SEEDS="0" for others).
set -euo pipefail
folder=$1 output=$2
export OMP_NUM_THREADS=1
python "$(dirname "$0")/histology_split.py" "$folder"
run() { # SEED MEMORY CODEC
    local place=$output/$2-$3-seed$1
    [[ -e $place/report.json ]] || clbench run --benchmark "folder:$folder/patients.csv" --image-size 48 \
        --num-experiences 3 --network convnet --width 32 --epochs 10 --code-current no --memory-bytes 41472 \
        --strategy "$2_replay" --codec "$3" --seed "$1" --no-tensorboard --quiet --output "$place"
}
for seed in ${SEEDS:-0 1 2}; do
    run "$seed" random raw
    run "$seed" dam raw
    for memory in random herding kip; do
        run "$seed" "$memory" avif:quality=30
    done
    for codec in jpeg:quality=10 webp:quality=10 levels:side=24,levels=4; do
        run "$seed" random "$codec"
    done
done
clbench compare "$output" --metric balanced_accuracy
