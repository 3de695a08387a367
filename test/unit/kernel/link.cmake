# Kernels are run natively and interpreted.
target_link_libraries(unit_kernel PRIVATE neuronc_llvm)
