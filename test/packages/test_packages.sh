#!/usr/bin/env bash
# Makes the packages of a build, asks lintian, and installs, uses and removes them in a bare Debian 12. It needs root,
# debootstrap, lintian and Debian's archive, so it is none of the usual tests.
#   test_packages.sh BUILD [ROOT]     ROOT: a fresh Debian 12 to use; without it debootstrap makes one
set -euo pipefail
build=$(cd "$1" && pwd)
source_dir=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '== %s\n' "$*"; }

say "make"
rm -rf "$build/packages"
cmake "$build" >/dev/null
(cd "$build" && cpack -G DEB && cpack -G TGZ) >"$work/cpack.log" 2>&1 || { cat "$work/cpack.log"; exit 1; }
ls "$build/packages"

say "lintian"
# Not overridden in the packages, since they say nothing about them:
#  initial-upload-closes-no-bugs: they are not uploaded to Debian
#  pkg-config-unavailable-for-cross-compilation: the libraries are for x86-64 alone and lie in /usr/lib, so that
#    the same tree serves as a package, a prefix that may be moved, and an archive
suppressed=initial-upload-closes-no-bugs,pkg-config-unavailable-for-cross-compilation
lintian --allow-root --fail-on error,warning --suppress-tags "$suppressed" "$build"/packages/*.deb

root=${2:-$work/root}
if [ $# -lt 2 ]; then
  say "debootstrap"
  debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.log"
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
# With /proc, by which the loader finds libraries beside a program; it is mounted for the command alone.
inside() {
  unshare --mount sh -c 'mount -t proc proc "$0/proc" && exec chroot "$0" env -i \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"' "$root" "$@"
}
mkdir -p "$root/work"
cp -r "$source_dir/examples" "$root/work"
cp "$build"/packages/*.* "$source_dir"/examples/glyphs/glyphs.onnx "$source_dir"/examples/glyphs/sample.png \
  "$source_dir"/examples/run_neff.c "$root/work"
"$build/bin/neuronc" "$source_dir/examples/glyphs/glyphs.onnx" -q -o "$root/work/glyphs.neff"

say "the archive of the runtime, with nothing but the C++ library"
install() { inside apt-get -qq -o Dpkg::Use-Pty=0 install --no-install-recommends "$@" >>"$work/apt.log" 2>&1 || { tail "$work/apt.log"; exit 1; }; }
inside apt-get -qq update
install libstdc++6
inside sh -c 'cd /work && tar xf nrt-*.tar.gz && mv nrt-*/ moved && moved/bin/neuron-run glyphs.neff --random 1 --top 1'

say "install"
packages=$(cd "$build/packages" && printf '/work/%s ' *.deb)
# shellcheck disable=SC2086
install $packages
say "use"
inside neuronc check /work/glyphs.onnx --max-host-ops 0 -q >/dev/null
inside neuronc /work/glyphs.onnx --num-neuroncores 2 -o /work/two.neff
inside neuron-run /work/two.neff --random 1 --top 1
inside python3 -c '
import neuronc, numpy
with neuronc.compile("/work/glyphs.onnx").load() as model:
    print(model.run({"image": numpy.zeros((1, 3, 32, 32), "float32")})["probabilities"].shape)'
install gcc libc6-dev pkg-config
inside sh -c 'cd /work && gcc run_neff.c -o run_neff $(pkg-config --cflags --libs nrt) && ./run_neff two.neff'
install g++ cmake make
inside sh -c 'cd /work && cmake -S examples/cmake_project -B app >/dev/null && cmake --build app >/dev/null && app/classify'
say "from PyTorch"
install python3-torch python3-onnx
inside sh -c 'cd /work && python3 examples/from_pytorch.py'
inside test -s /usr/share/man/man1/neuronc-check.1.gz

say "remove"
inside sh -c 'apt-get -qq -o Dpkg::Use-Pty=0 purge neuronc neuron-tools "libnrt*" "libneuronc*" python3-neuronc' >/dev/null
if inside sh -c 'find /usr -path "*neuron*" -o -name "libnrt*" | grep .'; then echo "these remain"; exit 1; fi
say "done"
