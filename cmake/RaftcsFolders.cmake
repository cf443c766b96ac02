# rcs_folder(name DEPS ... LINK ...): the static library rcs_<name> of src/<name>.
# Every target gets the same warnings, as errors.
add_library(rcs_flags INTERFACE)
target_compile_options(rcs_flags INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor -Woverloaded-virtual>
  -fno-semantic-interposition)
if(RAFTCS_MUTANTS)
  target_compile_definitions(rcs_flags INTERFACE RAFTCS_MUTANTS)
endif()
if(RAFTCS_SANITIZE)
  # g++ 12 sees uninitialised reads in variants where the sanitizers' instrumentation is; the
  # release build keeps the warning.
  target_compile_options(rcs_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_compile_options(rcs_flags INTERFACE -fsanitize=${RAFTCS_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(rcs_flags INTERFACE -fsanitize=${RAFTCS_SANITIZE})
endif()

# rcs_precompile(TARGET HEADER...): headers of libraries that take longer to read than the target's
# own files. Own headers never: each file includes what it uses.
function(rcs_precompile target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
    target_compile_options(${target} PRIVATE -fpch-preprocess)
  endif()
  target_precompile_headers(${target} PRIVATE ${ARGN})
endfunction()

function(rcs_folder name)
  cmake_parse_arguments(ARG "" "" "DEPS;LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${name}/*.cpp)
  set(target rcs_${name})
  if(sources)
    add_library(${target} STATIC ${sources})
    set_target_properties(${target} PROPERTIES UNITY_BUILD ${RAFTCS_UNITY})
    set(scope PUBLIC)
    target_link_libraries(${target} PRIVATE rcs_flags)
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(${target} ${scope} ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  foreach(dep ${ARG_DEPS})
    target_link_libraries(${target} ${scope} rcs_${dep})
  endforeach()
  if(ARG_LINK)
    target_link_libraries(${target} ${scope} ${ARG_LINK})
  endif()
endfunction()

add_compile_definitions(MSGPACK_NO_BOOST)  # msgpack-cxx without its Boost parts
