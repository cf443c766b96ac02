/* The public headers compile alone, as C99 and as C++. */
#ifdef RAFTCS_ABI_PLUGIN_HEADER
#include "raftcs_plugin.h"
#include "raftcs_sim.h"
#else
#include "raftcs.h"
#endif
int raftcs_abi_header_alone(void);
int raftcs_abi_header_alone(void) { return (int)RAFTCS_OK; }
