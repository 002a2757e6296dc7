#!/usr/bin/env bash
# lint.sh [--tidy]: the house rules (scripts/lint.py), the format (clang-format 19) and, with --tidy, clang-tidy 19.
# lint.sh --fix formats instead.  One version of the two clang tools, because another one would format otherwise.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
cd "$TWINLOOP_ROOT"

readonly FORMAT=clang-format-19 TIDY=clang-tidy-19

cpp_files() {
  local file
  git ls-files -z --cached --others --exclude-standard -- '*.h' '*.cpp' | while IFS= read -r -d '' file; do
    if [[ -f "$file" ]]; then printf '%s\0' "$file"; fi
  done
}

need() { # a missing tool is a loud skip on a user's machine, a failure in CI
  have "$1" && return
  if in_ci; then die "$1 is missing; scripts/setup-native.sh test installs it"; fi
  say "WARNING: no $1, so its check is SKIPPED (scripts/setup-native.sh test installs it)"
  return 1
}

check_format() {
  need "$FORMAT" || return 0
  if ! cpp_files | xargs -0 -r -n 40 -P 2 "$FORMAT" --dry-run -Werror --ferror-limit=3; then
    say "error: the files above are not formatted; ./dev fmt does it"
    return 1
  fi
}

tidy() {
  need "$TIDY" || return 0
  local commands=build/tidy
  cmake --preset clang -B "$commands" -DCMAKE_CXX_COMPILER_LAUNCHER= -DCMAKE_BUILD_TYPE=Debug -DTWINLOOP_BUILD_TESTS=OFF \
    -DTWINLOOP_BUILD_EXAMPLES=OFF -DTWINLOOP_BUILD_BENCH=OFF -DTWINLOOP_PRECOMPILE=OFF >/dev/null
  # Only what this platform's build compiles: the other backends' files have no compile command.
  local status=0 findings="$commands/findings.txt"
  sed -nE 's/^ *"file": "(.*)",?$/\1/p' "$commands/compile_commands.json" |
    { grep -E "^$TWINLOOP_ROOT/(core|backends|protocols)/" || true; } |
    xargs -r -n 1 -P 2 "$TIDY" --quiet -p "$commands" >"$findings" 2>&1 || status=1
  grep -vE '^[0-9]+ warnings? (generated|treated)|^Suppressed|^Use -header-filter' "$findings" || true
  return "$status"
}

if [[ "${1:-}" == --fix ]]; then
  have "$FORMAT" || die "no $FORMAT; scripts/setup-native.sh test installs it"
  cpp_files | xargs -0 -r "$FORMAT" -i
  exit
fi

failed=0
python3 scripts/lint.py --self-test || failed=1
python3 scripts/lint.py || failed=1
python3 scripts/tornado_tests.py || failed=1
check_format || failed=1
if [[ "${1:-}" == --tidy ]]; then
  tidy || { failed=1; say "error: clang-tidy found the above"; }
fi
exit "$failed"
