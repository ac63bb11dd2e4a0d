#!/usr/bin/env bash
# The sets behind the tables of distilled sets in docs/results/README.md: MNIST, 10, 1 and 50 raw images per class.
#   bash docs/results/distilled_sets.sh DATA_ROOT OUTPUT
# A set that is there already is not made again. Scored by five fresh ConvNet-3 of width 128 each; the
# set of tiles by two, those of 50 images by three.
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
make tiles --codec tiles:factor=2
make pad --distiller pad --num-networks 320
make datadam1 --images-per-class 1 --num-networks 320
make pad1 --distiller pad --images-per-class 1 --num-networks 320
make bptt1 --distiller bptt --images-per-class 1 --num-updates 2200 --bptt-unroll 60 --bptt-window 30 --distill-width 32
make datadam50 --images-per-class 50
make pad50 --distiller pad --images-per-class 50
clbench evaluate "$output"/{pad,datadam,longer,longest,herded,noise,dm,batch}.safetensors --data-root "$data"
clbench evaluate "$output/tiles.safetensors" --data-root "$data" --num-networks-evaluated 2
clbench evaluate "$output"/{bptt1,pad1,datadam1}.safetensors --data-root "$data"
clbench evaluate "$output"/{pad50,datadam50}.safetensors --data-root "$data" --evaluation-epochs 150 \
    --num-networks-evaluated 3
