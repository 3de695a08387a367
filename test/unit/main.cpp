// The one Catch2 main of all unit tests; compiled once, because it is slow to compile.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
