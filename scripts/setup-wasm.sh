#!/usr/bin/env bash
# setup-wasm.sh: sees to an Emscripten that can compile C++20 coroutines (3.1.69 or newer).
#
# One that is already there (EMSDK, or emcc on PATH) is used as it is.  Otherwise, on Debian, Emscripten 3.1.69 is put together in the
# cache folder out of Debian's own packages: 250 MB of downloads, about a minute, nothing of the system is changed but clang-19
# and lld-19 from apt.  Does nothing, at once, when all is there.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

readonly FLOOR=3.1.69
readonly PREFIX="$TWINLOOP_CACHE/emscripten-$FLOOR"
readonly CHECKED="$TWINLOOP_CACHE/emscripten-checked"  # names the emcc whose output was seen to run

emcc_version() { "$1" --version 2>/dev/null | sed -nE '1s/.* ([0-9]+\.[0-9]+\.[0-9]+).*/\1/p'; }

own_emcc() { # prints an emcc of the user's that is new enough
  local candidate version
  for candidate in "${EMSDK:+$EMSDK/upstream/emscripten/emcc}" "$(command -v emcc || true)"; do
    [[ -n "$candidate" && -x "$candidate" ]] || continue
    version="$(emcc_version "$candidate")"
    if version_at_least "${version:-0}" "$FLOOR"; then printf '%s\n' "$candidate"; return; fi
    say "note: $candidate is version ${version:-unknown}, too old for C++20 coroutines (needs $FLOOR); looking further"
  done
  return 1
}

need_node() {
  have node && have npm || die "node and npm are missing: Emscripten and the wasm tests need Node.js 20 or newer; see scripts/setup-native.sh"
}

install_from_debian() {
  [[ -f /etc/debian_version ]] && have apt-get || die "no emcc >= $FLOOR on PATH or in EMSDK, and this is not Debian.
Get one with emsdk (git clone the emscripten-core/emsdk repository, then ./emsdk install latest && ./emsdk activate latest &&
source ./emsdk_env.sh) or from your package manager, and run this again."
  need_node
  local packages=()
  mapfile -t packages < <(missing_packages python3=python3 clang-19=/usr/lib/llvm-19/bin/clang lld-19=/usr/lib/llvm-19/bin/wasm-ld \
    llvm-19=/usr/lib/llvm-19/bin/llvm-ar)
  if ((${#packages[@]})); then apt_install "${packages[@]}"; fi

  say "Getting Emscripten $FLOOR into $PREFIX (250 MB, about a minute) ..."
  rm -rf "$PREFIX"
  mkdir -p "$PREFIX/debs"
  private_apt_update
  (cd "$PREFIX/debs" && logged "$TWINLOOP_CACHE/logs/emscripten-download.log" \
    private_apt download emscripten binaryen libc6 libstdc++6 libgcc-s1)
  local deb
  for deb in "$PREFIX"/debs/*.deb; do dpkg -x "$deb" "$PREFIX"; done
  rm -rf "$PREFIX/debs"
  wrap_binaryen
  logged "$TWINLOOP_CACHE/logs/emscripten-npm.log" \
    npm install --no-save --no-audit --no-fund --prefix "$PREFIX/usr/share/emscripten" acorn
  write_config
}

wrap_binaryen() { # Binaryen's programs are built against trixie's C library: each gets a wrapper that brings it along
  local tool loader
  loader="$(compgen -G "$PREFIX/usr/lib/*-linux-gnu*/ld-linux-*.so.*" || compgen -G "$PREFIX/lib/*-linux-gnu*/ld-linux-*.so.*" | head -n 1)"
  [[ -n "$loader" ]] || die "found no ld-linux in the downloaded libc6; please report this with the output of: ls $PREFIX/usr/lib"
  mkdir -p "$PREFIX/binaryen/bin"
  for tool in "$PREFIX"/usr/bin/wasm*; do
    printf '#!/bin/sh\nexec "%s" --library-path "%s" "%s" "$@"\n' "$loader" "$(dirname "$loader")" "$tool" \
      >"$PREFIX/binaryen/bin/$(basename "$tool")"
  done
  chmod +x "$PREFIX"/binaryen/bin/*
}

write_config() {
  local emscripten="$PREFIX/usr/share/emscripten"
  cat >"$emscripten/.emscripten" <<CONFIG
LLVM_ROOT = '/usr/lib/llvm-19/bin'
BINARYEN_ROOT = '$PREFIX/binaryen'
NODE_JS = '$(command -v node)'
CACHE = '$PREFIX/cache'
CONFIG
  mkdir -p "$PREFIX/cache"
  if [[ -d "$emscripten/cache" ]]; then cp -al "$emscripten/cache/." "$PREFIX/cache/"; fi
  cat >"$PREFIX/env.sh" <<ENV
export EM_CONFIG='$emscripten/.emscripten'
export PATH='$emscripten':"\$PATH"
export TWINLOOP_EMSCRIPTEN_TOOLCHAIN='$emscripten/cmake/Modules/Platform/Emscripten.cmake'
ENV
}

use_emcc() { # leaves EMCC set
  if EMCC="$(own_emcc)"; then return; fi
  EMCC="$PREFIX/usr/share/emscripten/emcc"
  if [[ ! -f "$PREFIX/env.sh" || ! -x "$EMCC" ]]; then install_from_debian; fi
  source "$PREFIX/env.sh"
}

check_coroutines() { # compiles a coroutine that throws and catches, and runs it: the tools fit each other
  if [[ -f "$CHECKED" && "$(<"$CHECKED")" == "$EMCC" ]]; then return; fi
  need_node
  local folder
  folder="$(mktemp -d)"
  trap 'rm -rf "'"$folder"'"' EXIT
  cat >"$folder/coroutine.cpp" <<'PROGRAM'
#include <coroutine>
#include <cstdio>
struct Task { struct promise_type { Task get_return_object() { return {}; } std::suspend_never initial_suspend() { return {}; }
  std::suspend_never final_suspend() noexcept { return {}; } void return_void() {} void unhandled_exception() { throw; } }; };
Task hello() { co_await std::suspend_never{}; try { throw 42; } catch (int n) { std::printf("coroutine %d\n", n); } }
int main() { hello(); }
PROGRAM
  logged "$TWINLOOP_CACHE/logs/emscripten-check.log" \
    "${EMCC%emcc}em++" -std=c++20 -fexceptions -O1 "$folder/coroutine.cpp" -o "$folder/coroutine.js" ||
    die "$EMCC cannot compile a small C++20 coroutine; the messages above say why.  To start afresh: rm -rf $PREFIX"
  [[ "$(node "$folder/coroutine.js")" == "coroutine 42" ]] ||
    die "$EMCC compiled a small coroutine, but node $(node --version) did not run it as it should.  Node 20 or newer is needed."
  printf '%s\n' "$EMCC" >"$CHECKED"
  say "Emscripten $(emcc_version "$EMCC") works: $EMCC"
}

one_at_a_time
use_emcc
check_coroutines
