# The text tests of the passes are also evaluated, before and after.
target_compile_definitions(unit_passes PRIVATE
  NEURONC_TEXT_TESTS="${CMAKE_SOURCE_DIR}/test/lit/passes")
