# SPDX-License-Identifier: Apache-2.0
# What the scripts share: installing packages, and running noisy steps quietly. Sourced, never run.
# Must never hide a failure: a step that fails shows its whole output and ends the script.

# Prints the packages of the named groups of scripts/packages, one on a line.
packages_of() {
  local group
  for group in "$@"; do
    sed -n "s/^$group  *//p" "$root/scripts/packages"
  done | tr ' ' '\n' | sort -u
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "This needs root or sudo: $*" >&2
    return 1
  fi
}

# Installs what is missing of the named groups; says so only when something is.
install_packages() {
  local package missing=()
  while read -r package; do
    dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done < <(packages_of "$@")
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null; then
    echo "Please install what corresponds to these Debian packages: ${missing[*]}" >&2
    return 1
  fi
  echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
  quietly as_root apt-get update
  quietly as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
}

# Runs a command and shows its output only if it fails.
quietly() {
  local log status=0
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" != 0 ]; then
    cat "$log" >&2
    echo "Failed with status $status: $*" >&2
  fi
  rm -f "$log"
  return "$status"
}

# configure DIRECTORY MESON_OPTION...: a build directory with these options, new or as it was.
configure() {
  local directory=$1
  shift
  if [ -f "$directory/build.ninja" ]; then
    quietly meson configure "$directory" "$@"
  else
    rm -rf "$directory"
    quietly meson setup "$directory" "$root" "$@"
  fi
}

# How the fuzzers are built, with clang. Coverage is for C++: there are fixtures in C without any library.
# No build type: to configure with one again would set the others back.
fuzz_options=(-Doptimization=1 -Ddebug=false -Dfuzzers=true -Db_sanitize=address,undefined -Db_lundef=false
              "-Dcpp_args=-fsanitize=fuzzer-no-link -gline-tables-only")

# The system's own Python before any other: meson and nanopb's generator are Debian's and need it.
export PATH="/usr/bin:$PATH"
