#!/usr/bin/env bash
# Ask the advisory database of PyPI what is known of the packages of every lock.
# Ends with 1 where it names a weakness, and with 2 where it cannot be asked about all of them.
set -uo pipefail
cd "${BASH_SOURCE[0]%/*}/.."

tool=.tools/audit
if [ ! -x "$tool/bin/pip-audit" ]; then
  echo "audit: installing pip-audit into $tool"
  .venv-modern/bin/python -m venv "$tool" && "$tool/bin/python" -m pip -qq install pip-audit==2.10.1 || exit 2
fi
worst=0
for lock in legacy legacy-test build modern torch; do
  said="$("$tool/bin/pip-audit" --no-deps --disable-pip --progress-spinner off --format json -r "requirements/$lock.txt" 2>/dev/null)"
  .venv-modern/bin/python - "$lock" "$said" <<'PYTHON'
import json, sys

lock, said = sys.argv[1:]
try:
    packages = json.loads(said)["dependencies"]
except (ValueError, KeyError):
    sys.exit(f"audit: {lock}: the advisory database cannot be reached")
unknown = [package["name"] for package in packages if "skip_reason" in package]
weak = [(package, weakness) for package in packages for weakness in package.get("vulns", [])]
for package, weakness in weak:
    fixed = ", ".join(weakness["fix_versions"]) or "no version"
    print(f"audit: {lock}: {package['name']} {package['version']}: {weakness['id']}, fixed in {fixed}")
if unknown:
    print(f"audit: {lock}: nothing is known here of {len(unknown)} of {len(packages)} packages, {unknown[0]} the first")
else:
    print(f"audit: {lock}: {len(packages)} packages, {len(weak)} weaknesses")
sys.exit(2 if unknown else int(bool(weak)))
PYTHON
  status=$?
  if [ "$status" -gt "$worst" ]; then worst=$status; fi
done
exit "$worst"
