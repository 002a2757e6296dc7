# Configuring and building a preset, for dev and test-all.sh: sourced after common.sh, in the tree's root.

LOGS="$TWINLOOP_ROOT/build/logs"

configure() { # configure PRESET: always, which notices tools that came since
  logged "$LOGS/configure-$1.log" cmake --preset "$1"
}

configure_if_needed() { # ninja configures again by itself when a CMakeLists.txt changed, but not when Catch2 came
  if [[ ! -f "build/$1/build.ninja" ]] || grep -q '^Catch2_DIR:.*NOTFOUND' "build/$1/CMakeCache.txt"; then configure "$1"; fi
}

build() { # build PRESET [TARGET...]
  if [[ ! -f "build/$1/.ninja_log" ]]; then say "building $* (the first time takes a while; build/logs/build-$1.log) ..."; fi
  logged "$LOGS/build-$1.log" cmake --build --preset "$1" ${2:+--target "${@:2}"}
}

setup_wasm_tests() {
  scripts/setup-wasm.sh && scripts/setup-native.sh test-wasm
}
