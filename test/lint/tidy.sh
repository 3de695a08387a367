#!/usr/bin/env bash
# Runs clang-tidy over the sources of a build; it takes too long to be one of ctest's tests.
#   test/lint/tidy.sh [BUILD [REGEX]]     files matching REGEX, of build/release unless BUILD is given
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${1:-build/release}
wanted=${2:-.}

if ! command -v clang-tidy-19 >/dev/null; then
  echo "tidy: install clang-tidy-19" >&2
  exit 1
fi
[ -f "$build/compile_commands.json" ] || { echo "tidy: $build is not configured" >&2; exit 1; }

git ls-files -- '*.cpp' | grep -E "$wanted" | grep -v '^examples/' |
  xargs -P "$(nproc)" -n 1 clang-tidy-19 -p "$build" --quiet 2> >(grep -v 'warnings generated' >&2)
