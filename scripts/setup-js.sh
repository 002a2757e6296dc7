#!/usr/bin/env bash
# setup-js.sh: installs what the npm package's tests need, into bindings/js/node_modules.  Seconds; at once when nothing changed.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

readonly PACKAGE="$TWINLOOP_ROOT/bindings/js"
readonly STAMP="$PACKAGE/node_modules/.twinloop-installed"

if [[ ! -f "$PACKAGE/package.json" ]]; then exit 0; fi
if [[ -f "$STAMP" && ! "$PACKAGE/package.json" -nt "$STAMP" && ! "$PACKAGE/package-lock.json" -nt "$STAMP" ]]; then exit 0; fi

have npm || die "npm is missing; Node.js 20 or newer brings it (see scripts/setup-native.sh)"
one_at_a_time
say "npm install in bindings/js ..."
how=install
if [[ -f "$PACKAGE/package-lock.json" ]]; then how=ci; fi
export PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD=1 # the tests drive the system's Chromium
cd "$PACKAGE"
logged "$TWINLOOP_CACHE/logs/npm.log" npm "$how" --no-audit --no-fund --loglevel=error
mkdir -p node_modules
touch "$STAMP"
