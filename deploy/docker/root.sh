#!/bin/sh
# Make the file system of an image in a folder, of Debian's packages: Python and the libraries that it needs, and no
# package manager, no compiler, no pip. sh root.sh /root-of-image python3.13 PACKAGE...
set -eu
root=$1
python=$2
shift 2

mkdir -p /packages "$root/var/lib/dpkg/status.d"
cd /packages
# base-files first: it has the links from /lib to /usr/lib. dash: a shell for health checks and for a look around.
apt-get download --quiet base-files
dpkg-deb --extract base-files_*.deb "$root"
apt-get download --quiet dash libblas3 libbz2-1.0 libc6 libexpat1 libffi8 libgcc-s1 libgfortran5 liblapack3 liblzma5 \
    "lib$python-minimal" "lib$python-stdlib" libsqlite3-0 libssl3t64 libstdc++6 libuuid1 libzstd1 media-types netbase \
    "$python-minimal" zlib1g "$@"
for package in *.deb; do
    dpkg-deb --extract "$package" "$root"
    # Where scanners look for the packages of an image without a package manager.
    dpkg-deb --field "$package" >"$root/var/lib/dpkg/status.d/${package%%_*}"
done

# What the packages' scripts would have done.
printf 'root:x:0:0:root:/:/bin/sh\nandon:x:10001:10001:andon:/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nvideo:x:44:\nandon:x:10001:\n' >"$root/etc/group"
printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
ln -sf "$python" "$root/usr/bin/python3"
ln -sf dash "$root/usr/bin/sh"
mkdir -p "$root/etc/ssl/certs"
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
libraries=$(dirname "$root"/usr/lib/*-linux-gnu/libc.so.6)
ln -s blas/libblas.so.3 "$libraries/libblas.so.3"
ln -s lapack/liblapack.so.3 "$libraries/liblapack.so.3"
mkdir -p "$root/proc" "$root/dev" "$root/sys"
install -d -m 1777 "$root/tmp"
install -d -o 10001 -g 10001 "$root/state" "$root/data"
ldconfig -r "$root"

# Licences stay.
find "$root/usr/share/doc" -type f ! -name copyright -delete
rm -rf "$root/usr/share/man" "$root/usr/share/lintian" "$root/usr/share/locale" "$root/usr/share/bug"
cd "$root/usr/lib/$python"
rm -rf ensurepip idlelib lib2to3 pydoc_data tkinter turtledemo
