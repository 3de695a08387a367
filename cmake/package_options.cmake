# What differs between kinds of packages; cpack reads it once for each.
if(CPACK_GENERATOR STREQUAL "DEB")
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
else()
  # The archive is of the runtime alone, and works where it is unpacked.
  set(CPACK_COMPONENTS_ALL tools libnrt libnrt-dev)
  set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
  set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
  set(CPACK_PACKAGE_FILE_NAME "nrt-${CPACK_PACKAGE_VERSION}-linux-x86_64")
  set(CPACK_INCLUDE_TOPLEVEL_DIRECTORY ON)
endif()
