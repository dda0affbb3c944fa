# shellcheck shell=bash disable=SC2034,SC2154
# What scripts/demo, scripts/test and .ci/run share: which tools and which Pythons are here, and the virtual environments.
#
# Sourced by bash, never run. The caller sets `program` (how messages begin) and stands in the clone's top directory.
# Its law: whatever the machine lacks is told in one line that names the packages, all of them at once.

PYTHON_VERSIONS=(3.11 3.12 3.13)            # those that userstack is tested on
TEST_TOOLS=(nc ip ping tcpdump tshark curl) # those that the tests run

missing_names=()
missing_packages=()

fail() {
    printf '%s: %s\n' "$program" "$1" >&2
    exit 1
}

join() { # join SEPARATOR WORD...: the words with the separator between them
    local separator=$1 text=$2
    shift 2
    printf '%s' "$text"
    [ $# -eq 0 ] || printf "$separator%s" "$@"
}

lacks() { # lacks NAME PACKAGE...: remember it for report_missing
    missing_names+=("$1")
    shift
    missing_packages+=("$@")
}

report_missing() { # ends the script with one line if anything was remembered
    [ ${#missing_names[@]} -gt 0 ] || return 0
    local verb=is
    [ ${#missing_names[@]} -eq 1 ] || verb=are
    fail "$(join ', ' "${missing_names[@]}") $verb missing: apt-get install $(join ' ' "${missing_packages[@]}")"
}

want_tools() { # want_tools COMMAND...
    local tool package
    for tool in "$@"; do
        case $tool in
            nc) package=netcat-openbsd ;;
            ip) package=iproute2 ;;
            ping) package=iputils-ping ;;
            *) package=$tool ;;
        esac
        command -v "$tool" >/dev/null || lacks "$tool" "$package"
    done
}

want_test_tools() { # want_tools, and of the four programs that are called nc the one whose options the tests use
    want_tools "${TEST_TOOLS[@]}"
    ! command -v nc >/dev/null || [[ "$(nc -h 2>&1)" == *OpenBSD* ]] || lacks "OpenBSD's nc" netcat-openbsd
}

want_tun() { # unlike a tool it comes from the kernel, or from whoever runs the container
    [ -c /dev/net/tun ] || fail "/dev/net/tun is missing: modprobe tun (for a container: --device /dev/net/tun)"
}

want_root() { # sets as_root: the words that make a command run as root
    as_root=()
    [ "$(id -u)" -ne 0 ] || return 0
    command -v sudo >/dev/null || fail "root is needed (for network namespaces and devices): run it as root, or apt-get install sudo"
    as_root=(sudo --)
}

version_of() { # version_of PYTHON: "3.12", or nothing if it does not run (a pyenv shim may stand there without a version behind it)
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true
}

new_enough() { # new_enough VERSION
    [[ $1 =~ ^3\.([0-9]+)$ ]] && [ "${BASH_REMATCH[1]}" -ge 11 ]
}

find_version() { # find_version 3.12: prints an interpreter of just that version, from PATH or pyenv; false if there is none
    local candidate root=${PYENV_ROOT:-${HOME:-/root}/.pyenv}
    if command -v pyenv >/dev/null; then
        root=$(pyenv root)
    fi
    # sort -V, so that 3.12.10 is newer than 3.12.9
    for candidate in "python$1" "$(printf '%s\n' "$root/versions/$1".*/bin/python | sort -V | tail -n 1)"; do
        if [ "$(version_of "$candidate")" = "$1" ]; then
            printf '%s\n' "$candidate"
            return 0
        fi
    done
    return 1
}

want_python() { # sets python and python_version: python3 if it is new enough, else the newest that is
    local found
    found=$(version_of python3)
    python=python3
    python_version=$found
    if ! new_enough "$found"; then
        for python_version in 3.13 3.12 3.11; do
            ! python=$(find_version "$python_version") || break
        done
    fi
    if [ -n "$python" ]; then
        want_venv "$python" "$python_version"
    elif [ -n "$found" ]; then
        lacks "Python 3.11 or newer (python3 is $found)" python3.11 python3.11-venv
    else
        lacks "Python 3.11 or newer" python3 python3-venv
    fi
}

want_venv() { # want_venv PYTHON VERSION: Debian's interpreters come without ensurepip, so that `-m venv` fails late and at length
    "$1" -c 'import ensurepip, venv' 2>/dev/null && return 0
    local package=python$2-venv
    [ "$1" != python3 ] || package=python3-venv
    lacks "$package" "$package"
}

stamp_of() { # stamp_of DIRECTORY: what the environment there depends on; its scripts hold absolute paths, so the clone's place too
    { pwd && "$1/bin/python" --version && cat pyproject.toml; } | sha256sum | cut -d ' ' -f 1
}

is_ready() { # is_ready DIRECTORY EXTRA: it was made from this pyproject.toml; an empty EXTRA is content with any
    local stamp extra
    [ -x "$1/bin/python" ] && [ -f "$1/userstack.stamp" ] || return 1
    read -r stamp extra <"$1/userstack.stamp"
    [ "$stamp" = "$(stamp_of "$1")" ] && { [ -z "$2" ] || [ "$2" = "$extra" ]; }
}

make_venv() { # make_venv DIRECTORY PYTHON VERSION [EXTRA]: an environment with userstack in it (editable); nothing to do if it stands
    local directory=$1 python=$2 version=$3 extra=${4:-}
    ! is_ready "$directory" "$extra" || return 0
    printf '%s: setting up %s (Python %s)\n' "$program" "$directory" "$version" >&2
    rm -f "$directory/userstack.stamp"
    if [ "$(version_of "$directory/bin/python")" != "$version" ] || ! "$directory/bin/python" -c 'import pip' 2>/dev/null; then
        # --clear: what is there is of another version, or was interrupted while it was made
        "$python" -m venv --clear "$directory" >&2 || fail "Python $version could not make $directory (see above)"
    fi
    "$directory/bin/python" -m pip install -qq --disable-pip-version-check --editable ".${extra:+[$extra]}" >&2 ||
        fail "pip could not install userstack and what it needs into $directory (see above)"
    # Last, so that an interrupted set-up is never taken for a finished one.
    printf '%s %s\n' "$(stamp_of "$directory")" "$extra" >"$directory/userstack.stamp"
}

can_compile() { # can_compile PYTHON: there is a C compiler, and what Python's extension modules include
    command -v cc >/dev/null && [ -f "$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" ]
}

make_compiled_venv() { # make_compiled_venv DIRECTORY PYTHON EXTRA HOW: an environment with userstack compiled in it (hatch_build.py)
    local directory=$1 python=$2 extra=$3 how=$4 made_of
    made_of=$(find userstack hatch_build.py pyproject.toml -name '*.py' -o -name '*.toml' | sort | xargs cat | sha256sum | cut -d ' ' -f 1)
    made_of="$made_of $extra $how $("$python" --version)"
    ! [ "$(cat "$directory/userstack.sources" 2>/dev/null)" = "$made_of" ] || return 0
    printf '%s: compiling userstack into %s: some minutes\n' "$program" "$directory" >&2
    "$python" -m venv --clear "$directory" >&2
    USERSTACK_COMPILE=$how "$directory/bin/python" -m pip install -qq --disable-pip-version-check ".[$extra]" >&2 ||
        fail "userstack could not be compiled into $directory (see above)"
    printf '%s\n' "$made_of" >"$directory/userstack.sources"
}
