# From text to results: passes, code, artifact, runtime.
target_link_libraries(unit_end_to_end PRIVATE neuronc_backend neuronc_passes neuronc_neff
                      neuronc_runtime nrt)
