#!/usr/bin/env bash
# Score what has landed since the last time, then stop: for a scheduler, where predictions once an hour are enough.
#   usage: catch_up.sh [FEED] [options of `streamscore run`], in the folder that holds var/
#   cron:  5 * * * * cd /opt/streamscore && examples/schedule/catch_up.sh wine_quality >> var/catch_up.log 2>&1
# Each run goes on where the last one stopped, also after a kill. Exit codes are those of `streamscore run`, but 75
# (another run works on this checkpoint) is 0 here: that run takes the files that wait.
set -euo pipefail
feed=${1:-wine_quality}
shift || true
export PATH="$PWD/.venv/bin:$PATH"

code=0
streamscore run "$feed" --trigger available-now "$@" || code=$?
if [ "$code" = 75 ]; then
    echo "$(date -Is) $feed: another run is at work"
    exit 0
fi
if [ "$code" = 0 ]; then
    streamscore status "$feed"
fi
exit "$code"
