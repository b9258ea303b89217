#!/usr/bin/env bash
# streamscore run, submitted with spark-submit:  ./spark-submit.sh FEED [run's options] [-- --master URL and any Spark option]
set -euo pipefail
home=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
[ -x "$home/.venv/bin/spark-submit" ] || { echo "no $home/.venv, wanted what 'make -C $home setup' makes; run it" >&2; exit 2; }

run=() spark=()
while [ $# -gt 0 ]; do
  if [ "$1" = -- ]; then shift; spark=("$@"); break; fi
  run+=("$1"); shift
done
case " ${spark[*]-} " in *" --master "* | *" --master="*) ;;
  *)
    spark=(--master 'local[*]' "${spark[@]}")
    # As `streamscore run` does: no address of this machine's name is asked for.
    [ -n "${SPARK_LOCAL_IP-}${SPARK_LOCAL_HOSTNAME-}" ] || export SPARK_LOCAL_IP=127.0.0.1 SPARK_LOCAL_HOSTNAME=127.0.0.1
    [ ! -x "$home/.jars/spark/bin/spark-class" ] || export SPARK_HOME="${SPARK_HOME:-$home/.jars/spark}" ;;
esac

jars=$("$home/.venv/bin/streamscore" run "${run[@]}" --class-path)
pid_file=$(mktemp); trap 'rm -f "$pid_file"' EXIT
export PYSPARK_PYTHON="$home/.venv/bin/python" PYSPARK_DRIVER_PYTHON="$home/.venv/bin/python" STREAMSCORE_PID_FILE="$pid_file"
export LC_ALL=C.UTF-8  # names of files are UTF-8 in Java 17, too
export SPARK_CONF_DIR="${SPARK_CONF_DIR:-$home/conf}"  # log4j2.properties

# In a session of its own: Ctrl-C reaches this script alone, which passes it on to the Python of the driver. The JVM is
# that Python's parent; a signal to the JVM would end it in the middle of a micro-batch.
setsid "$home/.venv/bin/spark-submit" --properties-file "$home/conf/spark.conf" \
  --conf spark.driver.extraClassPath="$jars" --conf spark.executor.extraClassPath="$jars" \
  "${spark[@]}" "$home/jobs/predict_stream.py" "${run[@]}" &
submitted=$!
forward() { if [ -s "$pid_file" ]; then kill -TERM "$(cat "$pid_file")" 2>/dev/null || true; else kill -TERM "$submitted"; fi; }
trap forward TERM INT
status=0
while :; do
  wait "$submitted" && status=0 || status=$?
  kill -0 "$submitted" 2>/dev/null || break  # wait also returns when a signal came
done
exit "$status"
