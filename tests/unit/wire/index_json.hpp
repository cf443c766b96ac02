// index_json.hpp: the text of tests/fixtures/index.json, made from the samples.
//
// Bytes are {"hex": "..."}, numbers above 2^53 - 1 are {"u64": "..."} (not every JSON reader
// keeps them), nil is null.
#pragma once

#include <string>

namespace raftcs::wire {
std::string index_json();
}  // namespace raftcs::wire
