# libraftcs.so from src/capi, with its version script; installation and packages.
file(GLOB capi_sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/capi/*.cpp)
foreach(part client/engine server/server)  # parts that are not there yet
  get_filename_component(name ${part} NAME)
  if(NOT EXISTS ${CMAKE_SOURCE_DIR}/src/${part}.cpp)
    list(APPEND capi_sources ${CMAKE_SOURCE_DIR}/src/capi/standin/${name}.cpp)
  endif()
endforeach()
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
endif()
