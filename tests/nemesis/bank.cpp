// bank.cpp: a plugin for the nemesis: banks whose accounts change two at a time.
//
// kv has no command that changes two keys, and a bank of compare-and-set loops would be a register
// in disguise. MessagePack, like the reference plugins:
//   ["open", bank, accounts, balance]  nothing if it is open; accounts are 0, 1, ...
//   ["move", bank, from, to, amount]   app_code 2 if there is too little, 1 without the bank
//   query ["read", bank]               [balance, ...], app_code 1 without the bank
#include <map>
#include <vector>

#include "../../plugins/common/msgpack_lite.hpp"
#include "raftcs_plugin.hpp"

namespace {

enum AppCode : int32_t { kOk = 0, kNotFound = 1, kTooLittle = 2, kMalformed = 4 };

constexpr int64_t kAccountsMax = 1000;

using Banks = std::map<std::string, std::vector<int64_t>, std::less<>>;

class Bank : public raftcs_sm::StateMachine {
 public:
  static constexpr raftcs_sm::Type kType{
      .id = "org.raftcs.test.bank", .flags = RAFTCS_SM_CONCURRENT_SNAPSHOT | RAFTCS_SM_HAS_DIGEST};

  void apply(const raftcs_sm::Command& command, raftcs_sm::Answer& answer) override {
    msgpack_lite::Reader in(command.data);
    const uint32_t size = in.array();
    const std::string_view op = in.bytes();
    const std::string_view bank = in.bytes();
    const int64_t a = in.integer();
    const int64_t b = in.integer();
    if (op == "open" && size == 4 && in.done() && a > 0 && a <= kAccountsMax && b >= 0) {
      banks_.try_emplace(std::string(bank), static_cast<size_t>(a), b);
      return answer.reply(kOk);
    }
    const int64_t amount = in.integer();
    if (op != "move" || size != 5 || !in.done() || amount < 0) return answer.reply(kMalformed);
    const auto found = banks_.find(bank);
    if (found == banks_.end()) return answer.reply(kNotFound);
    std::vector<int64_t>& accounts = found->second;
    const auto count = static_cast<int64_t>(accounts.size());
    if (a < 0 || b < 0 || a >= count || b >= count) return answer.reply(kMalformed);
    if (accounts[a] < amount) return answer.reply(kTooLittle);
    accounts[a] -= amount;
    accounts[b] += amount;
    answer.reply(kOk);
  }

  void query(const raftcs_sm::Query& query, raftcs_sm::Answer& answer) override {
    msgpack_lite::Reader in(query.data);
    if (in.array() != 2 || in.bytes() != "read") return answer.reply(kMalformed);
    const auto found = banks_.find(in.bytes());
    if (!in.done()) return answer.reply(kMalformed);
    if (found == banks_.end()) return answer.reply(kNotFound);
    msgpack_lite::Writer out;
    out.array(static_cast<uint32_t>(found->second.size()));
    for (const int64_t balance : found->second) out.integer(balance);
    answer.reply(kOk, out.str());
  }

  class Copy : public raftcs_sm::Snapshot {
   public:
    explicit Copy(Banks banks) : banks_(std::move(banks)) {}
    void write(raftcs_sm::Writer& out) override {
      out.u64(banks_.size());
      for (const auto& [name, accounts] : banks_) {
        out.bytes(name);
        out.u64(accounts.size());
        for (const int64_t balance : accounts) out.u64(static_cast<uint64_t>(balance));
      }
    }

   private:
    Banks banks_;
  };
  std::unique_ptr<raftcs_sm::Snapshot> snapshot() override {
    return std::make_unique<Copy>(banks_);
  }

  void restore(uint32_t, raftcs_sm::Reader& in) override {
    for (uint64_t n = in.u64(); n > 0; --n) {
      std::vector<int64_t>& accounts = banks_[std::string(in.bytes())];
      for (uint64_t left = in.u64(); left > 0; --left)
        accounts.push_back(static_cast<int64_t>(in.u64()));
    }
    in.end();
  }

  uint64_t digest() override {
    uint64_t h = banks_.size();
    for (const auto& [name, accounts] : banks_)
      for (const int64_t balance : accounts)
        h = h * 0x100000001b3ull + static_cast<uint64_t>(balance);
    return h;
  }

 private:
  Banks banks_;
};

}  // namespace

RAFTCS_PLUGIN("bank", "1.0.0", "raftcs", "same as raftcs", Bank)
