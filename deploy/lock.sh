#!/bin/sh
# Renews every lock. Locks name versions, never addresses: where packages come from is the machine's business.
set -eu
cd "$(dirname "$0")/.."
uv=$(command -v uv || echo .cache/uv/bin/uv)
compile() { "$uv" pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate "$@"; }
compile pyproject.toml --extra hub --extra catalog --extra kernel --extra extensions --extra annotation \
  --extra test --extra bench --output-file requirements/main.txt
compile pyproject.toml --extra worker --override requirements/annotation-overrides.txt \
  --output-file requirements/annotation.txt
npm install --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error
