#!/bin/sh
# The Debian packages that tests use, each with what for. Without one of them its tests are skipped, and say so.
set -eu
packages="
fence-agents   # power fencing: fence_dummy and fence_ipmilan
ipmitool       # what fence_ipmilan speaks IPMI with
"
apt-get install -y --no-install-recommends $(echo "$packages" | sed 's/#.*//')
