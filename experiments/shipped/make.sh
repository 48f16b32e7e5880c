#!/usr/bin/env bash
# Make the networks that come with the package, from nothing: train them, measure them, write the model card.
#
#   bash experiments/shipped/make.sh          go on from where it stopped; four hours on two cores
#   bash experiments/shipped/make.sh card     docs/model-card.md again, from results/models
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=.venv-modern/bin/python
export PYTHONPATH=common:modern

if [ "${1:-}" != card ]; then
  for model in resnet cnn; do
    read -ra recipe < "models/$model.txt"
    .venv-modern/bin/lens-modern train "${recipe[@]}" --out "runs/models/$model"
    "$python" experiments/shipped/ship.py "runs/models/$model"
  done
  "$python" experiments/shipped/measure.py results/models/networks.json
  "$python" experiments/shipped/ingredients.py results/models/ingredients.json
  "$python" experiments/shipped/idiomatic.py results/models/idiomatic.json
fi
"$python" experiments/shipped/card.py results/models docs/model-card.md
