#!/usr/bin/env bash
# Puts each library that is no part of streamscore into a Python of its own, .tools/<name>, at the versions and digests of
# <name>.lock:  benchmarks/libraries/install.sh [pathway] [bytewax] [evidently] [nannyml]
# Safe to repeat. One that cannot be installed is said, and is listed in the results as left out.
set -uo pipefail
cd "$(dirname "$0")/../.."

if [ $# -eq 0 ]; then set -- pathway bytewax evidently nannyml; fi
for one in "$@"; do
  lock=benchmarks/libraries/$one.lock
  home=.tools/$one
  if cmp -s "$lock" "$home/.lock"; then continue; fi
  echo "bench: installing $one into $home" >&2
  rm -rf "$home"
  if .venv/bin/uv venv --quiet --python .venv/bin/python "$home" &&
    .venv/bin/uv pip install --quiet --python "$home/bin/python" --require-hashes -r "$lock"; then
    cp "$lock" "$home/.lock"
  else
    echo "bench: $one could not be installed; it is left out" >&2
  fi
done
