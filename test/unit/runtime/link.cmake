# Real code for the loader: a C file compiled as the compiler's kernels are, without a runtime.
set(TEST_KERNELS ${CMAKE_BINARY_DIR}/test/kernels.so)
add_custom_command(
  OUTPUT ${TEST_KERNELS}
  COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/test
  COMMAND ${CMAKE_C_COMPILER} -O1 -fPIC -ffreestanding -fno-builtin -fno-stack-protector
          -shared -nostdlib -Wl,-z,defs -Wl,-z,separate-code -o ${TEST_KERNELS}
          ${CMAKE_CURRENT_SOURCE_DIR}/runtime/kernels.c
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/runtime/kernels.c)
add_custom_target(test_kernels DEPENDS ${TEST_KERNELS})
add_dependencies(unit_runtime test_kernels)
target_compile_definitions(unit_runtime PRIVATE TEST_KERNELS="${TEST_KERNELS}")
target_link_libraries(unit_runtime PRIVATE neuronc_runtime neuronc_neff nrt
                                           nlohmann_json::nlohmann_json)
