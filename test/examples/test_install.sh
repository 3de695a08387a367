#!/usr/bin/env bash
# Installs a build to a fresh prefix, builds the examples against the package alone, by CMake and by
# pkg-config, and runs them; the runtime may need neither LLVM nor protobuf.
#   test_install.sh BUILD MODEL.onnx
set -euo pipefail
build=$1
model=$2
examples=$(cd "$(dirname "$0")/../../examples" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cmake --install "$build" --prefix "$work/first" >/dev/null
mv "$work/first" "$work/prefix"  # nothing may remember where it was installed
prefix=$work/prefix

cat > "$work/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C CXX)
find_package(neuronc 0.1 REQUIRED)
add_executable(embed_compiler $examples/embed_compiler.cpp)
target_link_libraries(embed_compiler neuronc::neuronc)
add_executable(run_neff $examples/run_neff.c)
target_link_libraries(run_neff neuronc::nrt)
END
cmake -S "$work" -B "$work/build" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build "$work/build" >/dev/null
"$work/build/embed_compiler" "$model" "$work/model.neff"
"$work/build/run_neff" "$work/model.neff"


# C alone: no C++ compiler is asked for.
mkdir "$work/c"
cat > "$work/c/CMakeLists.txt" <<END
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES C)
find_package(neuronc 0.1 REQUIRED)
add_executable(run_neff $examples/run_neff.c)
target_link_libraries(run_neff neuronc::nrt)
add_executable(version version.c)
target_link_libraries(version neuronc::neuronc)
END
cat > "$work/c/version.c" <<END
#include <neuronc/neuronc.h>
#include <stdio.h>
int main(void) { return puts(neuronc_version()) < 0; }
END
cmake -S "$work/c" -B "$work/c/build" -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
cmake --build "$work/c/build" >/dev/null
"$work/c/build/run_neff" "$work/model.neff" >/dev/null
"$work/c/build/version" >/dev/null

lib=$(dirname "$(find "$prefix" -name libnrt.so)")
export PKG_CONFIG_PATH=$lib/pkgconfig
# shellcheck disable=SC2046  # the flags are words
cc "$examples/run_neff.c" -o "$work/run_neff" $(pkg-config --cflags --libs nrt) -Wl,-rpath,"$lib"
"$work/run_neff" "$work/model.neff" >/dev/null

"$prefix/bin/neuronc" "$model" -q -o "$work/again.neff"
"$prefix/bin/neuron-bench" "$work/again.neff" --seconds 0.1 >/dev/null
for file in "$lib/libnrt.so" "$prefix"/bin/neuron-{ls,run,bench}; do
  if ldd "$file" | grep -iE 'llvm|proto|not found'; then
    echo "$file needs what it must not need"
    exit 1
  fi
done
# libnrt needs the C and the C++ library alone.
if readelf -d "$lib/libnrt.so" | grep NEEDED | grep -vE 'lib(c|m|stdc\+\+|gcc_s)\.so|ld-linux'; then
  echo "libnrt needs this"
  exit 1
fi
# Nothing but the API is exported, beside what the standard library shares between libraries (V, u, W).
if nm -D --defined-only "$lib/libnrt.so" | grep -vE ' nrt_| [VuW] '; then echo "libnrt exports this"; exit 1; fi
