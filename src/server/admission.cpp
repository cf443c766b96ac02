// admission.cpp: see admission.hpp.
#include "server/admission.hpp"

#include <algorithm>

namespace raftcs::server {
namespace {

constexpr uint64_t kCostPerOperation = 256;  // of an operation apart from its bytes
constexpr DurationNs kWindowNs = 100 * kNsPerMs;
constexpr uint64_t kRetryMinMs = 20;
constexpr uint64_t kRetryMaxMs = 2'000;
constexpr size_t kLoadsKept = 1'024;  // below, idle ones are not looked for

uint64_t ms_of(DurationNs ns) { return static_cast<uint64_t>((ns + kNsPerMs - 1) / kNsPerMs); }

}  // namespace

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::accepted:
      return "accepted";
    case Verdict::full:
      return "full";
    case Verdict::share:
      return "share";
    case Verdict::rate:
      return "rate";
    case Verdict::window:
      return "window";
  }
  return "";
}

// --- RateLimit --------------------------------------------------------------------------------

DurationNs RateLimit::wait(uint32_t per_second, Mono now) const {
  if (per_second == 0) return 0;
  const DurationNs each = kNsPerSecond / per_second;
  const DurationNs spent = std::max(full_at_, now) - now;
  return std::max<DurationNs>(0, spent - (kNsPerSecond - each));
}

void RateLimit::take(uint32_t per_second, Mono now) {
  if (per_second == 0) return;
  full_at_ = std::max(full_at_, now) + kNsPerSecond / per_second;
}

// --- Meter ------------------------------------------------------------------------------------

Meter::Meter(const Limits& limits) : limits_(limits) {
  limits_.cost_min = std::min(limits_.cost_min, limits_.cost_max);
  limits_.cost_start = std::clamp(limits_.cost_start, limits_.cost_min, limits_.cost_max);
  if (limits_.delay_target > 0)
    rate_ = static_cast<double>(limits_.cost_start) * static_cast<double>(kNsPerSecond) /
            static_cast<double>(limits_.delay_target);
  resize();
}

void Meter::resize() {
  if (limits_.delay_target == 0) {
    budget_ = limits_.cost_max;
    return;
  }
  const double wanted =
      rate_ * static_cast<double>(limits_.delay_target) / static_cast<double>(kNsPerSecond);
  const double low = static_cast<double>(limits_.cost_min);
  const double high = static_cast<double>(limits_.cost_max);
  budget_ = static_cast<uint64_t>(std::clamp(wanted, low, high));
}

// The rate is what ended in a window in which nothing waited for longer than the target, at most
// doubled (after a stall much ends at once); it sinks only when work waits for far too long.
// Windows without much to do say nothing.
void Meter::roll(Mono now) {
  const DurationNs length = now - window_;
  if (length < kWindowNs) return;
  const double measured = static_cast<double>(window_done_) * static_cast<double>(kNsPerSecond) /
                          static_cast<double>(length);
  if (longest_ <= limits_.delay_target)
    rate_ = std::max(rate_, std::min(measured, 2 * rate_));
  else if (longest_ > 2 * limits_.delay_target)
    rate_ = std::max(std::min(measured, rate_), rate_ * 7 / 8);
  refused_before_ = length < 2 * kWindowNs ? window_refused_ : 0;
  window_ = now;
  window_done_ = window_refused_ = 0;
  longest_ = 0;
  if (limits_.delay_target > 0) {  // never far outside of what a budget can be
    const double second = static_cast<double>(kNsPerSecond);
    const double target = static_cast<double>(limits_.delay_target);
    rate_ = std::clamp(rate_, static_cast<double>(limits_.cost_min) * second / target,
                       static_cast<double>(limits_.cost_max) * second / target);
  }
  resize();
}

void Meter::done(uint64_t cost, Mono since, Mono now) {
  cancelled(cost);
  window_done_ += cost;
  longest_ = std::max(longest_, now - since);
  roll(now);
}

void Meter::refused(uint64_t cost, Mono now) {
  if (used_ == 0) roll(now);  // nothing will end that would do it
  window_refused_ += cost;
}

// As long as it takes to work off what was refused lately; everybody refused comes again.
uint64_t Meter::retry_after_ms() const {
  const double refused = static_cast<double>(std::max(window_refused_, refused_before_));
  if (rate_ <= 0) return kRetryMinMs;
  const double ms = 1000 * refused / rate_;
  return static_cast<uint64_t>(std::clamp(ms, double{kRetryMinMs}, double{kRetryMaxMs}));
}

// --- Admission --------------------------------------------------------------------------------

namespace {
Meter::Limits meter_limits(const Admission::Limits& limits) {
  Meter::Limits m;
  m.cost_max = limits.inflight_bytes_max;
  m.delay_target = limits.delay_target;
  return m;
}
}  // namespace

Admission::Admission(const Limits& limits)
    : limits_(limits), commands_(meter_limits(limits)), queries_(meter_limits(limits)) {}

Decision Admission::check(const Meter& meter, uint64_t mine, size_t active, uint64_t cost) {
  const uint64_t budget = meter.budget();
  const uint64_t last_part = budget / 5;  // for newcomers
  // Others are always in flight: what is large would wait for ever for room for all of it.
  cost = std::min(cost, last_part / 2);
  const bool newcomer = mine == 0;
  const uint64_t room = newcomer ? budget : budget - last_part;
  if (meter.used() + cost > room) return {Verdict::full, meter.retry_after_ms()};
  const bool pressed = meter.used() > budget / 2;
  if (pressed && !newcomer && mine + cost > budget / std::max<size_t>(active, 1))
    return {Verdict::share, meter.retry_after_ms()};
  return {};
}

Decision Admission::command(Asker who, uint32_t open, uint64_t bytes, Mono now) {
  const uint64_t cost = bytes + kCostPerOperation;
  Load& load = loads_[who];
  Decision d;
  if (open >= limits_.requests_per_session_max) {
    d = {Verdict::window, commands_.retry_after_ms()};
  } else if (d = check(commands_, load.commands, commands_active_, cost); d.accepted()) {
    const DurationNs wait = load.command_rate.wait(limits_.commands_per_second, now);
    if (wait > 0) d = {Verdict::rate, ms_of(wait)};
  }
  ++command_counts_[static_cast<size_t>(d.verdict)];
  if (!d.accepted()) {
    if (d.verdict != Verdict::rate) commands_.refused(cost, now);
    return d;
  }
  load.command_rate.take(limits_.commands_per_second, now);
  if (load.commands == 0) ++commands_active_;
  load.commands += cost;
  commands_.accepted(cost);
  if (bill_.items.empty()) bill_.since = now;
  if (!bill_.items.empty() && bill_.items.back().first == who)
    bill_.items.back().second += cost;
  else
    bill_.items.emplace_back(who, cost);
  return d;
}

Admission::Bill Admission::take_bill() {
  Bill bill;
  std::swap(bill, bill_);
  return bill;
}

void Admission::release(Asker who, uint64_t Load::*part, size_t& active, uint64_t cost, Mono now) {
  auto it = loads_.find(who);
  if (it == loads_.end()) return;
  uint64_t& mine = it->second.*part;
  const bool had = mine > 0;
  mine -= std::min(mine, cost);
  if (had && mine == 0) --active;
  if (loads_.size() > kLoadsKept && now - swept_ >= kNsPerSecond) sweep(now);
}

// Whoever has nothing in flight and all of its rate saved is as good as unknown.
void Admission::sweep(Mono now) {
  swept_ = now;
  std::erase_if(loads_, [&](const auto& item) {
    const Load& l = item.second;
    return l.commands == 0 && l.queries == 0 && l.command_rate.idle(now) && l.query_rate.idle(now);
  });
}

void Admission::applied(const Bill& bill, Mono now) {
  for (const auto& [who, cost] : bill.items) {
    commands_.done(cost, bill.since, now);
    release(who, &Load::commands, commands_active_, cost, now);
  }
}

void Admission::lost() {
  bill_ = {};
  commands_.clear();
  commands_active_ = 0;
  for (auto& [who, load] : loads_) load.commands = 0;
}

Decision Admission::query(Asker who, uint64_t bytes, Mono now) {
  const uint64_t cost = bytes + kCostPerOperation;
  Load& load = loads_[who];
  Decision d = check(queries_, load.queries, queries_active_, cost);
  if (d.accepted()) {
    const DurationNs wait = load.query_rate.wait(limits_.queries_per_second, now);
    if (wait > 0) d = {Verdict::rate, ms_of(wait)};
  }
  ++query_counts_[static_cast<size_t>(d.verdict)];
  if (!d.accepted()) {
    if (d.verdict != Verdict::rate) queries_.refused(cost, now);
    return d;
  }
  load.query_rate.take(limits_.queries_per_second, now);
  if (load.queries == 0) ++queries_active_;
  load.queries += cost;
  queries_.accepted(cost);
  return d;
}

void Admission::answered(Asker who, uint64_t bytes, Mono since, Mono now) {
  const uint64_t cost = bytes + kCostPerOperation;
  queries_.done(cost, since, now);
  release(who, &Load::queries, queries_active_, cost, now);
}

Decision Admission::session(size_t pending, Mono now) {
  Decision d;
  if (pending >= limits_.pending_sessions_max) {
    d = {Verdict::window, 10 * kRetryMinMs};
  } else if (commands_.used() > commands_.budget() - commands_.budget() / 10) {
    d = {Verdict::full, std::max(10 * kRetryMinMs, commands_.retry_after_ms())};
  } else if (const DurationNs wait = session_rate_.wait(limits_.sessions_per_second, now);
             wait > 0) {
    d = {Verdict::rate, ms_of(wait)};
  }
  ++session_counts_[static_cast<size_t>(d.verdict)];
  if (d.accepted()) session_rate_.take(limits_.sessions_per_second, now);
  return d;
}

void Admission::forget(Asker who) {
  auto it = loads_.find(who);
  if (it == loads_.end()) return;
  // What it has in flight still ends, and is then taken from the meters.
  if (it->second.commands > 0) --commands_active_;
  if (it->second.queries > 0) --queries_active_;
  loads_.erase(it);
}

}  // namespace raftcs::server
