// checks.hpp: rules of single objects that need no search, and so hold for histories of any
// length and say in one sentence what is wrong: lists, counters, banks, sets and watches.
//
// They are implied by linearizability (but for watches, which no model covers).
#pragma once

#include <string>
#include <vector>

#include "history/history.hpp"

namespace raftcs::history {

// Each gives the sentences of what is wrong with one object, at most kSentencesMax.
constexpr size_t kSentencesMax = 10;
using Sentences = std::vector<std::string>;
using Operations = std::vector<Operation>;

// Reads are prefixes of the longest; nothing twice, nothing that was not appended, nothing missing
// that was appended before the read began, and no read shorter than one that ended before it.
Sentences check_append(const Operations& operations);

// A read is at least what was added before it began, at most all that was called before it ended.
// Only for counters that never go down.
Sentences check_counter(const Operations& operations);

// Every read has the same sum, the one that the accounts were opened with.
Sentences check_bank(const Operations& operations);

// A read has all that was added before it began and nothing that nobody added.
Sentences check_set(const Operations& operations);

// Every watcher is told of the same changes in the same order, none missing between the version
// that it began at and what was done before it was drained; each is one that somebody asked for,
// and not before; versions are in the order of real time. Values of puts must be unique.
Sentences check_watch(const Operations& operations, const std::vector<Notice>& notices);

// The one of these that fits the object's name.
Sentences check_object(const std::string& object, const Operations& operations,
                       const std::vector<Notice>& notices);

}  // namespace raftcs::history
