#!/usr/bin/env bash
# Installs the Debian 12 packages that building neuronc needs, and with --tests those of its tests.
# Asks dpkg first: where nothing is missing it needs neither root nor network, and prints nothing.
set -euo pipefail

build_packages=(
  build-essential cmake ninja-build ccache pkg-config git
  llvm-19-dev                 # this brings zlib1g-dev, libzstd-dev, libxml2-dev and libffi-dev
  libonnx-dev libprotobuf-dev protobuf-compiler
  libjpeg-dev libopenjp2-7-dev libtiff-dev libwebp-dev  # pictures, for models that decode them
  python3-dev python3-numpy pybind11-dev  # the Python package; without them it is left out
  libfmt-dev catch2 libexpected-dev libcli11-dev nlohmann-json3-dev libxxhash-dev libstb-dev
)
test_packages=(
  llvm-19-tools               # FileCheck, lit
  libonnx-testdata            # the ONNX node tests
  clang-format-19             # the lint
  python3 python3-onnx
  python3-pytest python3-jsonschema python3-yaml mypy
  bash-completion zsh fish man-db  # completions and manual pages, in their shells
  binutils tar
)

usage() {
  echo "usage: $(basename "$0") [--tests]"
}

packages=("${build_packages[@]}")
case "${1:-}" in
  "") ;;
  --tests) packages+=("${test_packages[@]}") ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "install_deps: this is not Debian; install the equivalents of: ${packages[*]}" >&2
  exit 1
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "install_deps: run this as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

echo "Installing from Debian: ${missing[*]}" >&2
"${as_root[@]}" apt-get update -q >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-install-recommends "${missing[@]}" >&2
