// mutant.hpp: known bugs that can be switched back in, to test the tests.
//
// RCS_MUTANT("EL-03") marks the place where the bug of that number of the catalogue lives when it
// lives. It is a constant false, and costs nothing, unless the build has RAFTCS_MUTANTS; then the
// environment variable RAFTCS_BUG selects one bug for the life of the process. tests/mutants runs
// the tests against each; one that survives is a hole in the tests.
//
// Never build what you run with RAFTCS_MUTANTS.
#pragma once

#ifdef RAFTCS_MUTANTS
namespace raftcs {
bool is_mutant(const char* id);
}  // namespace raftcs
#define RCS_MUTANT(id)                                    \
  ([]() -> bool {                                         \
    static const bool selected = ::raftcs::is_mutant(id); \
    return selected;                                      \
  }())
#else
#define RCS_MUTANT(id) false
#endif
