#!/usr/bin/env bash
# The sets behind the table of distilled sets in docs/results/README.md: MNIST, 10 slots per class.
#   bash docs/results/distilled_sets.sh DATA_ROOT OUTPUT
# A set that is there already is not made again. Scored by five fresh ConvNet-3 of width 128 each.
set -euo pipefail
data=$1 output=$2
make() {
    local name=$1
    shift
    [[ -e $output/$name.json ]] || clbench distill --data-set mnist --data-root "$data" --quiet \
        --no-evaluate --distill-width 64 --output "$output/$name.safetensors" "$@"
}
make datadam
make longer --num-networks 320
make longest --num-networks 1280
make herded --initialisation herding --num-networks 320
make noise --initialisation noise --num-networks 240
make dm --distiller dm
make batch --distill-norm batch
make packed --packing 2
clbench evaluate "$output"/{datadam,longer,longest,herded,noise,dm,batch}.safetensors --data-root "$data"
clbench evaluate "$output/packed.safetensors" --data-root "$data" --num-networks-evaluated 2
