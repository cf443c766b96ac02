# Runs the example with the endpoints that cluster.py gives; it must end with 0.
execute_process(COMMAND ${PROGRAM} $ENV{RAFTCS_ENDPOINTS} RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "the example ended with ${code}")
endif()
