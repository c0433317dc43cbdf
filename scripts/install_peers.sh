#!/usr/bin/env bash
# Installs the peers of the interoperability tests and the benchmark from Debian, with root; says what is missing without.
set -euo pipefail
missing=()
need() { # PROGRAM PACKAGE
  command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing+=("$2")
}
need sipp sip-tester
need kamailio kamailio
need baresip baresip-core
need linphonec linphone-cli
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "==> installing ${missing[*]} from Debian"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # The packages start services of their own where there is a service manager; the tests start theirs.
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "Not installed: ${missing[*]}. The tests that need them will be skipped (with CI=true they fail)." >&2
fi
