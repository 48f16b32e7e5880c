#!/usr/bin/env bash
# Build wheels and sdists of the three distributions, and check what an index would say of them.
#
#   bash requirements/dist.sh [FOLDER]     FOLDER is dist/ by default
set -euo pipefail
cd "${BASH_SOURCE[0]%/*}/.."

out="${1:-dist}" tools="$PWD/.venv-modern/bin"
for name in common legacy modern; do
  rm -f "$out/lens_$name"-*
  # The wheel is built from the sdist, so that nothing in it can come from elsewhere in the checkout.
  "$tools/uv" build --quiet --no-build-isolation --python "$tools/python" --out-dir "$out" "$name"
done
"$tools/twine" check --strict "$out"/lens_*
