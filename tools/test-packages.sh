#!/bin/sh
# The Debian packages that tests use, each with what for. Without one of them its tests are skipped, and say so.
set -eu
packages="
etcd-server    # the etcd store: real members
nftables       # one-way cuts between network namespaces
iproute2       # the namespaces, their bridge and links
etcd-client    # etcdctl: its users and roles
openssl        # certificates for the TLS of etcd
resource-agents # services of type ocf: Dummy, anything, IPaddr2
systemd        # services of type unit: as the first process of namespaces of its own
fuse3          # the file system that behaves as pmxcfs
"
apt-get install -y --no-install-recommends $(echo "$packages" | sed 's/#.*//')
