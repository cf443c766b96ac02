// mutant.cpp: which bug was selected; see mutant.hpp.
#include "base/mutant.hpp"

#ifdef RAFTCS_MUTANTS
#include <cstdlib>
#include <cstring>

namespace raftcs {

bool is_mutant(const char* id) {
  const char* selected = std::getenv("RAFTCS_BUG");
  return selected != nullptr && std::strcmp(selected, id) == 0;
}

}  // namespace raftcs
#endif
