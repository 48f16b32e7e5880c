#!/usr/bin/env bash
# Make the networks that come with the package, from nothing: train them, measure them, write the model card.
#
#   bash models/make.sh          go on from where it stopped; four hours on two cores
#   bash models/make.sh card     docs/model-card.md again, from results/models
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python=.venv-modern/bin/python
export PYTHONPATH=common:modern

if [ "${1:-}" != card ]; then
  for model in resnet cnn; do
    read -ra recipe < "models/$model.txt"
    .venv-modern/bin/lens-modern train "${recipe[@]}" --out "runs/models/$model"
    "$python" models/ship.py "runs/models/$model"
  done
  "$python" models/measure.py results/models/networks.json
  "$python" models/ingredients.py results/models/ingredients.json
  "$python" models/idiomatic.py results/models/idiomatic.json
fi
"$python" models/card.py results/models docs/model-card.md
