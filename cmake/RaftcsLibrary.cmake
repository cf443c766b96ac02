# libraftcs.so from src/capi, with its version script; installation and packages.
file(GLOB capi_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/capi/*.cpp)
if(capi_sources)
  add_library(raftcs SHARED ${capi_sources})
  target_compile_definitions(raftcs PRIVATE RAFTCS_BUILDING)
  target_include_directories(raftcs
    PRIVATE ${CMAKE_SOURCE_DIR}/src
    PUBLIC $<BUILD_INTERFACE:${CMAKE_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(raftcs PRIVATE
    $<BUILD_INTERFACE:rcs_flags> $<BUILD_INTERFACE:rcs_server> $<BUILD_INTERFACE:rcs_client>)
  set_target_properties(raftcs PROPERTIES VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS ${CMAKE_SOURCE_DIR}/src/capi/raftcs.map)
  target_link_options(raftcs PRIVATE
    -Wl,--version-script=${CMAKE_SOURCE_DIR}/src/capi/raftcs.map
    -Wl,-z,now -Wl,-z,relro -Wl,--exclude-libs,ALL)
  if(NOT RAFTCS_SANITIZE)
    target_link_options(raftcs PRIVATE -Wl,-z,defs)
  endif()

  # For programs: library, headers, pkg-config file and CMake package. For plugin writers: the
  # function raftcs_add_plugin() with its version script.
  set(RAFTCS_CMAKE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/raftcs)
  set(RAFTCS_PLUGINS_DIR ${CMAKE_INSTALL_LIBDIR}/raftcs/plugins)
  include(CMakePackageConfigHelpers)
  install(TARGETS raftcs EXPORT raftcsTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
  install(FILES bindings/cpp/raftcs.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT raftcsTargets NAMESPACE raftcs:: DESTINATION ${RAFTCS_CMAKE_DIR})
  configure_package_config_file(cmake/raftcsConfig.cmake.in ${CMAKE_BINARY_DIR}/raftcsConfig.cmake
    INSTALL_DESTINATION ${RAFTCS_CMAKE_DIR} PATH_VARS RAFTCS_PLUGINS_DIR)
  write_basic_package_version_file(${CMAKE_BINARY_DIR}/raftcsConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_BINARY_DIR}/raftcsConfig.cmake ${CMAKE_BINARY_DIR}/raftcsConfigVersion.cmake
    cmake/RaftcsAddPlugin.cmake cmake/raftcs_plugin.map DESTINATION ${RAFTCS_CMAKE_DIR})
  # The prefix is where the file lies, so that an installed tree can be moved.
  if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(RAFTCS_PC_PREFIX ${CMAKE_INSTALL_PREFIX})
    set(RAFTCS_PC_LIBDIR ${CMAKE_INSTALL_FULL_LIBDIR})
    set(RAFTCS_PC_INCLUDEDIR ${CMAKE_INSTALL_FULL_INCLUDEDIR})
  else()
    file(RELATIVE_PATH up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    string(REGEX REPLACE "/$" "" up "${up}")
    set(RAFTCS_PC_PREFIX "\${pcfiledir}/${up}")
    set(RAFTCS_PC_LIBDIR "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    set(RAFTCS_PC_INCLUDEDIR "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
  endif()
  configure_file(pkgconfig/raftcs.pc.in ${CMAKE_BINARY_DIR}/raftcs.pc @ONLY)
  install(FILES ${CMAKE_BINARY_DIR}/raftcs.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
  install(DIRECTORY ${CMAKE_BINARY_DIR}/plugins-out/ DESTINATION ${RAFTCS_PLUGINS_DIR}
    FILES_MATCHING PATTERN "*.so")
endif()
