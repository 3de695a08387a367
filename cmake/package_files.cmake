# Brings staged files into the form that Debian's packages have; cpack runs it before it packs.
if(NOT CPACK_GENERATOR STREQUAL "DEB")
  return()
endif()
set(stage ${CPACK_TEMPORARY_DIRECTORY})
file(GLOB_RECURSE files LIST_DIRECTORIES FALSE ${stage}/*)
foreach(file ${files})
  if(IS_SYMLINK ${file})
    continue()
  endif()
  if(file MATCHES "/man/man1/[^/]+[.]1$")
    execute_process(COMMAND gzip -9nf ${file} COMMAND_ERROR_IS_FATAL ANY)
  elseif(file MATCHES "[.]so([.0-9]*)?$" OR file MATCHES "/bin/[^/]+$")
    # Libraries lie where the linker looks.
    file(RPATH_REMOVE FILE ${file})
  endif()
endforeach()

# Each package has its licence and its history.
file(READ ${CMAKE_CURRENT_LIST_DIR}/debian/copyright copyright)
foreach(component ${CPACK_COMPONENTS_ALL})
  string(TOUPPER ${component} upper)
  set(package ${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
  set(folder ${stage}/${component}/usr/share/doc/${package})
  file(WRITE ${folder}/copyright "${copyright}")
  file(WRITE ${folder}/changelog
       "neuronc (${CPACK_PACKAGE_VERSION}) unstable; urgency=medium\n\n  * See the project's history.\n\n"
       " -- ${CPACK_PACKAGE_CONTACT}  Thu, 01 Jan 1970 00:00:00 +0000\n")
  execute_process(COMMAND gzip -9nf ${folder}/changelog COMMAND_ERROR_IS_FATAL ANY)
endforeach()
