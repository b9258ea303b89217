#!/usr/bin/env bash
# Prepares this folder for `make demo` and `make test`; run it as `make setup`. Safe to repeat, writes only below the folder.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
python=${PYTHON:-python3}

say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 2; }

# The digest of files, as one word.
digest() {
  if command -v sha256sum >/dev/null; then cat "$@" | sha256sum | cut -d' ' -f1; else cat "$@" | shasum -a 256 | cut -d' ' -f1; fi
}

# The Java that Spark will start: JAVA_HOME's if it is set, else the first one on PATH.
check_java() {
  local packages="install openjdk-17-jre-headless (Debian), openjdk@17 (macOS brew) or java-17-openjdk-headless (Fedora), and set JAVA_HOME if it is not the first on PATH"
  local java=${JAVA_HOME:+$JAVA_HOME/bin/}java printed version
  command -v "$java" >/dev/null || fail "found no Java ($java), wanted 17 or 21; $packages"
  printed=$("$java" -version 2>&1) || fail "found a Java that does not start ($java), wanted 17 or 21; $packages"
  version=$(sed -nE 's/.*version "(1\.)?([0-9]+).*/\2/p' <<<"$printed" | head -n 1)
  case $version in
    17 | 21) ;;
    *) fail "found Java ${version:-of unknown version} ($(command -v "$java")), wanted 17 or 21; $packages" ;;
  esac
}

# The Python that .venv is made with.
check_python() {
  local packages="install python3 and python3-venv (Debian), python@3.12 (macOS brew) or python3 (Fedora); another one is chosen by make setup PYTHON=python3.12"
  local version
  command -v "$python" >/dev/null || fail "found no Python ($python), wanted 3.11 to 3.14; $packages"
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) ||
    fail "found a Python that does not start ($(command -v "$python")), wanted 3.11 to 3.14; $packages"
  case $version in
    3.11 | 3.12 | 3.13 | 3.14) ;;
    *) fail "found Python $version ($(command -v "$python")), wanted 3.11 to 3.14; $packages" ;;
  esac
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "found Python $version without its venv module, wanted it with; install python$version-venv (Debian)"
}

install_python() {
  # The scripts of a virtual environment hold its path, so one that was copied from elsewhere is made anew.
  if ! .venv/bin/python -c 'import pip' 2>/dev/null || ! grep -qF "$root/.venv/" .venv/bin/pip; then
    check_python
    say "making .venv with $("$python" --version)"
    rm -rf .venv
    "$python" -m venv .venv
  fi
  say "installing the locked packages into .venv"
  rm -f .venv/.setup
  # uv's own lines of the lock file, so that it is checked against its digest like everything else.
  sed -n '/^uv==/,/[^\\]$/p' requirements.lock >.venv/uv.lock
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .venv/uv.lock
  .venv/bin/uv pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock
  say "installing streamscore into .venv, editable"
  .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
  printf '%s\n' "$python_wanted" >.venv/.setup
}

# The jars of a file in conf/jars, into a folder below .jars.
retrieve() {
  "${JAVA_HOME:+$JAVA_HOME/bin/}java" -Divy.cache="$root/.jars/.ivy" -jar "$ivy" -warn -settings conf/jars/ivysettings.xml \
    -ivy "conf/jars/$1" -retrieve "$root/.jars/$2[artifact]-[revision].[ext]" >.jars/.ivy/log 2>&1 ||
    { rm -f .jars/*.jar; tail -n 20 .jars/.ivy/log >&2; fail "could not fetch the jars (Ivy's last lines are above); check the network and run make setup again"; }
}

install_jars() {
  local ivy expected jar
  say "fetching the jars that Spark does not ship into .jars"
  ivy=$(echo .venv/lib/python3*/site-packages/pyspark/jars/ivy-*.jar)
  rm -rf .jars/.setup .jars/.classes .jars/*.jar .jars/s3a
  mkdir -p .jars/.ivy
  retrieve ivy.xml ""
  retrieve s3a.xml s3a/
  while read -r expected jar; do
    [ -f ".jars/$jar" ] || fail "found no .jars/$jar, wanted it from conf/jars; is conf/jars/SHA256SUMS up to date?"
    if [ "$(digest ".jars/$jar")" != "$expected" ]; then
      rm -rf .jars
      fail "found another $jar than conf/jars/SHA256SUMS names (wanted sha256 $expected); .jars is removed, run make setup again"
    fi
  done <conf/jars/SHA256SUMS
  for jar in .jars/*.jar .jars/s3a/*.jar; do
    grep -q "  ${jar#.jars/}$" conf/jars/SHA256SUMS || fail "found $jar, wanted only jars named in conf/jars/SHA256SUMS"
  done
  printf '%s\n' "$jars_wanted" >.jars/.setup
}

# Spark as a stream on this machine starts it; why is said in streamscore/spark/session.py.
link_spark() {
  local spark
  spark=$(.venv/bin/python -c 'import importlib.util as of; print(of.find_spec("pyspark").submodule_search_locations[0])')
  [ .jars/spark/bin -ef "$spark/bin" ] && [ .jars/spark/jars -ef "$spark/jars" ] && return
  mkdir -p .jars/spark
  ln -sfn "$spark/bin" "$spark/jars" .jars/spark/
}

# Not on every Java: one without it starts a stream some seconds later.
archive_classes() {
  say "archiving the classes of a start into .jars"
  .venv/bin/python -m streamscore.spark.class_archive >.jars/classes.log 2>&1 ||
    say "no class archive, so starts take some seconds more; its log: .jars/classes.log"
  printf '%s\n' "$classes_wanted" >.jars/.classes
}

# Every jar is there; their content was checked when they were fetched.
jars_present() {
  local jar
  while read -r _ jar; do [ -f ".jars/$jar" ] || return 1; done <conf/jars/SHA256SUMS
}

check_java
python_wanted="$root $(digest pyproject.toml requirements.lock)"
jars_wanted=$(digest conf/jars/ivy.xml conf/jars/s3a.xml conf/jars/ivysettings.xml conf/jars/SHA256SUMS)
classes_wanted="$root $(digest requirements.lock conf/jars/SHA256SUMS streamscore/spark/session.py streamscore/spark/class_archive.py)"
done_before=yes
if [ "$(cat .venv/.setup 2>/dev/null)" != "$python_wanted" ] || ! .venv/bin/python -c '' 2>/dev/null; then
  install_python
  done_before=no
fi
if [ "$(cat .jars/.setup 2>/dev/null)" != "$jars_wanted" ] || ! jars_present; then
  install_jars
  done_before=no
fi
link_spark
if [ "$(cat .jars/.classes 2>/dev/null)" != "$classes_wanted" ]; then
  archive_classes
  done_before=no
fi
if [ $done_before = yes ]; then say "everything is in place"; else say "done: .venv and .jars are ready; the command is .venv/bin/streamscore"; fi
