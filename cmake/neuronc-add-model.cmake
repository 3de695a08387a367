# An ONNX model as a source of a CMake project.
#
#   neuronc_add_model(<target> <model.onnx>
#                     [OPTIONS <word>...]           options of `neuronc compile`, as they are typed
#                     [TARGET_CPU <isa>...]         instruction sets; `neuronc compile --help` lists them
#                     [OUTPUT <file.neff>]          default: <target>.neff in the build folder
#                     [EMBED]                       the NEFF becomes part of the program
#                     [DEPENDS <file>...]           further files that the options name
#                     [INSTALL_DESTINATION <dir>])  where `cmake --install` puts the NEFF
#
# compiles the model when it, its external data or a file of DEPENDS changed, and defines a library
# <target>. Who links it gets the header <target>.h, which has names, types, shapes and sizes of
# inputs and outputs as constants. With EMBED the library holds the NEFF, <target>_neff and
# <target>_neff_size_bytes, which nrt_load takes. The property NEURONC_NEFF of the target is the
# file's path. A program that runs the model links neuronc::nrt too.
#
# The compiler runs on the machine that builds. In a cross build find_package finds the libraries of
# the other machine, and NEURONC_EXECUTABLE names the command of this one (by default what PATH has).
include_guard(GLOBAL)

# The command: that of a build which neuronc is part of, the package's own, or PATH's.
function(_neuronc_find_command result)
  if(NEURONC_EXECUTABLE)
    set(${result} ${NEURONC_EXECUTABLE} PARENT_SCOPE)
  elseif(TARGET neuronc AND NOT CMAKE_CROSSCOMPILING)
    set(${result} $<TARGET_FILE:neuronc> PARENT_SCOPE)
  elseif(TARGET neuronc::command AND NOT CMAKE_CROSSCOMPILING)
    set(${result} $<TARGET_FILE:neuronc::command> PARENT_SCOPE)
  else()
    # What lies below CMAKE_PREFIX_PATH is the other machine's.
    find_program(NEURONC_EXECUTABLE neuronc
                 NO_CMAKE_FIND_ROOT_PATH NO_CMAKE_PATH NO_PACKAGE_ROOT_PATH
                 DOC "The neuronc command of this machine")
    if(NOT NEURONC_EXECUTABLE)
      message(FATAL_ERROR "neuronc_add_model: there is no command neuronc in PATH that runs on this "
                          "machine; set NEURONC_EXECUTABLE to it")
    endif()
    set(${result} ${NEURONC_EXECUTABLE} PARENT_SCOPE)
  endif()
endfunction()

# The library that holds the NEFF: its bytes are assembled in where the compiler compiles C or C++.
function(_neuronc_embed target neff folder)
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if("C" IN_LIST languages)
    set(source ${folder}/${target}_neff.c)
  elseif("CXX" IN_LIST languages)
    set(source ${folder}/${target}_neff.cpp)
  else()
    message(FATAL_ERROR "neuronc_add_model: EMBED needs the language C or CXX in project()")
  endif()
  if(CMAKE_SIZEOF_VOID_P EQUAL 8)
    set(word .quad)
  else()
    set(word .long)
  endif()
  # Aligned like pages, as in the file.
  file(GENERATE OUTPUT ${source} CONTENT
       "/* Embeds ${neff}. */
__asm__(\".pushsection .rodata, \\\"a\\\"\\n\"
        \".balign 4096\\n.global ${target}_neff\\n${target}_neff:\\n\"
        \".incbin \\\"${neff}\\\"\\n\"
        \"1:\\n.balign 8\\n.global ${target}_neff_size_bytes\\n${target}_neff_size_bytes:\\n\"
        \"${word} 1b - ${target}_neff\\n.popsection\\n\");
")
  # Link-time optimization sees no symbols in assembly.
  set_source_files_properties(${source} PROPERTIES
                              OBJECT_DEPENDS ${neff} COMPILE_OPTIONS -fno-lto)
  add_library(${target} STATIC ${source} ${folder}/${target}.h)
endfunction()

function(neuronc_add_model target model)
  cmake_parse_arguments(PARSE_ARGV 2 ARG "EMBED" "OUTPUT;INSTALL_DESTINATION"
                        "OPTIONS;TARGET_CPU;DEPENDS")
  if(ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "neuronc_add_model: unknown arguments ${ARG_UNPARSED_ARGUMENTS}")
  endif()
  if(ARG_KEYWORDS_MISSING_VALUES)
    message(FATAL_ERROR "neuronc_add_model: no value follows ${ARG_KEYWORDS_MISSING_VALUES}")
  endif()
  if(NOT target MATCHES "^[A-Za-z_][A-Za-z0-9_]*$")
    message(FATAL_ERROR "neuronc_add_model: `${target}` cannot be a name in a header")
  endif()
  get_filename_component(model ${model} ABSOLUTE BASE_DIR ${CMAKE_CURRENT_SOURCE_DIR})
  if(NOT ARG_OUTPUT)
    set(ARG_OUTPUT ${target}.neff)
  endif()
  get_filename_component(neff ${ARG_OUTPUT} ABSOLUTE BASE_DIR ${CMAKE_CURRENT_BINARY_DIR})
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/${target}_model)
  file(MAKE_DIRECTORY ${folder})

  _neuronc_find_command(command)
  set(words compile ${model} -o ${neff} --quiet ${ARG_OPTIONS})
  if(ARG_TARGET_CPU)
    list(JOIN ARG_TARGET_CPU "," cpus)
    list(APPEND words --target-cpu ${cpus})
  endif()
  get_filename_component(name ${model} NAME)
  # The command is a dependency: another version gives another NEFF.
  add_custom_command(
    OUTPUT ${neff} ${folder}/${target}.h
    COMMAND ${command} ${words} --depfile ${folder}/${target}.d
    COMMAND ${command} inspect ${neff} --header ${folder}/${target}.h --header-name ${target}
    DEPENDS ${model} ${ARG_DEPENDS} ${command}
    DEPFILE ${folder}/${target}.d
    COMMENT "Compiling the model ${name}" VERBATIM COMMAND_EXPAND_LISTS)

  if(ARG_EMBED)
    _neuronc_embed(${target} ${neff} ${folder})
    target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${folder}>)
  else()
    add_library(${target} INTERFACE)
    target_sources(${target} PRIVATE ${neff} ${folder}/${target}.h)
    target_include_directories(${target} INTERFACE $<BUILD_INTERFACE:${folder}>)
  endif()
  set_target_properties(${target} PROPERTIES NEURONC_NEFF ${neff})
  if(ARG_INSTALL_DESTINATION)
    install(FILES ${neff} DESTINATION ${ARG_INSTALL_DESTINATION})
  endif()
endfunction()
