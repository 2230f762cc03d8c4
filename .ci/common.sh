# What .ci/run and .ci/full share; sourced by both, from the top of the checkout.
# shellcheck shell=bash
export PIP_DISABLE_PIP_VERSION_CHECK=1 TF_CPP_MIN_LOG_LEVEL=3
here=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Without compiled files of the tests, each process of pytest would compile all of them anew.
unset KZOO_DATA_DIR KERAS_BACKEND PYTHONDONTWRITEBYTECODE
export KZOO_CACHE=$work/cache KERAS_HOME=$work/keras
# The tests start many processes that compile the same programs: JAX keeps them, so that each is compiled once.
export JAX_COMPILATION_CACHE_DIR=$work/jax JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0

# The tests of a file share what they made; two processes are what the smallest machines have cores for.
two=(-n 2 --dist loadfile)

step() { printf '\n== %s (%d s)\n' "$1" "$SECONDS"; }

browser() {
    step "Chromium, in which the tests open pages"
    type -P chromium && return
    timeout 300 sh -c "apt-get update -qq && apt-get install -y -qq chromium" >/dev/null 2>&1 ||
        echo "no chromium: its tests will skip"
}

# Installs what the README's command leaves out into the environment of $python.
packages() {
    step "packages for the other backends, lint and docs"
    # A bare 'torch' would bring gigabytes of CUDA where an index offers them: this version has a CPU build.
    "$python" -m pip install -q "torch==2.13.0" || "$python" -m pip install -q torch
    "$python" -m pip install -q -e '.[jax,torch,test,lint,docs]'
    "$python" -m pip install -q -e '.[ray]' || echo "Ray cannot be installed here: its tests will skip"
}

lint() {
    step "ruff and mypy"
    "$python" -m ruff check .
    "$python" -m ruff format --check .
    "$python" -m mypy
}

# Prepares real images where their packs lie beside the checkout, and names their directory in $data: the datasets that
# are given, or all.
real_data() {
    step "real data"
    data=
    if [ -n "${KZOO_CI_DATA:-}" ]; then
        data=$KZOO_CI_DATA
    elif [ -d ../shared/data ]; then
        local only=("${@/#/--dataset=}")
        "$python" ../shared/data/unpack.py --to "$work/raw" "${only[@]}" >/dev/null
        "$python" ../shared/data/make_tfds.py --from "$work/raw" --to "$work/tfds" "${only[@]}"
        data=$work/tfds
    else
        echo "no ../shared/data: tests of real data will skip"
    fi
}
