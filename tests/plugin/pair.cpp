// pair.cpp: a plugin that shares the name of its class with another one (TYPE_ID tells them apart),
// built as somebody does by hand, without hidden visibility.
#include "raftcs_plugin.hpp"

class Sum : public raftcs_sm::StateMachine {
 public:
  static constexpr raftcs_sm::Type kType{.id = TYPE_ID};
  void apply(const raftcs_sm::Command&, raftcs_sm::Answer& a) override { a.reply(0, TYPE_ID); }
  void query(const raftcs_sm::Query&, raftcs_sm::Answer& a) override { a.reply(0, TYPE_ID); }
  class Nothing : public raftcs_sm::Snapshot {
   public:
    void write(raftcs_sm::Writer&) override {}
  };
  std::unique_ptr<raftcs_sm::Snapshot> snapshot() override { return std::make_unique<Nothing>(); }
  void restore(uint32_t, raftcs_sm::Reader& in) override { in.end(); }
};

RAFTCS_PLUGIN("pair", "1.0", "tests", "none", Sum)
