// histogram.hpp: latencies in log-linear buckets: 64 per power of two, so within 1.6 %.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

namespace tools {

class Histogram {
 public:
  void add(uint64_t ns) {
    size_t i = bucket_of(ns);
    if (i >= counts_.size()) counts_.resize(i + 1, 0);
    ++counts_[i];
    ++total_;
    if (ns > max_) max_ = ns;
  }

  void merge_bucket(size_t bucket, uint64_t count) {
    if (bucket >= kBucketsMax) return;
    if (bucket >= counts_.size()) counts_.resize(bucket + 1, 0);
    counts_[bucket] += count;
    total_ += count;
  }
  void merge_max(uint64_t ns) { max_ = ns > max_ ? ns : max_; }

  // The smallest bucket border that `share` (0..1) of the values do not exceed; 0 without values.
  uint64_t quantile(double share) const {
    auto wanted = static_cast<uint64_t>(share * static_cast<double>(total_) + 0.5);
    if (wanted == 0) wanted = 1;
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen >= wanted) return std::min(upper_border(i), max_);
    }
    return max_;
  }

  uint64_t total() const { return total_; }
  uint64_t max() const { return max_; }
  const std::vector<uint64_t>& counts() const { return counts_; }

 private:
  static constexpr size_t kSub = 64;
  static constexpr size_t kBucketsMax = kSub * 64;

  static size_t bucket_of(uint64_t ns) {
    if (ns < kSub) return ns;
    auto shift = static_cast<size_t>(std::bit_width(ns)) - 7;  // leaves 64..127
    return (shift + 1) * kSub + ((ns >> shift) - kSub);
  }
  static uint64_t upper_border(size_t bucket) {
    if (bucket < kSub) return bucket;
    size_t shift = bucket / kSub - 1;
    return ((bucket % kSub + kSub + 1) << shift) - 1;
  }

  std::vector<uint64_t> counts_;
  uint64_t total_ = 0;
  uint64_t max_ = 0;
};

}  // namespace tools
