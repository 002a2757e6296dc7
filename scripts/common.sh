# Shared by the scripts here: sourced, never run.

TWINLOOP_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
TWINLOOP_CACHE="${TWINLOOP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/twinloop}"
# Tools that take long to get live outside of the tree, so that a clean checkout finds them again.
export TWINLOOP_ROOT TWINLOOP_CACHE

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }
in_ci() { [[ "${CI:-}" == true ]]; }

version_at_least() { # version_at_least 3.25.1 3.25
  [[ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" == "$2" ]]
}

node_is_new_enough() { have node && version_at_least "$(node --version | tr -d v)" 20; }

use_own_node() { # the Node.js that setup-native.sh brought because the system's is too old
  local folder
  for folder in "$TWINLOOP_CACHE"/node/node_modules/node-linux-*/bin; do
    if [[ -x "$folder/node" ]]; then PATH="$folder:$PATH"; fi
  done
  export PATH
}
use_own_node

one_at_a_time() { # two set-ups at once would tread on each other; the second waits
  mkdir -p "$TWINLOOP_CACHE"
  exec 9>"$TWINLOOP_CACHE/.lock"
  if have flock; then flock 9; fi
}

logged() { # logged LOG COMMAND...: quiet when it works, the log's tail when it does not
  local log="$1"
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    say "error: '$*' failed; its last lines are above, all of them in $log"
    return 1
  fi
}

# --- apt ----------------------------------------------------------------------------------------------------------------------

missing_packages() { # missing_packages PACKAGE=PROBE...: prints the packages whose probe (a command, or a file pattern) finds nothing
  local entry probe
  for entry in "$@"; do
    probe="${entry#*=}"
    case "$probe" in
      /*) compgen -G "$probe" >/dev/null || printf '%s\n' "${entry%%=*}" ;;
      *) have "$probe" || printf '%s\n' "${entry%%=*}" ;;
    esac
  done
}

as_root() {
  if [[ "$(id -u)" == 0 ]]; then "$@"; else sudo -n "$@"; fi
}

can_apt() {
  have apt-get && { [[ "$(id -u)" == 0 ]] || { have sudo && sudo -n true 2>/dev/null; }; }
}

apt_install() { # apt_install PACKAGE...
  if ! can_apt; then
    say "These are missing: $*"
    if have apt-get; then
      say "Installing them needs root.  Please run:  sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
    else
      say "This machine has no apt-get.  Please install what these Debian packages hold by your system's own means."
    fi
    return 1
  fi
  say "apt-get install $*  (a minute or two the first time)"
  logged "$TWINLOOP_CACHE/logs/apt-update.log" as_root apt-get update -q || return 1
  logged "$TWINLOOP_CACHE/logs/apt-install.log" \
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends "$@"
}

# A second, private apt configuration that looks at Debian trixie: it downloads single newer packages into our own cache and never
# touches the system's.  It is derived from the machine's own Debian source entries, whatever mirror they name.

readonly APT_SUITE=trixie

trixie_sources() { # prints the machine's sources of its main Debian suite, with that suite replaced
  local codename
  codename="$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")"
  [[ -n "$codename" ]] || return 1
  local one_line=(/etc/apt/sources.list /etc/apt/sources.list.d/*.list) file
  for file in "${one_line[@]}"; do
    [[ -f "$file" ]] || continue
    sed -nE "s/^deb(-src)?[[:space:]]+((\[[^]]*\][[:space:]]+)?[^[:space:]]+)[[:space:]]+$codename[[:space:]]+.*/\2/p" "$file"
  done | sort -u | while read -r source; do printf 'deb %s %s main\ndeb-src %s %s main\n' "$source" "$APT_SUITE" "$source" "$APT_SUITE"; done
}

trixie_sources_deb822() {
  local codename file
  codename="$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")"
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -f "$file" ]] || continue
    grep -v '^#' "$file" | awk -v RS= -v ORS='\n\n' -v codename="$codename" \
      '$0 ~ "Suites:[^\n]*[ \t]" codename "([ \t\n]|$)" && $0 !~ /Enabled:[ \t]*no/'
  done | sed -E "s/^Suites:.*/Suites: $APT_SUITE/; s/^Types:.*/Types: deb deb-src/; s/^Components:.*/Components: main/"
}

private_apt() { # private_apt APT-GET-ARGUMENT...
  local home="$TWINLOOP_CACHE/apt"
  apt-get -q -o Dir::Etc::sourcelist="$home/sources.list" -o Dir::Etc::sourceparts="$home/sources.list.d" \
    -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
    -o Dir::State::Lists="$home/lists" -o Dir::Cache="$home/cache" -o Acquire::Languages=none \
    -o APT::Sandbox::User="$(id -un)" -o APT::Update::Post-Invoke-Success::= \
    -o APT::Default-Release= "$@"
}

private_apt_update() {
  local home="$TWINLOOP_CACHE/apt"
  mkdir -p "$home/sources.list.d" "$home/lists/partial" "$home/cache/archives/partial"
  trixie_sources >"$home/sources.list"
  trixie_sources_deb822 >"$home/sources.list.d/trixie.sources"
  [[ -s "$home/sources.list" || -s "$home/sources.list.d/trixie.sources" ]] ||
    die "found no Debian source entry in /etc/apt to derive a $APT_SUITE one from; is this Debian?"
  logged "$TWINLOOP_CACHE/logs/apt-private.log" private_apt update
}
