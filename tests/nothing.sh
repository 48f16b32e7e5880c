#!/usr/bin/env bash
# Do what README says on a machine with nothing: Debian's smallest bookworm, README's apt line, then its two commands, as
# they stand there.
#
#   bash tests/nothing.sh         both commands
#   bash tests/nothing.sh demo    the first alone
#
# It needs root, mmdebstrap, podman and 10 GB below TMPDIR; uv finds Python 3.8 and 3.11 in a mirror of those at hand. pip's
# settings and the certificates of this machine are handed in. The last line is `nothing: all is well`; exit code 1 if not.
set -euo pipefail
cd "${BASH_SOURCE[0]%/*}/.."

say() { printf 'nothing: %s\n' "$*"; }
stop() { printf 'nothing: %s\n' "$*" >&2; exit 1; }

# The apt line and the two commands, from README.
apt_line="$(grep -o 'apt-get install [a-z0-9+ -]*' README.md | head -n 1)"
mapfile -t commands < <(sed -n '/^## Two commands/,/^You need/s/^    \(make [a-z]*\).*/\1/p' README.md)
[ -n "$apt_line" ] || stop "README.md has no \`apt-get install\`: say there what a Debian needs."
[ "${commands[*]}" = "make demo make test" ] || stop "README.md's two commands are not make demo and make test, but: ${commands[*]}"
case "${1:-}" in
  '') ;;
  demo) commands=("${commands[0]}") ;;
  *) stop "Say \`nothing.sh demo\` for the first command alone, or \`nothing.sh\` for both." ;;
esac
for program in mmdebstrap podman; do
  command -v "$program" >/dev/null || stop "$program is missing: \`apt-get install podman runc mmdebstrap debian-archive-keyring\`."
done
[ "$(id -u)" = 0 ] || stop "Only root can make a machine: run \`make nothing-test\` as root."

work="$(mktemp -d)" started=$SECONDS
root="$work/root"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# settings: pip's settings as variables, and options of podman that share the files and folders they name, read-only.
settings() {
  .venv-modern/bin/python - <<'PYTHON'
import ast, os, subprocess, sys
listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
given, paths = {}, set()
for line in listed.splitlines():
    name, _, value = line.partition("=")
    given.setdefault(name.rpartition(".")[2], ast.literal_eval(value))
environment = {f"PIP_{name.upper().replace('-', '_')}": value for name, value in given.items()}
environment.update((name, value) for name, value in os.environ.items() if name.startswith("UV_") or name == "SSL_CERT_FILE")
for word in " ".join(environment.values()).split():
    path = os.path.realpath(word.removeprefix("file://"))
    if word.startswith(("file:", "/")) and os.path.exists(path):
        paths.add((path, word.removeprefix("file://")))
for name, value in environment.items():
    print(f"{name}={value}")
for path, seen_as in sorted(paths):
    # An index names its files beside it.
    path, seen_as = (os.path.dirname(p) if seen_as.rstrip("/").endswith("/simple") else p for p in (path, seen_as))
    print(f"--volume={path}:{seen_as}:ro")
PYTHON
}

# inside COMMAND: run it in the machine, in the folder of the project. An engine inside of another sandbox cannot set the
# limits that podman would.
inside() {
  podman run --rm --network=host --ulimit=nofile=1024:1024 --ulimit=nproc=4096:4096 --workdir /srv/lens-twins \
    "${options[@]}" --rootfs "$root" env -i "${variables[@]}" sh -c "$1"
}

size() { du -sm "$root" | cut -f 1; }

# step COMMAND: run it; say how long it took and how much larger the machine is.
step() {
  local begin=$SECONDS before
  before="$(size)"
  say "\$ $1"
  inside "$1" >"$work/said" 2>&1 || { tail -n 30 "$work/said" | sed 's/^/    /'; stop "\`$1\` failed after $((SECONDS - begin)) s."; }
  grep -E '^setup: |report|^[0-9]+ passed, ' "$work/said" | tail -n 40 | sed 's/^/    /' || true
  say "$((SECONDS - begin)) s, $(($(size) - before)) MB more"
}

sources="$(grep -lsw bookworm /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list | head -n 1 || true)"
# The machine's own settings of apt, which may name a proxy.
{ apt-config dump | grep -E '^(Acquire::(Check-|https?::|Retries)|APT::Sandbox)' || true; echo 'APT::Get::Assume-Yes "true";'; } >"$work/apt.conf"
mmdebstrap --quiet --variant=minbase --include=ca-certificates --skip=cleanup/apt/lists --aptopt="$work/apt.conf" \
  bookworm "$root" ${sources:+"$sources"} || stop "mmdebstrap could not make Debian bookworm; what it says above names the cause."
say "Debian bookworm, $(size) MB, $((SECONDS - started)) s"

mkdir -p "$work/mirror" "$root/srv/lens-twins"
.venv-modern/bin/python tests/mirror.py "$work/mirror" .venv-legacy/bin/python .venv-modern/bin/python --seen-as /mirror \
  || stop "No mirror could be made of the interpreters at hand; the line above says why."
git archive HEAD | tar -x -C "$root/srv/lens-twins"
options=(--volume="$work/mirror:/mirror:ro" --shm-size=1g)
variables=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive
  UV_PYTHON_DOWNLOADS_JSON_URL=/mirror/downloads.json)
settings >"$work/settings"
while read -r line; do
  case "$line" in --volume=*) options+=("$line") ;; *) variables+=("$line") ;; esac
done <"$work/settings"
if [ -n "${LENS_PICS_MOCKS:-}" ]; then
  options+=(--volume="$(realpath "$LENS_PICS_MOCKS"):/mocks:ro")
  variables+=(LENS_PICS_MOCKS=/mocks)
fi

inside true || stop "podman does not run the machine; the line above says why."
if inside 'command -v python3 || command -v make || command -v g++ || command -v uv' >"$work/said"; then
  stop "The machine is not empty: it has $(tr '\n' ' ' <"$work/said")before README's first line."
fi
step "$apt_line"
for command in "${commands[@]}"; do
  step "$command"
done
inside 'test -s runs/demo/report.html' || stop "make demo ended well, but runs/demo/report.html is not there."
inside 'du -sm .venv-legacy .venv-modern .tools runs ~/.cache/*' 2>/dev/null | sed 's/^/    MB: /'
say "all is well, $((SECONDS - started)) s"
