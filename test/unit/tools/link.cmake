target_link_libraries(unit_tools PRIVATE neuronc_tools)
# Model files that a checkout outside CI does not have; the test that wants them is skipped then.
target_compile_definitions(unit_tools PRIVATE NEURONC_SHARED="${CMAKE_SOURCE_DIR}/../shared")
