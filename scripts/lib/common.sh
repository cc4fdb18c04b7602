# Shared by the scripts: where things are, and how a step is announced.
# Sourced, never run. Leaves behind: the folder .cache (git-ignored).
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${ENTRA_SYNC_CACHE:-$ROOT/.cache}
mkdir -p "$CACHE"

# rustup puts cargo here, and a bare shell may not have it on its PATH.
PATH=$PATH:${CARGO_HOME:-${HOME:-/root}/.cargo}/bin

# step TITLE COMMAND…: runs the command under a heading and says how long it took.
step() {
    local title=$1 start=$SECONDS
    shift
    printf '\n==> %s\n' "$title"
    "$@"
    printf '    %s: %s s\n' "$title" $((SECONDS - start))
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# install_packages NAME…: Debian packages, for root only; others are told what to install.
install_packages() {
    command -v apt-get >/dev/null && [ "$(id -u)" = 0 ] || fail "please install: $*"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=300 update -q
    apt-get -o DPkg::Lock::Timeout=300 install -q -y --no-install-recommends "$@"
}
