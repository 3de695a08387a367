# What `cmake --install` copies: the commands, libnrt and libneuronc with their headers, and the
# files by which pkg-config and find_package(neuronc) find them.
include(CMakePackageConfigHelpers)

set_target_properties(nrt PROPERTIES EXPORT_NAME nrt)
set_target_properties(neuronc PROPERTIES EXPORT_NAME command)
install(TARGETS neuronc EXPORT neuronc RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT neuronc)
install(TARGETS neuron-ls neuron-run neuron-bench neuron-profile neuron-top
        RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)
# Components are Debian's packages (packages.cmake): a library, and what is needed to build with it.
install(TARGETS nrt EXPORT neuronc LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        COMPONENT libnrt NAMELINK_COMPONENT libnrt-dev)
install(TARGETS neuronc_shared EXPORT neuronc LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
        COMPONENT libneuronc NAMELINK_COMPONENT libneuronc-dev)
# The codecs are loaded by models that decode pictures, and bring libraries of their own.
install(TARGETS neuronc_images LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT images
        NAMELINK_SKIP)
install(DIRECTORY runtime/include/nrt DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT libnrt-dev)
install(DIRECTORY compiler/include/neuronc DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
        COMPONENT libneuronc-dev)

set(NEURONC_PACKAGE ${CMAKE_INSTALL_LIBDIR}/cmake/neuronc)
install(EXPORT neuronc NAMESPACE neuronc:: FILE neuronc-targets.cmake
        DESTINATION ${NEURONC_PACKAGE} COMPONENT libneuronc-dev)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/neuronc-config-version.cmake
                                 COMPATIBILITY SameMinorVersion)
configure_file(cmake/neuronc-config.cmake.in ${CMAKE_BINARY_DIR}/neuronc-config.cmake COPYONLY)
install(FILES ${CMAKE_BINARY_DIR}/neuronc-config-version.cmake ${CMAKE_BINARY_DIR}/neuronc-config.cmake
              cmake/neuronc-add-model.cmake
        DESTINATION ${NEURONC_PACKAGE} COMPONENT libneuronc-dev)

function(install_pkg_config name description)
  file(WRITE ${CMAKE_BINARY_DIR}/${name}.pc
       "prefix=\${pcfiledir}/../..\n"
       "Name: ${name}\nDescription: ${description}\nVersion: ${PROJECT_VERSION}\n"
       "Cflags: -I\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}\n"
       "Libs: -L\${prefix}/${CMAKE_INSTALL_LIBDIR} -l${name}\n")
  install(FILES ${CMAKE_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
          COMPONENT lib${name}-dev)
endfunction()
install_pkg_config(nrt "Runs NEFF files")
install_pkg_config(neuronc "Compiles ONNX models to NEFF files")

# Manual pages and completions are written by the commands themselves, from their option tables.
set(PAGES ${CMAKE_BINARY_DIR}/share)
function(add_page file)
  list(POP_FRONT ARGN program)
  get_filename_component(folder ${file} DIRECTORY)
  file(MAKE_DIRECTORY ${PAGES}/${folder})
  add_custom_command(OUTPUT ${PAGES}/${file} DEPENDS ${program} VERBATIM
                     COMMAND ${CMAKE_COMMAND} -DOUT=${PAGES}/${file} -P
                             ${CMAKE_SOURCE_DIR}/cmake/capture.cmake --
                             $<TARGET_FILE:${program}> ${ARGN})
  set_property(GLOBAL APPEND PROPERTY NEURONC_PAGES ${PAGES}/${file})
  set(component tools)
  if(program STREQUAL neuronc)
    set(component neuronc)
  endif()
  install(FILES ${PAGES}/${file} DESTINATION ${CMAKE_INSTALL_DATADIR}/${folder} COMPONENT ${component})
endfunction()
foreach(command check compat compile diff inspect opt verify)
  add_page(man/man1/neuronc-${command}.1 neuronc ${command} --generate man)
endforeach()
foreach(program neuronc neuron-ls neuron-run neuron-bench neuron-profile neuron-top)
  string(REPLACE "-" "_" function ${program})
  add_page(man/man1/${program}.1 ${program} --generate man)
  add_page(bash-completion/completions/${program} ${program} --generate bash)
  add_page(zsh/vendor-completions/_${function} ${program} --generate zsh)
  add_page(fish/vendor_completions.d/${program}.fish ${program} --generate fish)
endforeach()
get_property(PAGE_FILES GLOBAL PROPERTY NEURONC_PAGES)
add_custom_target(pages ALL DEPENDS ${PAGE_FILES})
include(cmake/packages.cmake)
