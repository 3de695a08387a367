#!/usr/bin/env bash
# A JVM compiles a hundred models while it collects garbage. Ends with 77, which ctest shows as skipped,
# where there is no JDK.
#   test_jvm.sh SOURCE LIBNEURONC INCLUDE MODEL
set -euo pipefail
source=$1
library=$2
include=$3
model=$4
javac=$(command -v javac || true)
[ -n "$javac" ] || { echo "there is no JDK"; exit 77; }
java_home=$(dirname "$(dirname "$(readlink -f "$javac")")")
[ -f "$java_home/include/jni.h" ] || { echo "the JDK has no jni.h"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cc -shared -fPIC -o "$work/libguest.so" "$source/guest_jni.c" -I"$include" -I"$java_home/include" \
  -I"$java_home/include/linux" "$library" -Wl,-rpath,"$(dirname "$library")"
javac -d "$work" "$source/Guest.java"
java -Xmx256m -cp "$work" Guest "$work/libguest.so" "$model"
