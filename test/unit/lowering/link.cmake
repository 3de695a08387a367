# The table of lowerings.
target_link_libraries(unit_lowering PRIVATE neuronc_backend)
