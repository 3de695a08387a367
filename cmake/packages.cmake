# Packages: `cmake --build build/release` and then, in build/release,
#   cpack -G DEB     Debian's: neuronc, libnrt0.1, libneuronc-images0.1, libnrt-dev, neuron-tools, libneuronc0.1, libneuronc-dev, python3-neuronc
#   cpack -G TGZ     a relocatable archive of the runtime: libnrt, its headers and tools
# Libraries' packages have the soname in their names, as Debian asks: each 0.x is an interface of its own, and two
# of them can be installed side by side.
set(SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR})
set(CPACK_PACKAGE_NAME neuronc)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "neuronc maintainers <maintainers@neuronc.example>")
set(CPACK_PACKAGE_VENDOR neuronc)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Compiles ONNX models for NeuronCores")
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_BINARY_DIR}/packages)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_COMPONENTS_ALL neuronc tools images libnrt libnrt-dev libneuronc libneuronc-dev)
if(NEURONC_HAS_PYTHON)
  list(APPEND CPACK_COMPONENTS_ALL python)
endif()
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_SOURCE_DIR}/cmake/package_options.cmake)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/package_files.cmake)
set(CPACK_POST_BUILD_SCRIPTS ${CMAKE_SOURCE_DIR}/cmake/package_scripts.cmake)

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_BINARY_DIR}/lib)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION devel)
foreach(library LIBNRT LIBNEURONC IMAGES)
  set(CPACK_DEBIAN_${library}_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/cmake/debian/triggers)
endforeach()

function(debian_package component name section description long)
  string(TOUPPER ${component} upper)
  foreach(pair "PACKAGE_NAME=${name}" "PACKAGE_SECTION=${section}" "DESCRIPTION=${description}\n ${long}"
          "PACKAGE_DEPENDS=${ARGN}")
    string(REGEX MATCH "^([A-Z_]+)=(.*)$" matched "${pair}")
    set(key ${CMAKE_MATCH_1})
    set(value "${CMAKE_MATCH_2}")
    if(key STREQUAL DESCRIPTION)
      set(CPACK_COMPONENT_${upper}_DESCRIPTION "${value}" PARENT_SCOPE)
    else()
      set(CPACK_DEBIAN_${upper}_${key} "${value}" PARENT_SCOPE)
    endif()
  endforeach()
endfunction()
set(EXACT "(= ${PROJECT_VERSION})")
debian_package(neuronc neuronc devel "compiler from ONNX to NeuronCores"
  "Compiles models ahead of time into NEFF files:\n native code, packed weights and a plan." "neuron-tools ${EXACT}")
debian_package(tools neuron-tools utils "tools that run models compiled for NeuronCores"
  "neuron-run, neuron-bench, neuron-profile, neuron-top and neuron-ls." "libnrt${SOVERSION} ${EXACT}")
debian_package(libnrt libnrt${SOVERSION} libs "runtime of models compiled for NeuronCores"
  "Loads and runs NEFF files; needs neither the compiler nor LLVM." "")
set(CPACK_DEBIAN_LIBNRT_PACKAGE_RECOMMENDS "libneuronc-images${SOVERSION} ${EXACT}")
debian_package(images libneuronc-images${SOVERSION} libs "runtime of models compiled for NeuronCores (pictures)"
  "The codecs that models need which decode pictures themselves." "libnrt${SOVERSION} ${EXACT}")
debian_package(libnrt-dev libnrt-dev libdevel "runtime of models compiled for NeuronCores (development files)"
  "The headers for C and C++, and the file for pkg-config." "libnrt${SOVERSION} ${EXACT}")
debian_package(libneuronc libneuronc${SOVERSION} libs "compiler from ONNX to NeuronCores (library)"
  "The compiler inside of a program." "")
debian_package(libneuronc-dev libneuronc-dev libdevel "compiler from ONNX to NeuronCores (development files)"
  "Headers, and the files for CMake and pkg-config;\n neuronc_add_model makes a model a source of a project."
  "libneuronc${SOVERSION} ${EXACT}, libnrt-dev ${EXACT}, neuronc ${EXACT}")
debian_package(python python3-neuronc python "compiler from ONNX to NeuronCores (Python 3)"
  "The compiler and the runtime as a Python package." "libneuronc${SOVERSION} ${EXACT}, libnrt${SOVERSION} ${EXACT}, python3 (>= 3.11), python3 (<< 3.12), python3-numpy")
set(CPACK_DEBIAN_PYTHON_PACKAGE_SUGGESTS python3-onnx)
set(CPACK_DEBIAN_PYTHON_PACKAGE_CONTROL_EXTRA ${CMAKE_SOURCE_DIR}/cmake/debian/postinst ${CMAKE_SOURCE_DIR}/cmake/debian/prerm)
set(CPACK_DEBIAN_PYTHON_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
