#!/usr/bin/env bash
# Build the image lens-legacy with the engine found.
#
#   bash requirements/image.sh build      build it
#   bash requirements/image.sh engine     only look: print the engine, docker or podman
#
# An engine is found by using it: a `docker` without its daemon is none. BASE_IMAGE names another base image
# than the Dockerfile does. Where the base cannot be pulled, a stand-in is made of Debian's packages and the Python 3.8
# of this machine.
set -euo pipefail
cd "${BASH_SOURCE[0]%/*}/.."

IMAGE=lens-legacy

say() { printf 'image: %s\n' "$*"; }
stop() { printf 'image: %s\n' "$*" >&2; exit 1; }

find_engine() {
  if docker info >/dev/null 2>&1; then engine=docker
  elif podman info >/dev/null 2>&1; then engine=podman
  else
    stop "No container engine works here: install one (Debian: \`apt-get install podman runc mmdebstrap\`), or start Docker's daemon."
  fi
}

# Settings of pip and certificates of this machine, as build secrets; what names local files is of no use in there.
write_secrets() {
  local python
  for python in .venv-modern/bin/python .venv-legacy/bin/python python3; do
    if "$python" -m pip --version >/dev/null 2>&1; then break; fi
  done
  "$python" - "$1" <<'PYTHON'
import ast, os, subprocess, sys
given = {}
listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True).stdout
for line in listed.splitlines():
    name, _, value = line.partition("=")
    # A setting of the environment, `:env:.cert`, comes before one of a file in the list, and wins.
    given.setdefault(name.rpartition(".")[2], ast.literal_eval(value))
certificates = given.get("cert") or os.environ.get("SSL_CERT_FILE")
lines = ["[global]"]
for name in ("index-url", "extra-index-url", "proxy", "trusted-host", "timeout", "retries"):
    words = [word for word in given.get(name, "").split() if not word.startswith("file:")]
    lines += [f"{name} = {' '.join(words)}"] if words else []
if certificates and os.path.isfile(certificates):
    lines.append("cert = /run/secrets/ca.crt")
folder = sys.argv[1]
open(os.path.join(folder, "ca.crt"), "w").write(open(certificates).read() if lines[-1].startswith("cert") else "")
open(os.path.join(folder, "pip.conf"), "w").write("\n".join(lines) + "\n")
PYTHON
}

# make_base: a stand-in for python:3.8-slim-bookworm, made like it: Debian's smallest, and a Python under /usr/local.
make_base() {
  local found prefix root="$work/base" sources
  found="$(bash requirements/setup.sh check legacy)" || exit 1
  found="${found##* }"
  base="lens-stand-in:$("$found" -c 'import platform; print(platform.python_version())')"
  if "$engine" image inspect "$base" >/dev/null 2>&1; then
    say "the base is a STAND-IN made earlier, $base"
    return
  fi
  command -v mmdebstrap >/dev/null || stop "Without a registry the base has to be made: install mmdebstrap (\`apt-get install mmdebstrap\`)."
  [ "$(id -u)" = 0 ] || stop "Without a registry the base has to be made, which only root can: run \`make image\` as root."
  say "the base is a STAND-IN, made of Debian's packages and $found"
  sources="$(grep -lsw bookworm /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list | head -n 1 || true)"
  # The machine's own settings of apt, which may name a proxy; no manuals, as in Debian's slim images.
  apt-config dump | grep -E '^(Acquire::(Check-|https?::|Retries)|APT::Sandbox)' >"$work/apt.conf" || true
  mmdebstrap --quiet --variant=minbase --aptopt="$work/apt.conf" --aptopt='APT::Install-Recommends "false"' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --include=ca-certificates,libbz2-1.0,libffi8,liblzma5,libncursesw6,libnsl2,libreadline8,libsqlite3-0,libssl3,libtirpc3,libuuid1,zlib1g \
    bookworm "$root" ${sources:+"$sources"} || stop "mmdebstrap could not make Debian bookworm; what it says above names the cause."
  prefix="$("$found" -c 'import sys; print(sys.base_prefix)')"
  [ "$prefix" != /usr ] || stop "$found is part of the system and cannot be copied: name another Python 3.8 in LENS_PYTHON38, or reach a registry."
  cp -a "$prefix/." "$root/usr/local/"
  find "$root/usr/local" \( -name __pycache__ -o -name test -o -name tests -o -name '*.a' \) -prune -exec rm -rf {} +
  grep -rlI "$prefix" "$root/usr/local" | xargs -r sed -i "s#$prefix#/usr/local#g"
  ln -sf python3.8 "$root/usr/local/bin/python3"
  chroot "$root" ldconfig
  chroot "$root" /usr/local/bin/python3 -c 'import bz2, ctypes, lzma, readline, sqlite3, ssl, zlib' \
    || stop "$found does not run in Debian bookworm: name another Python 3.8 in LENS_PYTHON38, or reach a registry."
  tar -C "$root" -c . | "$engine" import --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$base" >/dev/null
}

build() {
  local start=$SECONDS isolation=()
  find_engine
  work="$(mktemp -d)"
  trap 'rm -rf "$work"' EXIT
  base="${BASE_IMAGE:-$(sed -n 's/^ARG BASE_IMAGE=//p' Dockerfile)}"
  say "engine: $engine; pulling $base"
  if ! "$engine" image inspect "$base" >/dev/null 2>&1 && ! timeout 600 "$engine" pull -q "$base" >"$work/pull" 2>&1; then
    say "it cannot be pulled: $(tail -n 1 "$work/pull")"
    make_base
  fi
  write_secrets "$work"
  say "building $IMAGE from $base; the graphs of both networks are compiled, which takes minutes"
  # Podman needs no daemon and, in a chroot, no runtime to build.
  if [ "$engine" = podman ]; then isolation=(--isolation chroot); fi
  DOCKER_BUILDKIT=1 "$engine" build "${isolation[@]}" --build-arg BASE_IMAGE="$base" \
    --build-arg VERSION="$(sed -n 's/^__version__ = "\(.*\)"/\1/p' common/lens_common/_version.py)" \
    --secret id=pip.conf,src="$work/pip.conf" --secret id=ca.crt,src="$work/ca.crt" -t "$IMAGE" .
  say "$IMAGE from $base, $(("$("$engine" image inspect --format '{{.Size}}' "$IMAGE")" / 1000000)) MB, built in $((SECONDS - start)) s"
}

case "${1:-}" in
  build) build ;;
  engine) find_engine; echo "$engine" ;;
  *) stop "Say \`image.sh build\` or \`image.sh engine\`." ;;
esac
