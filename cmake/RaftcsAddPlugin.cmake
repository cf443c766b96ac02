# raftcs_add_plugin(name source...): builds <name>.so, exporting raftcs_plugin_entry_v1 only.
# Installed with the CMake package, so plugins outside this tree use the same function.
set(RAFTCS_PLUGIN_MAP ${CMAKE_CURRENT_LIST_DIR}/raftcs_plugin.map)
function(raftcs_add_plugin name)
  add_library(${name} MODULE ${ARGN})
  set_target_properties(${name} PROPERTIES PREFIX "" OUTPUT_NAME ${name}
    CXX_VISIBILITY_PRESET hidden C_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  if(TARGET rcs_flags)
    target_link_libraries(${name} PRIVATE rcs_flags)
    target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/include)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/plugins-out)
  elseif(TARGET raftcs::raftcs)  # outside of the tree: the installed headers, not the library
    target_include_directories(${name} PRIVATE
      $<TARGET_PROPERTY:raftcs::raftcs,INTERFACE_INCLUDE_DIRECTORIES>)
  endif()
  target_link_options(${name} PRIVATE -Wl,--version-script=${RAFTCS_PLUGIN_MAP} -Wl,-z,now)
  if(NOT RAFTCS_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
endfunction()
