# A Debian of its own, booted with systemd in a container of systemd-nspawn:
# the tree is made once, each run boots a copy that is gone afterwards.
# Sourced after common.sh, never run. For root only.
#
# Leaves behind: the tree in .cache; nothing of a run.
# shellcheck shell=bash

MACHINE_SUITE=bookworm
# `kill` is for the unit, `make` for the installation, D-Bus for systemd-run.
MACHINE_PACKAGES=systemd,systemd-sysv,dbus,ca-certificates,procps,make
# What runs now, debootstrap or the machine: an interruption ends it by this id.
MACHINE_PID=

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

# Makes the tree when it is not there; sets MACHINE_TREE.
machine_tree() {
    local mirror
    MACHINE_TREE=$CACHE/machine-$MACHINE_SUITE-$(echo "$MACHINE_PACKAGES" | sha256sum | cut -c1-8)
    [ ! -d "$MACHINE_TREE" ] || return 0
    # Of a run that was killed; its /proc may still be mounted.
    umount -q "$MACHINE_TREE.part/proc" "$MACHINE_TREE.part/sys" 2>/dev/null || true
    rm -rf --one-file-system "$MACHINE_TREE.part"
    mirror=${ENTRA_SYNC_DEBIAN_MIRROR:-$(machine_mirror)}
    # `timeout` ends what debootstrap has started as well.
    # shellcheck disable=SC2086 # no mirror is no argument
    timeout 900 debootstrap --variant=minbase --include="$MACHINE_PACKAGES" \
        "$MACHINE_SUITE" "$MACHINE_TREE.part" $mirror >"$MACHINE_TREE.log" 2>&1 &
    MACHINE_PID=$!
    if ! wait "$MACHINE_PID"; then
        MACHINE_PID=
        tail -n 20 "$MACHINE_TREE.log" >&2
        fail "debootstrap made no tree"
    fi
    MACHINE_PID=
    rm -rf "$MACHINE_TREE.part"/var/cache/apt/archives/*.deb "$MACHINE_TREE.part"/var/lib/apt/lists/*
    mv "$MACHINE_TREE.part" "$MACHINE_TREE"
    rm -f "$MACHINE_TREE.log"
}

# The folders where cgroups are made: one, or two where version 1 is still there.
machine_cgroups() {
    local folder
    for folder in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        [ ! -e "$folder/cgroup.procs" ] || printf '%s\n' "$folder"
    done
}

# machine_run NAME SECONDS UNIT [ARGUMENT…]: boots the tree into this unit and
# waits until the machine is off, at most so long. The arguments are
# systemd-nspawn's, --bind and the like. The network is this machine's.
machine_run() {
    local name=$1 seconds=$2 unit=$3 flags=(--register=no) group status=0
    shift 3
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
            --directory="$MACHINE_TREE" --volatile=overlay --console=pipe "$@" \
            --boot "systemd.unit=$unit" systemd.show_status=false </dev/null
    ) &
    MACHINE_PID=$!
    wait "$MACHINE_PID" || status=$?
    MACHINE_PID=
    machine_sweep "$name"
    return "$status"
}

# machine_sweep NAME: ends what runs, and removes what a machine leaves.
machine_sweep() {
    local name=$1 group
    if [ -n "$MACHINE_PID" ]; then
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
