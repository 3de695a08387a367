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
(cd "$build" && cpack -G DEB && cpack -G TGZ) >"$work/cpack.log" 2>&1 || { cat "$work/cpack.log"; exit 1; }
ls "$build/packages"

say "lintian"
# Not overridden in the packages, since they say nothing about them:
#  initial-upload-closes-no-bugs, unknown-...: they are not uploaded to Debian
#  no-manual-page: none, all commands have one
suppressed=initial-upload-closes-no-bugs
lintian --fail-on error,warning --suppress-tags "$suppressed" "$build"/packages/*.deb

root=${2:-$work/root}
if [ $# -lt 2 ]; then
  say "debootstrap"
  debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.log"
fi
cp /etc/resolv.conf "$root/etc/resolv.conf"
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive "$@"; }
mkdir -p "$root/work"
cp "$build"/packages/* "$source_dir"/examples/glyphs/glyphs.onnx "$source_dir"/examples/glyphs/sample.png \
  "$source_dir"/examples/run_neff.c "$root/work"
"$build/bin/neuronc" "$source_dir/examples/glyphs/glyphs.onnx" -q -o "$root/work/glyphs.neff"

say "the archive of the runtime, with nothing but the C++ library"
inside apt-get -qq update
inside apt-get -qq install --no-install-recommends libstdc++6 >/dev/null
inside sh -c 'cd /work && tar xf nrt-*.tar.gz && mv nrt-*/ moved && moved/bin/neuron-run glyphs.neff --random 1 --top 1'

say "install"
inside sh -c 'dpkg-query -W -f "\${Package}\n" | sort >/work/before'
inside sh -c 'apt-get -qq install --no-install-recommends /work/*.deb' >"$work/install.log"
say "use"
inside neuronc check /work/glyphs.onnx --max-host-ops 0 -q >/dev/null
inside neuronc /work/glyphs.onnx --num-neuroncores 2 -o /work/two.neff
inside neuron-run /work/two.neff --random 1 --top 1
inside python3 -c '
import neuronc, numpy
with neuronc.compile("/work/glyphs.onnx").load() as model:
    print(model.run({"image": numpy.zeros((1, 3, 32, 32), "float32")})["probabilities"].shape)'
inside apt-get -qq install --no-install-recommends gcc libc6-dev pkg-config >/dev/null
inside sh -c 'cd /work && gcc run_neff.c -o run_neff $(pkg-config --cflags --libs nrt) && ./run_neff two.neff'
inside test -s /usr/share/man/man1/neuronc-check.1.gz -o -e /etc/dpkg/dpkg.cfg.d/docker

say "remove"
inside sh -c 'apt-get -qq purge neuronc neuron-tools "libnrt*" "libneuronc*" python3-neuronc' >/dev/null
if inside sh -c 'find /usr -path "*neuron*" -o -name "libnrt*" | grep .'; then echo "these remain"; exit 1; fi
say "done"
