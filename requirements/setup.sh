#!/usr/bin/env bash
# Build the two virtual environments from the locks beside this file.
#
#   bash requirements/setup.sh legacy modern          build what is missing or outdated
#   bash requirements/setup.sh modern-3.13            the same for another Python, in .venv-modern-3.13
#   bash requirements/setup.sh check legacy modern    only look: print the interpreters found
#
# A Python is found by running it: `python3.8` on the PATH may be a shim that only fails.
# LENS_PYTHON38 and LENS_PYTHON311 name one instead. Where there is none, uv brings one to .tools/, without root.
# Exit code 2: something is missing, one sentence on stderr says what and how to get it.
set -euo pipefail

here="${BASH_SOURCE[0]%/*}"
[ "$here" != "${BASH_SOURCE[0]}" ] || here=.
cd "$here/.."

say() { printf 'setup: %s\n' "$*"; }
stop() { printf 'setup: %s\n' "$*" >&2; exit 2; }
have() { command -v "$1" >/dev/null 2>&1; }

PROBE='
import ensurepip, sys, sysconfig, venv
print("%d %d" % sys.version_info[:2])
print(sys.executable)
print(sysconfig.get_path("include"))
'

# probe CANDIDATE SIDE: run the candidate; true, and `python` and `include` set, if it suits the side.
probe() {
  local answer major minor
  [ -n "$1" ] || return 1
  answer="$("$1" -c "$PROBE" 2>/dev/null </dev/null)" || return 1
  { read -r major minor && read -r python && read -r include; } <<<"$answer" || return 1
  [ "$major" = 3 ] || return 1
  case "$2" in
    legacy) [ "$minor" -eq 8 ] ;;
    modern) [ "$minor" -ge 11 ] ;;
    modern-3.*) [ "$minor" = "${2#modern-3.}" ] ;;
  esac
}

# candidates SIDE: one candidate a line, the likeliest first.
candidates() {
  local names versions request name folder
  case "$1" in
    legacy) names="python3.8"; versions="3.8"; request="3.8" ;;
    # 3.11 first: the pins were made for it.
    modern) names="python3.11 python3.12 python3.13 python3.14 python3"
            versions="3.11 3.12 3.13 3.14"; request=">=3.11" ;;
    modern-*) names="python${1#modern-}"; versions="${1#modern-}"; request="$versions" ;;
  esac
  for name in $names; do
    if have "$name"; then echo "$name"; fi
  done
  for name in $versions; do
    if have pyenv; then PYENV_VERSION="$name" pyenv which python 2>/dev/null || true; fi
  done
  folder="${PYENV_ROOT:-}"
  if [ -z "$folder" ] && have pyenv; then folder="$(pyenv root 2>/dev/null || true)"; fi
  for name in $versions; do
    for name in "${folder:-${HOME:-}/.pyenv}/versions/$name"*/bin/python; do
      if [ -x "$name" ]; then echo "$name"; fi
    done
  done
  if have uv; then uv python find --system "$request" 2>/dev/null || true; fi
  for name in $versions; do printf '%s\n' "$PWD/.tools/python-$name"/cpython-*/bin/python3; done
  if [ "$1" = legacy ]; then echo .conda-py38/bin/python; fi
}

# find_uv: set `uv` to the one on the PATH, or else let pip fetch the one that is pinned; where neither is, set `reason`.
# pip's own settings say from where. Where a Python has no pip, its venv module makes one.
find_uv() {
  local any version pip= said
  uv="$(command -v uv)" && "$uv" --version >/dev/null 2>&1 && return  # it may be a shim that only fails
  version="$(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements/modern.txt)"
  uv="$PWD/.tools/uv/bin/uv"
  if [ "$("$uv" --version 2>/dev/null | cut -d ' ' -f 2)" = "$version" ]; then return; fi
  rm -rf .tools/uv
  for any in python3 python; do
    have "$any" || continue
    if "$any" -m pip --version >/dev/null 2>&1; then pip="$any"; break; fi
    if "$any" -m venv .tools/pip >/dev/null 2>&1; then pip=.tools/pip/bin/python; break; fi
  done
  if [ -z "$pip" ]; then
    reason="there is no uv, and no Python with pip or the venv module to fetch it with (Debian: \`apt-get install python3-venv\`)"
  elif sed -n '/^uv==/,/[^\\]$/p' requirements/modern.txt >.tools/uv.txt
    said="$("$pip" -m pip --disable-pip-version-check install --quiet --no-deps --require-hashes --only-binary :all: \
      --target .tools/uv -r .tools/uv.txt 2>&1)"; then
    rm -rf .tools/pip .tools/uv.txt
    return
  else
    said="$(sed -n 's/^ERROR: //p' <<<"$said" | tail -n 1)"
    reason="pip could not fetch uv $version (${said%%. *}; \`pip config list\` says where it looks)"
  fi
  rm -rf .tools/pip .tools/uv .tools/uv.txt
  return 1
}

# bring_python SIDE: let uv install an interpreter below .tools; set `python` and `include`, or else `reason`.
bring_python() {
  local side="$1" version folder said
  case "$side" in legacy) version=3.8 ;; modern) version=3.11 ;; *) version="${side#modern-}" ;; esac
  folder="$PWD/.tools/python-$version"
  mkdir -p .tools
  find_uv || return 1
  say "$side: no Python $version here, so uv brings one to .tools"
  rm -rf "$folder"
  if said="$(UV_PYTHON_INSTALL_DIR="$folder" UV_PYTHON_INSTALL_BIN=0 UV_CACHE_DIR="$folder/.cache" UV_NO_PROGRESS=1 \
    "$uv" python install "$version" 2>&1)"; then
    rm -rf "$folder/.cache"
    for python in "$folder"/cpython-*/bin/python3; do
      probe "$python" "$side" && return
    done
    said="what it brought does not run"
  fi
  rm -rf "$folder"
  reason="$(sed -n 's/^ *\(error\|Caused by\): //p' <<<"$said" | tail -n 1)"
  reason="uv could not bring one: ${reason:-$said}"
  return 1
}

# find SIDE: set `python` and `include`, or stop with a sentence.
find_python() {
  local given name candidate tool wanted remedy reason
  case "$1" in
    modern-*) given=; name="LENS_PYTHON311"; wanted="Python ${1#modern-}"
              remedy="install one (\`pyenv install ${1#modern-}\` or \`uv python install ${1#modern-}\`)" ;;
    legacy) given="${LENS_PYTHON38:-}"; name="LENS_PYTHON38"; wanted="Python 3.8"
            remedy="install one (\`pyenv install 3.8\`, \`uv python install 3.8\` or conda)" ;;
    modern) given="${LENS_PYTHON311:-}"; name="LENS_PYTHON311"; wanted="Python 3.11 or newer"
            remedy="install one (Debian: \`apt-get install python3-venv\`; elsewhere \`pyenv install 3.11\` or \`uv python install 3.11\`)" ;;
  esac
  if [ -n "$given" ]; then
    probe "$given" "$1" && return
    stop "$name=$given is not a working $wanted with its venv module: correct it, or unset it to have one searched for."
  fi
  while read -r candidate; do
    probe "$candidate" "$1" && return
  done < <(candidates "$1")
  reason=
  if [ "$2" = build ]; then
    bring_python "$1" && return
    for tool in conda mamba micromamba; do
      if [ "$1" = legacy ] && have "$tool"; then
        say "legacy: ${reason%.}; $tool makes a Python 3.8 under .conda-py38"
        "$tool" create --yes --quiet -p .conda-py38 'python=3.8' pip >&2 || break
        probe .conda-py38/bin/python legacy && return
      fi
    done
  fi
  stop "No $wanted with its venv module was found${reason:+, and ${reason%.}}: $remedy, or name it in $name."
}

# Theano compiles C++ against the interpreter's headers at run time.
check_compiler() {
  have g++ || stop "No g++ was found, and Theano compiles with it: install it (Debian: \`apt-get install g++\`; Fedora: \`dnf install gcc-c++\`)."
  [ -f "$include/Python.h" ] || stop "$python has no Python.h in $include, and Theano compiles against it: install its headers (\`python3.8-dev\` or \`python38-devel\`), or name a Python 3.8 that has them, such as pyenv's, in LENS_PYTHON38."
}

# step TEXT COMMAND...: say what is being done and how long it took.
step() {
  local text="$1" start=$SECONDS
  shift
  printf 'setup: %s ... ' "$text"
  "$@" || { echo; stop "This failed: $text. What pip or Python says above names the cause; mend it and run \`make setup\` again."; }
  echo "$((SECONDS - start)) s"
}

count() { grep -c == "$@" | awk -F : '{ sum += $NF } END { print sum }'; }

# build SIDE: the stamp is written last, so an interrupted set-up is begun anew. It holds a sum of
# all that went in and the folder's own path: a venv that was moved does not run.
build() {
  local side="$1" folder=".venv-$1" room="${1%%-*}" pip inputs key
  case "$room" in
    legacy) inputs="requirements/build.txt requirements/legacy.txt requirements/legacy-test.txt" ;;
    modern) inputs="requirements/modern.txt requirements/torch.txt" ;;
  esac
  # shellcheck disable=SC2086
  key="$PWD $(cat $inputs common/pyproject.toml "$room/pyproject.toml" requirements/setup.sh | cksum)"
  if [ -f "$folder/.complete" ] && [ "$(cat "$folder/.complete")" = "$key" ] && probe "$folder/bin/python" "$side"; then
    if [ "$side" = legacy ]; then check_compiler; fi
    say "$side: $folder is up to date"
    return
  fi
  find_python "$side" build
  if [ "$side" = legacy ]; then check_compiler; fi
  say "$side: $python"
  rm -rf "$folder"
  step "$side: making $folder" "$python" -m venv "$folder"
  pip="$folder/bin/python -m pip --disable-pip-version-check -qq install"
  # The locks are complete, so pip resolves nothing: what lenstronomy declares in vain stays out.
  if [ "$side" = legacy ]; then
    # First the tools: the stack of 2018 comes as sources, which build with a setuptools of their time.
    step "legacy: installing the build tools" $pip --no-deps --require-hashes -r requirements/build.txt
    step "legacy: installing $(count requirements/legacy.txt requirements/legacy-test.txt) packages" \
      $pip --no-deps --require-hashes --no-build-isolation -r requirements/legacy.txt -r requirements/legacy-test.txt
  else
    step "modern: installing $(count requirements/modern.txt) packages" \
      $pip --no-deps --require-hashes -r requirements/modern.txt
    # Without hashes: which wheel of torch fits depends on the machine.  Its dependencies keep to the lock.
    sed -n 's/^\([A-Za-z0-9._-]*==[^ ;\\]*\).*/\1/p' requirements/modern.txt >"$folder/pins.txt"
    step "modern: installing torch" $pip -c "$folder/pins.txt" -r requirements/torch.txt
  fi
  step "$side: installing lens-common and lens-$room, editable" $pip --no-deps --no-build-isolation -e common -e "$room"
  printf '%s\n' "$key" >"$folder/.complete"
}

verb=build
if [ "${1:-}" = check ]; then verb=check; shift; fi
[ $# -gt 0 ] || stop "Which side? Say \`setup.sh legacy\`, \`setup.sh modern\` or both."
for side in "$@"; do
  case "$side" in
    legacy | modern | modern-3.1[1-9]) ;;
    *) stop "The side '$side' is unknown: say legacy, modern, or modern-3.13 for another Python." ;;
  esac
  if [ "$verb" = check ]; then
    find_python "$side" check
    if [ "$side" = legacy ]; then check_compiler; fi
    say "$side: $python"
  else
    build "$side"
  fi
done
