// sim_loads.cpp: how large things are: commands, replies, pushes, results of queries.
//
// Mostly a few bytes, else up to some thousand, and now and then more than a segment, an entry or
// an append holds by this seed's limits. Limits are low in some seeds, so that what is refused for
// its size is there too: it must not be applied. What the ledger and clients get must be, byte for
// byte, what follows from its numbers.
#include <algorithm>

#include "raftcs.h"
#include "sim/sim_world.hpp"

namespace raftcs::sim {
namespace {

constexpr uint64_t kLargestBytes = 256 << 10;  // of one command
constexpr uint64_t kChunksOfOne = 40;          // that one reply or push may take in a snapshot

}  // namespace

uint32_t Cluster::some_size(uint64_t large) {
  if (loads_.chance(0.004)) return static_cast<uint32_t>(large);
  return loads_.chance(0.25) ? static_cast<uint32_t>(loads_.between(100, 3000)) : 0;
}

void Cluster::draw_load(OpRecord* r) {
  if (p_.stale_queries && r->is_query) r->stale = loads_.chance(0.5);
  if (!p_.payloads || r->plugin) return;
  const uint64_t limits[] = {p_.segment_bytes, p_.batch_bytes, p_.append_bytes};
  const uint64_t limit = limits[loads_.below(std::size(limits))];
  const uint64_t held = kChunksOfOne * p_.chunk_bytes;
  if (!r->is_query)
    r->load.padding = some_size(std::min(kLargestBytes, limit + loads_.below(limit)));
  if (!r->is_query && p_.payload_max > 0 && loads_.chance(0.01))  // just what is let in, or not
    r->load.padding = static_cast<uint32_t>(p_.payload_max - kLoadedBytes + loads_.below(3) - 1);
  r->load.reply = some_size(std::min(kLargestBytes, held));
  if (r->op.kind == 2) r->load.push = some_size(std::min(uint64_t{kLargePush}, held));
}

// How a client that was told `index` saw the ledger: as it was there, whoever answered, and
// however far that node was behind.
void Cluster::check_query(const OpRecord& r, Index index) {
  if (index > model_.applied() || r.position != model_.ledger_at(index))
    fail("a query tells another state than that of index " + to_string(index));
  if (!r.stale) return;
  hit("a stale query was answered");
  if (r.position < r.known) hit("a stale query saw what was before");
}

void Cluster::ledger_replied(OpRecord* r, const client::Event& e) {
  if (e.status == RAFTCS_ERR_TOO_LARGE) hit("TOO_LARGE was told");
  if (e.status != RAFTCS_OK) return;
  const auto position = decode_answer(e.data.data(), e.data.size());
  const bool budgeted = !r->is_query && r->load.reply > limits_of(p_).reply_bytes_max;
  const size_t size = std::max<size_t>(sizeof r->position, budgeted ? 0 : r->load.reply);
  const int32_t code = r->is_query ? 0 : app_code_of(r->op);
  if (e.app_code != code || !position || e.data.size() != size)
    return fail("a reply that the ledger did not give");
  if (code != 0) hit("an application refused");
  r->position = *position;
  if (r->is_query) check_query(*r, Index(e.index));
  told_ = std::max(told_, r->position);
}

}  // namespace raftcs::sim
