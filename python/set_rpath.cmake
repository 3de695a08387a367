# Makes a library look beside itself for others: cmake -DFILE=F -DOLD=RPATH -P set_rpath.cmake
if(OLD STREQUAL "")
  return()
endif()
file(RPATH_CHANGE FILE "${FILE}" OLD_RPATH "${OLD}" NEW_RPATH "$ORIGIN")
