target_link_libraries(unit_import PRIVATE neuronc_compiler neuronc_runner)
target_compile_definitions(unit_import PRIVATE
                           GLYPHS_MODEL="${CMAKE_SOURCE_DIR}/examples/glyphs/glyphs.onnx")
