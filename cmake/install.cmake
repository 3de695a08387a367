# What `cmake --install` copies: the commands, libnrt and libneuronc with their headers, and the
# files by which pkg-config and find_package(neuronc) find them.
include(CMakePackageConfigHelpers)

set_target_properties(nrt PROPERTIES EXPORT_NAME nrt)
set_target_properties(neuronc PROPERTIES EXPORT_NAME command)
install(TARGETS neuronc EXPORT neuronc RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS neuron-ls neuron-run neuron-bench RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS nrt neuronc_shared EXPORT neuronc LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS neuronc_images LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} NAMELINK_SKIP)
install(DIRECTORY runtime/include/nrt compiler/include/neuronc
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(NEURONC_PACKAGE ${CMAKE_INSTALL_LIBDIR}/cmake/neuronc)
install(EXPORT neuronc NAMESPACE neuronc:: FILE neuronc-targets.cmake
        DESTINATION ${NEURONC_PACKAGE})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/neuronc-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
configure_file(cmake/neuronc-config.cmake.in ${CMAKE_BINARY_DIR}/neuronc-config.cmake COPYONLY)
install(FILES ${CMAKE_BINARY_DIR}/neuronc-config-version.cmake ${CMAKE_BINARY_DIR}/neuronc-config.cmake
              cmake/neuronc-add-model.cmake
        DESTINATION ${NEURONC_PACKAGE})

function(install_pkg_config name description)
  file(WRITE ${CMAKE_BINARY_DIR}/${name}.pc
       "prefix=\${pcfiledir}/../..\n"
       "Name: ${name}\nDescription: ${description}\nVersion: ${PROJECT_VERSION}\n"
       "Cflags: -I\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}\n"
       "Libs: -L\${prefix}/${CMAKE_INSTALL_LIBDIR} -l${name}\n")
  install(FILES ${CMAKE_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
install_pkg_config(nrt "Runs NEFF files")
install_pkg_config(neuronc "Compiles ONNX models to NEFF files")
