#!/usr/bin/env bash
# emulated.sh PROGRAM JSON [ARGUMENT...]: runs a benchmark in a machine that QEMU emulates and whose clocks go on by a nanosecond with
# every instruction, the kernel's included: the nanoseconds that it measures there are instructions.  Exact, and some fifty times
# slower.  `./dev bench --emulated NAME` calls it; scripts/setup-native.sh emulation brings what it needs.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../scripts/common.sh"
(($# >= 2)) || die "usage: emulated.sh PROGRAM JSON [ARGUMENT...]"
program="$1" json="$2"
shift 2

root="$(mktemp -d)"
trap 'rm -rf "$root" "$root.cpio"' EXIT

lay_out_system() { # lay_out_system ARGUMENT...: what the machine has for a disk
  mkdir -p "$root"/{bin,dev,proc,tmp}
  cp "$(command -v busybox)" "$root/bin/busybox"
  cp "$program" "$root/bin/program"
  local library
  for library in $(ldd "$program" | grep -o '/[^ ]*'); do install -D "$library" "$root$library"; done
  cat >"$root/init" <<END
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
HOME=/tmp /bin/program --emulated --json /tmp/json ${*@Q}
echo "status \$?"
/bin/busybox cat /tmp/json
/bin/busybox poweroff -f
END
  chmod +x "$root/init"
  (cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) >"$root.cpio"
}

# The time-stamp counter counts instructions, and the kernel is told so: else it would calibrate, doubt it, and take a slower clock.
boot() {
  qemu-system-x86_64 -machine pc -accel tcg -icount shift=0,sleep=off -cpu max -smp 1 -m 1G -display none -nodefaults -no-reboot \
    -serial stdio -kernel "$TWINLOOP_CACHE/emulation/vmlinuz" -initrd "$root.cpio" \
    -append "console=ttyS0 quiet panic=-1 mitigations=off nokaslr tsc=reliable tsc_early_khz=1000000 clocksource=tsc" </dev/null
}

# The console prints what the program does, its status, and the JSON behind that.
lay_out_system "$@"
mkdir -p "$(dirname "$json")"
rm -f "$json"
boot | tr -d '\r' | awk -v json="$json" '
  /^written to / { next }
  behind && /^[ {}]/ { print >json }
  /^status [0-9]+$/ { behind = 1; status = $2 }
  !behind { print; fflush() }
  END { exit behind ? status : 1 }
' || die "the benchmark failed in the emulated machine"
[[ -s "$json" ]] || die "the benchmark wrote nothing in the emulated machine"
echo "written to $json"
