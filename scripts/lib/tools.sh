# Tools that the checks need besides Rust and PostgreSQL, at pinned versions.
# Sourced after common.sh, never run. Leaves behind: folders in .cache.
# shellcheck shell=bash

CARGO_DENY_VERSION=0.20.2
CARGO_CYCLONEDX_VERSION=0.5.9

# python_install REQUIREMENTS FOLDER: exactly the pinned files, by hash.
# A folder and no virtual environment: Debian's Python comes without venv.
python_install() {
    local requirements=$1 target=$2
    rm -rf "$target.part"
    python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --root-user-action=ignore \
        --no-deps --require-hashes --no-compile --target "$target.part" --requirement "$requirements"
    mv "$target.part" "$target"
}

# LiteLLM's own models; prints the folder for PYTHONPATH. Keyed by the content
# of the requirements, so that a new pin is a new folder.
litellm_python() {
    local requirements=$ROOT/tests/python/requirements.txt target
    target=$CACHE/python-$(sha256sum "$requirements" | cut -c1-12)
    if [ ! -d "$target" ]; then
        python_install "$requirements" "$target" >&2
    fi
    printf '%s\n' "$target"
}

# cargo_tool NAME VERSION: installs it when it is missing; prints its path.
# Unoptimized: these run for a second and would compile for minutes.
cargo_tool() {
    local name=$1 version=$2 tools=$CACHE/$1-$2
    if [ ! -x "$tools/bin/$name" ]; then
        cargo install --quiet --locked --debug --root "$tools" "$name@$version" >&2
    fi
    printf '%s\n' "$tools/bin/$name"
}

cargo_deny() {
    cargo_tool cargo-deny "$CARGO_DENY_VERSION"
}

cargo_cyclonedx() {
    cargo_tool cargo-cyclonedx "$CARGO_CYCLONEDX_VERSION"
}

# A linker and a C compiler: one dependency has C in it.
compiler_install() {
    command -v cc >/dev/null || install_packages gcc libc6-dev
}
