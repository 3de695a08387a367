# The table of lowerings, and costs of what passes fused.
target_link_libraries(unit_lowering PRIVATE neuronc_backend)
target_link_libraries(unit_lowering PRIVATE neuronc_passes)
