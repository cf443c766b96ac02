# The command-line programs: written on the C API only, so they link libraftcs.so alone.
# rcs_tool(NAME [TARGET]): the program of src/tools/NAME; the library's target is called raftcs, so
# the program of that name is the target raftcs-cli. What they share is compiled once.
file(GLOB common CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/tools/common/*.cpp)
if(common AND TARGET raftcs)
  add_library(rcs_tools_common STATIC ${common})
  target_include_directories(rcs_tools_common PUBLIC ${CMAKE_SOURCE_DIR}/src/tools
    ${CMAKE_SOURCE_DIR}/bindings/cpp)
  target_link_libraries(rcs_tools_common PUBLIC raftcs rcs_flags Threads::Threads)
endif()
function(rcs_tool name)
  set(target ${name})
  if(ARGC GREATER 1)
    set(target ${ARGV1})
  endif()
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/tools/${name}/*.cpp)
  if(sources AND TARGET rcs_tools_common)
    add_executable(${target} ${sources})
    target_link_libraries(${target} PRIVATE rcs_tools_common)
    set_target_properties(${target} PROPERTIES OUTPUT_NAME ${name}
      INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}"
      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
    install(TARGETS ${target} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  endif()
endfunction()
rcs_tool(raftcs-server)
rcs_tool(raftcs raftcs-cli)
if(TARGET raftcs-cli)
  # It waits for servers; parsers of arguments and JSON in each file take twice as long to optimize.
  if(NOT CMAKE_BUILD_TYPE STREQUAL Debug)
    target_compile_options(raftcs-cli PRIVATE -O1)
  endif()
  rcs_precompile(raftcs-cli <CLI/CLI.hpp> <nlohmann/json.hpp>)
endif()
rcs_tool(raftcs-bench)
rcs_tool(raftcs-plugin-check)
