#The planner, with kernels made by hand : code generation is not run.
target_link_libraries(unit_plan_build PRIVATE neuronc_backend neuronc_passes)
