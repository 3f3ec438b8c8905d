#!/bin/sh
# Makes the environment: bootstrap.sh VENV LOCK
# Finds Python 3.11 or later, creates VENV, and installs exactly what LOCK names (with its hashes)
# and this project itself, editable. Needs nothing but Python and the package registry.
set -eu

venv=$1
lock=$2

stop() {
    echo "$1" >&2
    exit 1
}

fits() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    for name in python3.11 python3.12 python3.13 python3.14 python3; do
        if command -v "$name" >/dev/null 2>&1 && fits "$name"; then
            command -v "$name"
            return 0
        fi
    done
    return 1
}

if ! { [ -x "$venv/bin/python" ] && fits "$venv/bin/python"; }; then
    python=$(find_python) || stop "Python 3.11 or later is needed and was not found on PATH."
    # Debian keeps the module that puts pip into an environment in a package of its own.
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        package="python$version-venv"
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
            echo "Installing $package with apt-get …"
            install="apt-get install --yes --quiet --no-install-recommends $package"
            $install >/dev/null 2>&1 || { apt-get update --quiet >/dev/null 2>&1; $install >/dev/null; } ||
                stop "$python cannot make environments, and apt-get could not install $package."
        else
            stop "$python cannot make environments: install $package (sudo apt-get install $package)."
        fi
    fi
    echo "Making $venv with $("$python" --version) …"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

if ! [ -x "$venv/bin/uv" ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
        --require-hashes --requirement requirements/bootstrap.lock ||
        stop "The package registry cannot be reached, or it does not have what requirements/bootstrap.lock names."
fi

# Compiled here, once: a process that may not write beside its modules compiles them at each start.
# uv trusts its own list of authorities; behind a company's proxy only the system's list will do.
install() {
    VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --quiet --compile-bytecode "$@" 2>"$venv/install.log" ||
        VIRTUAL_ENV=$venv "$venv/bin/uv" pip install --quiet --compile-bytecode --system-certs "$@" 2>>"$venv/install.log" || {
        cat "$venv/install.log" >&2
        return 1
    }
}

echo "Installing from $lock …"
install --require-hashes --requirement "$lock" ||
    stop "The packages of $lock could not be installed (see above)."
install --no-deps --no-build-isolation --editable . ||
    stop "This project could not be installed into $venv (see above)."
