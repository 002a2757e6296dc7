#!/usr/bin/env bash
# test-all.sh: everything that `./dev test` and CI run.  Goes on after a failure, and ends with the line `N passed, N failed`:
# the sum over all test runs, in which a step without tests of its own (a build, the lint) counts only as what it is: one check
# when it checks something, one failure when it fails.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$TWINLOOP_ROOT"
source scripts/build.sh

passed=0 failed=0 skipped=0 failed_steps=() failed_logs=()

# --- steps --------------------------------------------------------------------------------------------------------------------

step() { # step TITLE COMMAND...: output goes to a log; the result is counted
  local title="$1" log="$LOGS/${1//[^a-zA-Z0-9]/-}.log" started=$SECONDS status=0
  shift
  printf '== %s ... ' "$title"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  count "$log" "$status"
  if ((status == 0)); then
    printf 'ok, %s (%d s)\n' "${step_counts:-done}" "$((SECONDS - started))"
    { grep -E '^WARNING|SKIPPED' "$log" || true; } | sed 's/^/   /'
    return
  fi
  printf 'FAILED, %s (%d s): %s\n' "${step_counts:-no tests counted}" "$((SECONDS - started))" "${log#"$TWINLOOP_ROOT/"}"
  failed_steps+=("$title") failed_logs+=("$log")
}

count() { # count LOG STATUS: adds up what ctest and node's test runner said; leaves step_counts set
  local good=0 bad=0 skips=0 n total
  while read -r n total; do
    bad=$((bad + n))
    good=$((good + total - n))
  done < <(sed -nE 's/^[0-9]+% tests passed, ([0-9]+) tests? failed out of ([0-9]+)$/\1 \2/p' "$1")
  n="$(grep -cE '^[[:space:]]*[0-9]+ - .*\((Skipped|Disabled)\)$' "$1" || true)"
  good=$((good - n))
  skips=$((skips + n))
  while read -r what n; do
    case "$what" in
      pass) good=$((good + n)) ;;
      fail) bad=$((bad + n)) ;;
      skipped) skips=$((skips + n)) ;;
    esac
  done < <(sed -nE 's/^[^a-zA-Z0-9]+ (pass|fail|skipped) ([0-9]+)$/\1 \2/p' "$1")
  step_counts=""
  if ((good + bad + skips)); then step_counts="$good passed, $bad failed, $skips skipped"; fi
  if (($2 != 0 && bad == 0)); then bad=1; fi # it failed outside of a test: while building, say
  passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + skips))
}

check() { # a step that is one check
  local before=${#failed_steps[@]}
  step "$@"
  if ((${#failed_steps[@]} == before)); then passed=$((passed + 1)); fi
}

# --- what the steps do --------------------------------------------------------------------------------------------------------

build_and_test() { # build_and_test PRESET
  rm -f "build/$1/behaviours/"* # a driver that dies must not leave the report of its last run to be believed
  cmake --preset "$1" && cmake --build --preset "$1" && ctest --preset "$1" --no-tests=error
}

behaviour_table() { # backend x behaviour; natively as the release build ran them
  local needs=build/release/behaviours/needs.tsv taps=() host
  build/release/bin/conformance --needs >"$needs"
  if [[ $wasm == yes ]]; then
    for host in Node Chromium; do taps+=("$host=build/artefacts/behaviours-$host.tap"); done
  fi
  python3 scripts/behaviour_table.py "$needs" build/release/behaviours "${taps[@]}" >build/artefacts/behaviours.md
}

npm_tests() { # --test-reporter is the package's choice; its counts are read from the log
  scripts/setup-js.sh && (cd bindings/js && npm test)
}

# --- the run ------------------------------------------------------------------------------------------------------------------

mkdir -p "$LOGS"
printf '== setup (only what is missing) ...\n'
scripts/setup-native.sh test
use_own_node
wasm=yes
setup_wasm_tests || wasm=no

check lint scripts/lint.sh --tidy
step release build_and_test release
step asan build_and_test asan
if have clang++-19; then
  step tsan build_and_test tsan
else
  printf '== tsan: SKIPPED, no clang++-19\n'
fi
if [[ $wasm == yes ]]; then
  step "npm install" scripts/setup-js.sh
  step wasm build_and_test wasm
  if [[ -f bindings/js/package.json ]]; then step "npm package" npm_tests; fi
  step peers node --test --test-reporter=spec tests/peers/*.test.mjs
else
  printf '== wasm: no usable Emscripten (see above)\n'
  if in_ci; then failed=$((failed + 1)); failed_steps+=("wasm setup"); else printf '   SKIPPED\n'; fi
fi
check "behaviours on every backend" behaviour_table
check "consumer native" scripts/test-consumer.sh native
if [[ $wasm == yes ]]; then check "consumer wasm" scripts/test-consumer.sh wasm; fi

if [[ -f build/artefacts/behaviours.md ]]; then
  printf '\n'
  cat build/artefacts/behaviours.md
fi
for log in "${failed_logs[@]}"; do # behind the long table, where they are seen
  printf '\n== the end of %s\n' "${log#"$TWINLOOP_ROOT/"}"
  tail -n 60 "$log" | sed 's/^/   | /'
done
printf '\n%d minutes' "$(((SECONDS + 59) / 60))"
if ((skipped)); then printf ', %d tests SKIPPED (their logs in build/logs say why)' "$skipped"; fi
if ((${#failed_steps[@]})); then printf '\nfailed: %s' "${failed_steps[*]/%/;}"; fi
printf '\n%d passed, %d failed\n' "$passed" "$failed"
((failed == 0 && ${#failed_steps[@]} == 0))
