# A Debian of its own, booted with systemd in a container of systemd-nspawn:
# the tree is made once, each run boots a copy that is gone afterwards.
# Sourced after common.sh, never run. For root only.
#
# Leaves behind: the tree in .cache; nothing of a run.
# shellcheck shell=bash

MACHINE_SUITE=bookworm
# `kill` for the unit, `make` for the installation.
MACHINE_PACKAGES=systemd,systemd-sysv,ca-certificates,procps,make

machine_install() {
    [ "$(id -u)" = 0 ] || fail "a machine can be booted by root only"
    if ! command -v debootstrap >/dev/null || ! command -v systemd-nspawn >/dev/null; then
        install_packages debootstrap systemd-container
    fi
}

# Where packages come from: as apt here is told, if it is told of that suite;
# else debootstrap's own default.
machine_mirror() {
    apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(CREATED_BY) $(REPO_URI)' 2>/dev/null |
        sed -n "s/^$MACHINE_SUITE main Packages //p" | head -n 1
}

# Makes the tree when it is not there; prints its folder.
machine_tree() {
    local tree mirror
    tree=$CACHE/machine-$MACHINE_SUITE-$(echo "$MACHINE_PACKAGES" | sha256sum | cut -c1-8)
    if [ ! -d "$tree" ]; then
        # Of a run that was killed; its /proc may still be mounted.
        umount -q "$tree.part/proc" "$tree.part/sys" 2>/dev/null || true
        rm -rf --one-file-system "$tree.part"
        mirror=${ENTRA_SYNC_DEBIAN_MIRROR:-$(machine_mirror)}
        # shellcheck disable=SC2086 # no mirror is no argument
        if ! debootstrap --variant=minbase --include="$MACHINE_PACKAGES" \
            "$MACHINE_SUITE" "$tree.part" $mirror >"$tree.log" 2>&1; then
            tail -n 20 "$tree.log" >&2
            fail "debootstrap made no tree"
        fi
        rm -rf "$tree.part"/var/cache/apt/archives/*.deb "$tree.part"/var/lib/apt/lists/*
        mv "$tree.part" "$tree"
        rm -f "$tree.log"
    fi
    printf '%s\n' "$tree"
}

# The folders where cgroups are made: one, or two where version 1 is still there.
machine_cgroups() {
    local folder
    for folder in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        [ ! -e "$folder/cgroup.procs" ] || printf '%s\n' "$folder"
    done
}

# machine_run NAME SECONDS TREE UNIT [ARGUMENT…]: boots the tree into this unit
# and waits until the machine is off, at most so long. The arguments are
# systemd-nspawn's, --bind and the like. The network is this machine's.
machine_run() {
    local name=$1 seconds=$2 tree=$3 unit=$4 flags=(--register=no) group status=0
    shift 4
    # Where systemd is not in charge, nobody gives the machine a cgroup.
    if [ ! -d /run/systemd/system ]; then
        flags+=(--keep-unit)
        for group in $(machine_cgroups); do
            mkdir -p "$group/$name"
        done
    fi
    (
        if [ ! -d /run/systemd/system ]; then
            for group in $(machine_cgroups); do
                echo "$BASHPID" >"$group/$name/cgroup.procs"
            done
        fi
        exec timeout --kill-after=10 "$seconds" systemd-nspawn --quiet "${flags[@]}" --machine="$name" \
            --directory="$tree" --volatile=overlay --console=pipe "$@" \
            --boot "systemd.unit=$unit" systemd.show_status=false </dev/null
    ) &
    # By its id, so that an interruption can end it.
    MACHINE_PID=$!
    wait "$MACHINE_PID" || status=$?
    machine_sweep "$name"
    return "$status"
}

# machine_sweep NAME: ends the machine if it runs, and removes what it leaves.
machine_sweep() {
    local name=$1 group
    if [ -n "${MACHINE_PID:-}" ]; then
        # To `timeout`, which passes it on and waits no longer than 10 s.
        kill -TERM "$MACHINE_PID" 2>/dev/null || true
        wait "$MACHINE_PID" 2>/dev/null || true
        MACHINE_PID=
    fi
    for group in $(machine_cgroups); do
        [ ! -d "$group/$name" ] || find "$group/$name" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
    rmdir "/run/systemd/nspawn/propagate/$name" 2>/dev/null || true
}
