#!/usr/bin/env bash
# Your own CSV with your own scikit-learn model: train, stream, read. Everything it makes is in examples/own_csv/var.
set -euo pipefail
cd "$(dirname "$0")"
export PATH="$PWD/../../.venv/bin:$PATH"

mkdir -p var/landing/deliveries
python train.py

cp data/today.csv var/landing/deliveries/
streamscore run deliveries --trigger available-now

python read.py
