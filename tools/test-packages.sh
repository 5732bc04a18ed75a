#!/bin/sh
# What the tests use of Debian; they skip what is missing. As root: tools/test-packages.sh
set -eu
grep -v '^ *#' <<LIST | xargs apt-get install -y --no-install-recommends
# a watchdog's driver in a file system
fuse3
# virtual machines that are really reset (make test-vm): the machine, its snapshots, the index of its modules, smaller
# programs
qemu-system-x86
qemu-utils
kmod
binutils
LIST
