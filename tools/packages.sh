# SPDX-License-Identifier: Apache-2.0
# Which packages are needed, and why; installing those that are missing. Sourced by quickstart and test; changes nothing by itself.
# Debian 12 and Ubuntu 24.04 have all of them under these names.

PACKAGES_BUILD=(
	"gcc|compiles Stria (C17)"
	"libc6-dev|the C library's headers"
	"cmake|describes the build"
	"ninja-build|runs the build"
	"pkg-config|finds the libraries below"
	"libfuse3-dev|lets the client be mounted"
	"fuse3|fusermount3, to mount without being root"
	"libfabric-dev|the network: tcp, verbs, EFA behind one interface"
	"librocksdb-dev|stores metadata and checksums"
	"liburing-dev|file I/O of the object servers"
	"libisal-dev|CRC32C at memory speed"
	"libboost-context-dev|the task switch (two C routines of it)"
	"libjansson-dev|JSON, for --json"
	"libinih-dev|INI configuration files"
	"procps|ps, to see what runs"
	"util-linux|flock, setsid, mount"
)
PACKAGES_TEST=(
	"libcmocka-dev|unit tests"
	"python3|tools/tidy.py, the style check"
	"fio|I/O with verification"
	"sqlite3|a database as a test program"
	"attr|getfattr and setfattr"
	"git|a repository as a test load"
	"make|a build as a test load"
	"rsync|copies trees as a test program"
	"jq|reads the JSON that the tools print"
)

packages_missing() { # "name|reason" lines… -> those that are not installed
	local row
	for row in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "${row%%|*}" 2>/dev/null)" = installed ] || printf '%s\n' "$row"
	done
}

# Install what is missing of the rows given. ASSUME_YES=1, or no terminal: does not ask. Fails with one line that says what to do.
packages_install() {
	local row missing=() names=() as_root=() answer
	if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
		printf 'This script installs packages with apt, which this machine does not have. Needed are, by their Debian names:\n' >&2
		for row in "$@"; do printf '  %-22s %s\n' "${row%%|*}" "${row#*|}" >&2; done
		printf 'Install them, then go on with: cmake --preset release && cmake --build build\n' >&2
		return 1
	fi
	mapfile -t missing < <(packages_missing "$@")
	[ ${#missing[@]} -gt 0 ] || return 0
	printf 'These packages are missing and will be installed with apt:\n'
	for row in "${missing[@]}"; do
		printf '  %-22s %s\n' "${row%%|*}" "${row#*|}"
		names+=("${row%%|*}")
	done
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null || {
			printf 'Not root, and no sudo: run this as root: apt-get install %s\n' "${names[*]}" >&2
			return 1
		}
		as_root=(sudo)
	fi
	if [ "${ASSUME_YES:-0}" != 1 ] && [ -t 0 ] && [ -t 1 ]; then
		read -r -p 'Go on? [Y/n] ' answer
		case $answer in '' | y | Y | yes | Yes) ;; *)
			printf 'Nothing was installed.\n' >&2
			return 1
			;;
		esac
	fi
	${as_root[@]+"${as_root[@]}"} apt-get update -q || printf 'apt-get update failed: trying with the lists there are\n' >&2
	${as_root[@]+"${as_root[@]}"} env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${names[@]}" || {
		printf 'apt-get could not install: %s\n' "${names[*]}" >&2
		return 1
	}
}
