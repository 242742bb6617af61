#!/bin/sh
# Chromium and its driver for the tests that open pages. Debian and Ubuntu; elsewhere install them by hand.
set -e
if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then exit 0; fi
if ! command -v apt-get >/dev/null; then
  echo "Install Chromium and chromedriver so that the browser tests can run." >&2
  exit 1
fi
if [ "$(id -u)" = 0 ]; then SUDO=""; else SUDO=sudo; fi
$SUDO apt-get update -qq
DEBIAN_FRONTEND=noninteractive $SUDO apt-get install -y -qq chromium chromium-driver >/dev/null
