# A private PostgreSQL: installed when missing, started on a free loopback
# port, filled with LiteLLM's genuine schema, stopped by its own process id.
# Sourced after common.sh, never run.
#
# Leaves behind while it runs: one folder /var/tmp/entra-sync-postgres.*; it
# is removed by postgres_stop, or by the next start when its owner was killed.
# shellcheck shell=bash

# The release whose migrations make the template; its hash is pinned beside.
SCHEMA_REQUIREMENTS=$ROOT/tests/python/requirements-schema.txt

# The folder of initdb and postgres: Debian keeps them off the PATH.
postgres_bin() {
    local folders=(/usr/lib/postgresql/*/bin)
    if [ -x "${folders[0]}/initdb" ]; then
        printf '%s\n' "${folders[@]}" | sort -V | tail -n 1
    elif command -v initdb >/dev/null; then
        dirname "$(readlink -f "$(command -v initdb)")"
    fi
}

postgres_install() {
    [ -z "$(postgres_bin)" ] || return 0
    # First the common package alone, so that the server's own installation
    # makes no cluster that would go on running on port 5432.
    install_packages postgresql-common
    sed -i 's/^#*create_main_cluster *=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    install_packages postgresql
}

# The pooler that the tests go through. A policy of the moment keeps its package
# from starting a service on port 6432.
pgbouncer_install() {
    local policy=/usr/sbin/policy-rc.d made=false
    if [ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null; then
        return
    fi
    if [ "$(id -u)" = 0 ] && [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        made=true
    fi
    install_packages pgbouncer
    ! $made || rm -f "$policy"
}

# Wrong clocks for single programs.
faketime_install() {
    local found=(/usr/lib/*/faketime/libfaketimeMT.so.1)
    [ -e "${found[0]}" ] || install_packages libfaketime
}

# PostgreSQL refuses to run as root, so root lends it another user.
as_postgres() {
    local user
    if [ "$(id -u)" != 0 ]; then
        "$@"
        return
    fi
    user=$(id -un postgres 2>/dev/null || echo nobody)
    # The caller's folder may be closed to that user.
    (cd / && exec setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@")
}

# Below the ports that the kernel hands out: one of those could be somebody
# else's by the time that it is listened on.
free_port() {
    python3 - <<'PYTHON'
import pathlib, random, socket

kernels = pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0]
while True:
    port = random.randrange(10_000, int(kernels))
    with socket.socket() as attempt:
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
PYTHON
}

# Removes what a killed run left: its folder names the process that owned it.
postgres_sweep() {
    local folder owner
    for folder in /var/tmp/entra-sync-postgres.*; do
        [ -O "$folder" ] || [ "$(id -u)" = 0 ] || continue
        owner=$(cat "$folder/owner" 2>/dev/null) || continue
        [ "$owner" = kept ] || kill -0 "$owner" 2>/dev/null || postgres_stop "$folder"
    done
}

# postgres_start OWNER [SETTING…]: sets POSTGRES_FOLDER and POSTGRES_URL. The
# owner is a process id, or "kept" for a server that outlives its starter.
postgres_start() {
    local owner=$1 port bin setting options=''
    shift
    postgres_sweep
    bin=$(postgres_bin)
    POSTGRES_FOLDER=$(mktemp -d /var/tmp/entra-sync-postgres.XXXXXX)
    echo "$owner" >"$POSTGRES_FOLDER/owner"
    mkdir "$POSTGRES_FOLDER/data"
    if [ "$(id -u)" = 0 ]; then
        chown -R "$(id -un postgres 2>/dev/null || echo nobody)" "$POSTGRES_FOLDER"
    fi
    as_postgres "$bin/initdb" --pgdata="$POSTGRES_FOLDER/data" --no-sync --auth=trust \
        --username=postgres --encoding=UTF8 --locale=C.UTF-8 >/dev/null
    port=$(free_port)
    for setting in listen_addresses=127.0.0.1 "port=$port" "unix_socket_directories=$POSTGRES_FOLDER" "$@"; do
        options+=" -c $setting"
    done
    if ! as_postgres "$bin/pg_ctl" --pgdata="$POSTGRES_FOLDER/data" --log="$POSTGRES_FOLDER/log" \
        --options="$options" --wait --silent start; then
        cat "$POSTGRES_FOLDER/log" >&2
        fail "PostgreSQL did not start"
    fi
    # shellcheck disable=SC2034 # read by the scripts that source this file
    POSTGRES_URL=postgres://postgres@127.0.0.1:$port/postgres
}

# postgres_stop FOLDER: by the process id in that folder, and nothing else.
postgres_stop() {
    local folder=$1
    if [ -s "$folder/data/postmaster.pid" ]; then
        as_postgres "$(postgres_bin)/pg_ctl" --pgdata="$folder/data" --mode=immediate --silent stop || true
    fi
    rm -rf "$folder"
}

# How fast tests want it: nothing in this cluster survives them.
# shellcheck disable=SC2034 # read by the scripts that source this file
POSTGRES_TEST_SETTINGS=(fsync=off synchronous_commit=off full_page_writes=off max_connections=200 shared_buffers=256MB)

# Puts LiteLLM's released migrations into the cache; prints their folder.
litellm_migrations() {
    local version target
    version=$(sed -n 's/^litellm-proxy-extras==\([0-9.]*\).*/\1/p' "$SCHEMA_REQUIREMENTS")
    target=$CACHE/litellm-proxy-extras-$version
    if [ ! -d "$target" ]; then
        python_install "$SCHEMA_REQUIREMENTS" "$target" >&2
    fi
    printf '%s\n' "$target/litellm_proxy_extras/migrations"
}

# One SQL script of all migrations in folder order, with the rows that Prisma
# would keep about them.
litellm_schema_sql() {
    local checksum file
    cat <<'SQL'
CREATE TABLE "_prisma_migrations" (
    id varchar(36) PRIMARY KEY,
    checksum varchar(64) NOT NULL,
    finished_at timestamptz,
    migration_name varchar(255) NOT NULL,
    logs text,
    rolled_back_at timestamptz,
    started_at timestamptz NOT NULL DEFAULT now(),
    applied_steps_count integer NOT NULL DEFAULT 0
);
SQL
    (cd "$1" && sha256sum -- */migration.sql) | while read -r checksum file; do
        cat "$1/$file"
        printf '\n;INSERT INTO "_prisma_migrations" (id, checksum, finished_at, migration_name, applied_steps_count)'
        printf " VALUES (gen_random_uuid()::text, '%s', now(), '%s', 1);\n" "$checksum" "${file%/*}"
    done
}

# litellm_template URL: the database that every test clones. LiteLLM's role
# owns it, as in a deployment, and the daemon's role has what role.sql gives.
litellm_template() {
    local url=$1 migrations template owner
    migrations=$(litellm_migrations)
    template=${url%/*}/litellm_template
    owner=${template/postgres@/litellm@}
    local psql=(psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1)
    "${psql[@]}" --dbname="$url" --command='CREATE ROLE litellm LOGIN' \
        --command='CREATE DATABASE litellm_template OWNER litellm'
    litellm_schema_sql "$migrations" | PGOPTIONS='-c client_min_messages=error' "${psql[@]}" --output=/dev/null --dbname="$owner"
    "${psql[@]}" --dbname="$template" --set=delete_teams=on --set=audit=on \
        --output=/dev/null --file="$ROOT/deploy/sql/role.sql"
    # Nobody connects to it by accident: a template in use cannot be cloned.
    "${psql[@]}" --dbname="$url" --command='ALTER DATABASE litellm_template ALLOW_CONNECTIONS false'
}
