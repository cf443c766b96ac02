// elf_file.hpp: what a shared object exports, read without loading it.
//
// A plugins directory may hold anything, also a file that is still being copied; nothing of
// it may run, and nothing may be mapped beyond its end (that would be a SIGBUS), before
// this has looked. Boost.DLL's library_info is not used for it: it reads the full symbol
// table only (so it sees nothing in a stripped plugin) and believes every offset.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"

namespace raftcs::plugin {

// Names of the defined dynamic symbols of a 64-bit little-endian shared object for this
// machine; the whole of every segment is in the file. Else a sentence that says why not.
Result<std::vector<std::string>> exported_symbols(const std::string& path);

}  // namespace raftcs::plugin
