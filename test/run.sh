#!/usr/bin/env bash
# Builds neuronc and runs its tests; ends with ctest's summary.
#   test/run.sh             every test, release preset
#   test/run.sh asan|tsan   the unit tests and the programs of test/embedding under a sanitizer
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
configure=()
targets=()
select=()
case "$preset" in
  release) configure=(-DNEURONC_WERROR=ON -DNEURONC_TESTS=ON) ;;
  asan | tsan) targets=(--target unit_tests guests); select=(--tests-regex '^(unit|guest)_') ;;
  *) echo "usage: test/run.sh [release|asan|tsan]" >&2; exit 2 ;;
esac

cmake/install_deps.sh --tests
cmake --preset "$preset" "${configure[@]}"
cmake --build --preset "$preset" "${targets[@]}"

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}
# A dying command writes a reproduction from its signal handler, which is no safe thing to do, but it
# has nothing left to lose.
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:second_deadlock_stack=1:report_signal_unsafe=0}
exec ctest --test-dir "build/$preset" --output-on-failure --no-tests=error -j "$(nproc)" "${select[@]}"
