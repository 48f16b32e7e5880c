#!/usr/bin/env bash
# Make the networks that come with the package, from nothing: train them, measure them, write the model cards.
#
#   bash experiments/shipped/make.sh          go on from where it stopped; seven hours on two cores
#   bash experiments/shipped/make.sh all      the other recipes of recipes.toml as well; a day
#   bash experiments/shipped/make.sh card     docs/model-card.md and model-card-gri.md again, from results/models
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

python=.venv-modern/bin/python
export PYTHONPATH=.:common:modern

if [ "${1:-}" != card ]; then
  only=(--only resnet-shipped cnn-shipped)
  [ "${1:-}" = all ] && only=()
  "$python" -m experiments shipped.recipes results/models/recipes.json "${only[@]}"
  for model in resnet cnn; do
    "$python" -m experiments shipped.ship "runs/models/$model-shipped"
  done
  "$python" -m experiments shipped.measure results/models/networks.json
  "$python" -m experiments shipped.pairs results/models/pairs.json
  "$python" -m experiments shipped.ingredients results/models/ingredients.json
  "$python" -m experiments shipped.gri train
  "$python" -m experiments shipped.gri measure
fi
"$python" -m experiments shipped.card results/models docs/model-card.md
"$python" -m experiments shipped.gri card
