#!/usr/bin/env bash
# Installs the peers of the interoperability tests and the benchmark from Debian, with root; says what is missing without.
# Then the libraries of the browser phone by npm, into the page's folder, as its lock file says.
set -euo pipefail
missing=()
need() { # PROGRAM PACKAGE
  command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || missing+=("$2")
}
need sipp sip-tester
need kamailio kamailio
need baresip baresip-core
need linphonec linphone-cli
need ip iproute2
need nft nftables
need sipsak sipsak
need svmap sipvicious
need stunnel4 stunnel4
need openssl openssl
need chromium chromium
need npm npm
if [ ${#missing[@]} -eq 0 ]; then
  :
elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  echo "==> installing ${missing[*]} from Debian"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # The packages start services of their own where there is a service manager; the tests start theirs.
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "Not installed: ${missing[*]}. The tests that need them will be skipped (with CI=true they fail)." >&2
fi
cd "$(dirname "$0")/../tests/interop/browser/page"
if command -v npm >/dev/null 2>&1; then
  if ! cmp -s package-lock.json node_modules/.of-lock.json; then
    echo "==> installing JsSIP and SIP.js for the browser phone"
    npm ci --ignore-scripts --no-audit --no-fund --silent
    cp package-lock.json node_modules/.of-lock.json
  fi
  npm run --silent build
fi
