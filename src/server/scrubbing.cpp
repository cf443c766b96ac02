// scrubbing.cpp: the running node reads its files again and mends what it finds damaged (PS-06).
//
//   core                          log lane                       snapshot lane
//   a pass begins --------------> which segments are there?
//   slice after slice ----------------------------------------> read and verify
//   a finding in a segment -----> is it part of the log still?
//                                 then leave it
//   a snapshot of all applied (as always) -------------------->
//   cut the log up to it -------> remove the segment
//
// When, and what follows from a finding, is decided in scrub_plan.cpp. Consensus is not touched:
// what the node has promised is in its memory, and goes to another place of the disk. Only a
// restart before that is done finds the damage, and is dealt with as any (damage.hpp).
#include <nlohmann/json.hpp>

#include "server/node_impl.hpp"

namespace raftcs::server {

void Node::Impl::scrub_tick(Mono now) {
  if (!can_take_part()) return;
  if (now >= scrub_.next()) {
    const ScrubPlan::Ask ask = scrub_.turn(now);
    if (ask.read) {
      out_.snapshot.push_back(ScrubRead{*ask.read, ask.bytes});
    } else {
      LogJob job;
      job.list_segments = true;
      out_.log.push_back(std::move(job));
    }
  }
  if (now >= mend_.next()) mend(now);
}

Mono Node::Impl::scrub_deadline() const {
  return can_take_part() ? std::min(scrub_.next(), mend_.next()) : Mono::never();
}

void Node::Impl::scrubbed(const Scrubbed& done, Mono now) {
  scrub_.slice_read(done.slice, now);
  if (!done.slice.found || !mend_.found(*done.slice.found)) return;
  if (done.slice.found->segment == 0) {
    if (done.slice.found->snapshot < snapshot_index_) {
      mend_.snapshot_published(snapshot_index_, false);  // another one has come meanwhile
      return;
    }
    damage_is_known(*done.slice.found);
  }
  mend(now);
}

void Node::Impl::damage_is_known(const storage::ScrubFinding& found) {
  ++damages_found_;
  std::string text = "damage: scrubbing found: " + found.text;
  text += options_.heal_damage ? "; it is written anew from what this node has in memory"
                               : "; nothing is done about it (storage.on_damage is refuse)";
  log_line(RAFTCS_LOG_ERROR, std::move(text));
  update_damage_health();
}

void Node::Impl::update_damage_health() {
  damaged_ = Status::ok();
  if (const MendPlan::Damage* damage = mend_.first_known())
    damaged_ = {RAFTCS_ERR_CORRUPT,
                "damage on the disk: " + damage->found.text +
                    "; the node takes part as before" +
                    (options_.heal_damage
                         ? ", and a new snapshot is to take the place of what is damaged: do not "
                           "restart the node before"
                         : "; it is not mended (storage.on_damage is refuse), and the next start "
                           "is refused")};
  update_health();
}

void Node::Impl::scrub_log_done(const LogDone& done, Mono now) {
  scrub_.log_begins_at(done.first_segment);
  if (done.listed) scrub_.listed(*done.listed, now);
  if (mend_.empty()) return;
  if (done.asked_about) {
    if (const MendPlan::Damage* damage =
            mend_.answered(*done.asked_about, done.first_segment, done.open_segment))
      damage_is_known(damage->found);
  }
  mended(mend_.log_begins_at(done.first_segment));
  mend(now);
}

void Node::Impl::scrub_snapshot_published(Index index, bool written, Mono now) {
  if (mend_.empty()) return;
  mended(mend_.snapshot_published(index, written));
  mend(now);
}

void Node::Impl::mended(const std::vector<MendPlan::Damage>& gone) {
  for (const MendPlan::Damage& d : gone) {
    ++damages_mended_;
    log_line(RAFTCS_LOG_WARNING, "the damage of " + d.found.file +
                                     " is made good: the snapshot at entry " +
                                     to_string(snapshot_index_) + " has taken its place");
  }
  if (!gone.empty()) update_damage_health();
}

MendPlan::View Node::Impl::mend_view() const {
  return {applied_, raft_.last_index(), snapshot_index_};
}

bool Node::Impl::wants_mending_snapshot() const {
  return !mend_.empty() && options_.heal_damage && mend_.wants_snapshot(mend_view());
}

void Node::Impl::mend(Mono now) {
  if (mend_.empty() || !can_take_part()) return;
  const MendPlan::Steps steps = mend_.steps(mend_view(), now);
  for (const uint64_t segment : steps.ask) {
    LogJob job;
    job.ask_about = segment;
    job.leave = options_.heal_damage;
    out_.log.push_back(std::move(job));
  }
  if (!options_.heal_damage) return;
  if (steps.cut) {
    LogJob job;
    job.compact_to = snapshot_index_;
    out_.log.push_back(std::move(job));
  }
  if (steps.snapshot) maybe_snapshot(now);
}

nlohmann::json Node::Impl::scrub_json() const {
  nlohmann::json damage = nlohmann::json::array();
  for (const MendPlan::Damage& d : mend_.damages()) {
    if (!d.known) continue;
    damage.push_back({{"file", d.found.file},
                      {"offset", d.found.offset},
                      {"last_good", d.found.last_good.value},
                      {"text", d.found.text}});
  }
  return {{"passes", scrub_.passes()},
          {"bytes", scrub_.bytes()},
          {"found", damages_found_},
          {"mended", damages_mended_},
          {"damage", damage}};
}

}  // namespace raftcs::server
