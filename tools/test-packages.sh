#!/bin/sh
# Installs the Debian packages that tests use, each with what for; without one of them its tests are skipped, and say so.
# As root: tools/test-packages.sh, and for `make test-vm`: tools/test-packages.sh vm
set -eu
packages="
etcd-server     # the etcd store: real members
etcd-client     # etcdctl: its users and roles
openssl         # certificates for the TLS of etcd
iproute2        # network namespaces, their bridge and links
nftables        # one-way cuts between them
fuse3           # file systems that behave as pmxcfs and as a watchdog's driver
resource-agents # services of type ocf: Dummy, anything, IPaddr2
systemd         # services of type unit: as the first process of namespaces of its own
fence-agents    # power fencing: fence_dummy and fence_ipmilan
ipmitool        # what fence_ipmilan speaks IPMI with
"
if [ "${1:-}" = vm ]; then
    packages="
qemu-system-x86 # virtual machines that are really reset
qemu-utils      # their snapshots
kmod            # the index of their kernel's modules
binutils        # smaller programs
"
fi
apt-get install -y --no-install-recommends $(echo "$packages" | sed 's/#.*//')
