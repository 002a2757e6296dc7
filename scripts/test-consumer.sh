#!/usr/bin/env bash
# test-consumer.sh native|wasm: installs the built tree (build/release or build/wasm) into a temporary prefix, and builds and runs
# tests/consumer against it outside of the tree: find_package(twinloop) works for a user.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

case "${1:-}" in
  native) build="$TWINLOOP_ROOT/build/release"; toolchain=(); run=() ; program=consumer ;;
  wasm) build="$TWINLOOP_ROOT/build/wasm"; toolchain=(-DCMAKE_TOOLCHAIN_FILE="$TWINLOOP_ROOT/cmake/wasm-toolchain.cmake")
    run=(node); program=consumer.js ;;
  *) die "usage: test-consumer.sh native|wasm" ;;
esac
[[ -f "$build/CMakeCache.txt" ]] || die "$build is not built; run ./dev build $(basename "$build") first"

folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cp -r "$TWINLOOP_ROOT/tests/consumer" "$folder/source"
cmake --install "$build" --prefix "$folder/prefix" >/dev/null
# The path is given as Twinloop_DIR's equivalent twinloop_DIR because a toolchain file may confine where packages are looked for.
cmake -G Ninja -S "$folder/source" -B "$folder/build" -DCMAKE_BUILD_TYPE=Release "${toolchain[@]}" \
  -Dtwinloop_DIR="$(dirname "$(find "$folder/prefix" -name twinloop-config.cmake)")"
cmake --build "$folder/build"
"${run[@]}" "$folder/build/$program"
