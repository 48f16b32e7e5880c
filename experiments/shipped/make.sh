#!/usr/bin/env bash
# Make the networks that come with the package, from nothing: train them, measure them, write the model card.
#
#   bash experiments/shipped/make.sh          go on from where it stopped; four hours on two cores
#   bash experiments/shipped/make.sh card     docs/model-card.md again, from results/models
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=.venv-modern/bin/python
export PYTHONPATH=.:common:modern

if [ "${1:-}" != card ]; then
  for model in resnet cnn; do
    read -ra recipe < "experiments/shipped/$model.txt"
    .venv-modern/bin/lens-modern train "${recipe[@]}" --out "runs/models/$model"
    "$python" -m experiments shipped.ship "runs/models/$model"
  done
  "$python" -m experiments shipped.measure results/models/networks.json
  "$python" -m experiments shipped.ingredients results/models/ingredients.json
  "$python" -m experiments shipped.idiomatic results/models/idiomatic.json
fi
"$python" -m experiments shipped.card results/models docs/model-card.md
