# What differs between kinds of packages; cpack reads it once for each.
if(CPACK_GENERATOR STREQUAL "DEB")
  set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
else()
  # The archive is of the runtime alone, and works where it is unpacked.
  # The codecs of pictures serve where their libraries are, and are not missed before a model or a tool asks.
  set(CPACK_COMPONENTS_ALL tools libnrt libnrt-dev images)
  set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
  set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
  set(CPACK_PACKAGE_FILE_NAME "nrt-${CPACK_PACKAGE_VERSION}-linux-x86_64")
  set(CPACK_COMPONENT_INCLUDE_TOPLEVEL_DIRECTORY ON)
endif()
