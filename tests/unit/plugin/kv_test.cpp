// The reference plugins, as built, through the registry and the machine.
#include <gtest/gtest.h>

#include <algorithm>

#include "../../../plugins/common/msgpack_lite.hpp"
#include "plugin/registry.hpp"
#include "rsm/machine.hpp"

namespace raftcs::plugin {
namespace {

using msgpack_lite::Reader;
using msgpack_lite::Writer;

struct Node {
  explicit Node(const std::string& name, const rsm::Limits& limits = {})
      : registry(nullptr), machine(registry, limits) {
    EXPECT_TRUE(
        registry.load_file(std::string(RAFTCS_BINARY_DIR) + "/plugins-out/" + name + ".so")
            .is_ok());
    apply({rsm::CreateService{"s", "org.raftcs." + name}});
    for (uint8_t i = 1; i <= 3; ++i) {
      Uuid id;
      id.bytes[0] = i;
      apply({rsm::CreateSession{id, id, 1000, {}}});
    }
  }
  void apply(const std::vector<rsm::Op>& list) {
    rsm::OpsWriter ops;
    for (const auto& op : list) ops.add(op);
    out.clear();
    const Status s = machine.apply(
        {machine.applied().next(), Term(1), raft::EntryType::ops, {}, ops.take()}, &out);
    EXPECT_TRUE(s.is_ok()) << s.text();
  }
  rsm::Reply call(uint64_t session, const Writer& command) {
    const RequestId id(++next_id);
    apply({rsm::Command{SessionNum(session), id, id, ServiceNum(1), Bytes::copy(command.str())}});
    return out.replies.at(0);
  }
  rsm::QueryResult ask(const Writer& query, uint64_t session = 1) {
    return machine.query(ServiceNum(1), SessionNum(session), Bytes::copy(query.str()));
  }
  std::string get(std::string_view key) {
    const auto r = ask(op("get", key, 2));
    if (r.app_code == 1) return "(none)";
    Reader in(r.data.view());
    in.array();
    return std::string(in.bytes());
  }
  static Writer op(std::string_view name, std::string_view key, uint32_t size) {
    Writer w;
    w.array(size).text(name).bytes(key);
    return w;
  }
  rsm::Reply put(uint64_t session, std::string_view key, std::string_view value) {
    return call(session, op("put", key, 3).bytes(value));
  }
  rsm::Reply watch(uint64_t session, std::string_view key, bool prefix = false) {
    return call(session, op("watch", key, 3).boolean(prefix));
  }
  // "put a=1" "del a" "lost a"
  std::vector<std::string> events() const {
    std::vector<std::string> all;
    for (const auto& p : out.pushes) {
      Reader in(p.payload.view());
      EXPECT_EQ(in.array(), 4u);
      std::string e(in.bytes());
      e += " " + std::string(in.bytes());
      if (e[0] == 'p') e += "=" + std::string(in.bytes());
      all.push_back(std::to_string(p.session.value) + " " + e);
    }
    return all;
  }
  std::string snapshot() {
    std::string bytes;
    auto s = machine.begin_snapshot();
    EXPECT_TRUE((*s)->concurrent());
    EXPECT_TRUE((*s)
                    ->write([&](const void* p, size_t n) {
                      bytes.append(static_cast<const char*>(p), n);
                      return true;
                    })
                    .is_ok());
    return bytes;
  }
  void restore(const std::string& bytes) {
    size_t at = 0;
    const Status s = machine.restore([&](void* p, size_t n) -> Result<size_t> {
      n = std::min(n, bytes.size() - at);
      std::memcpy(p, bytes.data() + at, n);
      at += n;
      return n;
    });
    EXPECT_TRUE(s.is_ok()) << s.text();
  }

  Registry registry;
  rsm::Machine machine;
  rsm::ApplyOutput out;
  uint64_t next_id = 0;
};

using Strings = std::vector<std::string>;

}  // namespace

TEST(Kv, PutGetDelete) {
  Node n("kv");
  EXPECT_EQ(n.get("a"), "(none)");
  const auto r = n.put(1, "a", "1");
  Reader in(r.data.view());
  in.array();
  EXPECT_EQ(in.integer(), static_cast<int64_t>(n.machine.applied().value));
  EXPECT_EQ(n.get("a"), "1");
  n.put(1, "", "empty key");
  n.put(1, std::string("\xff\0 A", 4), "");  // KVS-16
  EXPECT_EQ(n.get(""), "empty key");
  EXPECT_EQ(n.get(std::string("\xff\0 A", 4)), "");
  EXPECT_EQ(n.call(1, Node::op("del", "a", 2)).app_code, 0);
  EXPECT_EQ(n.call(1, Node::op("del", "a", 2)).app_code, 1);
  EXPECT_EQ(n.get("a"), "(none)");
}

TEST(Kv, CompareAndSet) {
  Node n("kv");
  EXPECT_EQ(n.call(1, Node::op("cas", "k", 4).nil().bytes("1")).app_code, 0);
  EXPECT_EQ(n.call(1, Node::op("cas", "k", 4).nil().bytes("2")).app_code, 2);
  const auto failed = n.call(1, Node::op("cas", "k", 4).bytes("9").bytes("2"));
  EXPECT_EQ(failed.app_code, 2);
  Reader in(failed.data.view());
  in.array();
  EXPECT_EQ(in.bytes(), "1");  // what is there
  EXPECT_EQ(n.call(1, Node::op("cas", "k", 4).bytes("1").bytes("2")).app_code, 0);
  EXPECT_EQ(n.call(1, Node::op("cas", "k", 4).bytes("2").nil()).app_code, 0);
  EXPECT_EQ(n.get("k"), "(none)");
  EXPECT_EQ(n.call(1, Node::op("cas", "k", 4).bytes("2").nil()).app_code, 2);
  EXPECT_EQ(n.call(1, Node::op("cas", "k", 4).nil().nil()).app_code, 0);
}

TEST(Kv, NumbersAndAppend) {
  Node n("kv");
  EXPECT_EQ(n.call(1, Node::op("incr", "n", 3).integer(5)).app_code, 0);
  EXPECT_EQ(n.call(1, Node::op("incr", "n", 3).integer(-300)).app_code, 0);
  EXPECT_EQ(n.get("n"), "-295");
  n.put(1, "t", "text");
  EXPECT_EQ(n.call(1, Node::op("incr", "t", 3).integer(1)).app_code, 3);
  n.put(1, "m", "-9223372036854775808");
  EXPECT_EQ(n.call(1, Node::op("incr", "m", 3).integer(-1)).app_code, 3);
  EXPECT_EQ(n.call(1, Node::op("incr", "m", 3).integer(1)).app_code, 0);
  EXPECT_EQ(n.get("m"), "-9223372036854775807");
  n.call(1, Node::op("append", "t", 3).bytes("+more"));
  n.call(1, Node::op("append", "u", 3).bytes("new"));
  EXPECT_EQ(n.get("t"), "text+more");
  EXPECT_EQ(n.get("u"), "new");
}

TEST(Kv, Range) {
  Node n("kv");
  for (const char* k : {"a", "b", "c", "d"}) n.put(1, k, k);
  const auto keys = [&](const Writer& w) {
    const auto r = n.ask(w);
    Reader in(r.data.view());
    in.array();
    std::string s = in.boolean() ? "more:" : "";
    for (uint32_t i = in.array(); i > 0; --i) {
      in.array();
      s += in.bytes();
      in.bytes();
      in.integer();
    }
    EXPECT_TRUE(in.done());
    return s;
  };
  EXPECT_EQ(keys(Node::op("range", "", 4).nil().integer(0)), "abcd");
  EXPECT_EQ(keys(Node::op("range", "b", 4).bytes("d").integer(0)), "bc");
  EXPECT_EQ(keys(Node::op("range", "b", 4).nil().integer(2)), "more:bc");
}

TEST(Kv, MalformedAndTooLargeChangeNothing) {
  Node n("kv");
  for (const std::string& bad :
       {std::string(), std::string("\x93"), std::string("garbage"), Node::op("put", "a", 2).str(),
        Node::op("put", "a", 3).str(), Node::op("nop", "a", 2).str(),
        Node::op("put", "a", 3).bytes("x").str() + "y", Node::op("watch", "a", 3).str()}) {
    const RequestId id(++n.next_id);
    n.apply({rsm::Command{SessionNum(1), id, id, ServiceNum(1), Bytes::copy(bad)}});
    EXPECT_EQ(n.out.replies[0].app_code, 4) << bad;
    EXPECT_EQ(n.machine.query(ServiceNum(1), SessionNum(1), Bytes::copy(bad)).app_code, 4);
  }
  EXPECT_EQ(n.put(1, std::string(5000, 'k'), "").app_code, 5);
  EXPECT_EQ(n.put(1, "big", std::string((8u << 20) + 1, 'v')).app_code, 5);
  EXPECT_EQ(n.get("big"), "(none)");
}

TEST(Kv, KVS03_WatchGivesThePresentThenEveryChange) {
  Node n("kv");
  n.put(1, "a", "0");
  n.watch(2, "a");
  EXPECT_EQ(n.events(), (Strings{"2 put a=0"}));
  n.watch(2, "a");  // KVS-04
  EXPECT_TRUE(n.events().empty());
  n.watch(3, "a");
  n.put(2, "a", "1");
  EXPECT_EQ(n.events(), (Strings{"2 put a=1", "3 put a=1"}));
  n.put(1, "ab", "no");
  EXPECT_TRUE(n.events().empty());
  n.call(1, Node::op("del", "a", 2));
  EXPECT_EQ(n.events(), (Strings{"2 del a", "3 del a"}));
  n.call(3, Node::op("unwatch", "a", 2));
  n.call(1, Node::op("incr", "a", 3).integer(1));
  EXPECT_EQ(n.events(), (Strings{"2 put a=1"}));
  n.apply({rsm::CloseSession{SessionNum(2)}});  // KVS-05
  n.put(1, "a", "2");
  EXPECT_TRUE(n.events().empty());
  EXPECT_EQ(n.machine.pushes_dropped(), 0u);
}

TEST(Kv, PrefixWatchesTellOnce) {
  Node n("kv");
  n.put(1, "x/1", "a");
  n.put(1, "x/2", "b");
  n.put(1, "y", "c");
  n.watch(2, "x/", true);
  EXPECT_EQ(n.events(), (Strings{"2 put x/1=a", "2 put x/2=b"}));
  n.watch(2, "x/1");
  n.put(1, "x/1", "d");
  EXPECT_EQ(n.events(), (Strings{"2 put x/1=d"}));
  n.put(1, "y", "e");
  EXPECT_TRUE(n.events().empty());
}

TEST(Kv, FullWindowLosesTheWatchAndSaysSo) {
  rsm::Limits limits;
  limits.pushes_max = 2;
  Node n("kv", limits);
  n.watch(2, "a");
  for (const char* v : {"1", "2", "3", "4"}) n.put(1, "a", v);
  EXPECT_EQ(n.machine.session(SessionNum(2))->last_push, PushId(2));
  n.apply({rsm::Acknowledge{SessionNum(2), PushId(2)}});
  const std::string saved = n.snapshot();
  Node copy("kv", limits);
  copy.restore(saved);
  copy.next_id = n.next_id;
  for (Node* node : {&n, &copy}) {
    node->put(1, "b", "x");  // anybody's command brings the marker
    EXPECT_EQ(node->events(), (Strings{"2 lost a"}));
    node->put(1, "a", "5");
    EXPECT_TRUE(node->events().empty());
    node->watch(2, "a");
    EXPECT_EQ(node->events(), (Strings{"2 put a=5"}));
  }
  EXPECT_EQ(n.snapshot(), copy.snapshot());
}

// A watch that is asked for again while the word of its end is owed: the word still comes.
TEST(Kv, WhoWatchesAgainBeforeTheWordOfALossStillGetsIt) {
  rsm::Limits limits;
  limits.pushes_max = 2;
  Node n("kv", limits);
  n.watch(2, "a");
  n.put(1, "a", "1");
  n.put(1, "a", "2");
  n.call(1, Node::op("del", "a", 2));  // cannot be told
  EXPECT_EQ(n.watch(2, "a").app_code, 0);
  EXPECT_TRUE(n.events().empty());
  n.apply({rsm::Acknowledge{SessionNum(2), PushId(2)}});
  n.put(1, "b", "x");
  EXPECT_EQ(n.events(), (Strings{"2 lost a"}));
  EXPECT_EQ(n.watch(2, "a").app_code, 0);
  n.put(1, "a", "3");
  EXPECT_EQ(n.events(), (Strings{"2 put a=3"}));
}

TEST(Kv, AWatchBringsTheOwedWordFirstWhenThereIsRoom) {
  rsm::Limits limits;
  limits.pushes_max = 2;
  Node n("kv", limits);
  for (uint64_t session : {2, 3}) n.watch(session, "a");
  for (const char* v : {"1", "2", "3"}) n.put(1, "a", v);
  for (uint64_t session : {2, 3}) n.apply({rsm::Acknowledge{SessionNum(session), PushId(2)}});
  EXPECT_EQ(n.watch(3, "a").app_code, 0);
  const Strings all = n.events();
  EXPECT_EQ(std::count(all.begin(), all.end(), "3 lost a"), 1);
  EXPECT_EQ(all.back(), "3 put a=3");
}

TEST(Kv, APrefixOfMoreThanCanBeToldAtOnceIsRefusedBeforeTheFirstPush) {
  Node n("kv");
  for (int i = 0; i <= 5000; ++i) n.put(1, "p/" + std::to_string(i), "");
  EXPECT_EQ(n.watch(2, "p/", true).app_code, 5);
  EXPECT_TRUE(n.events().empty());
  n.put(1, "p/1", "x");
  EXPECT_TRUE(n.events().empty());
  EXPECT_EQ(n.watch(2, "p/1", true).app_code, 0);  // a narrower one
  EXPECT_EQ(n.events().size(), 1111u);
  n.call(1, Node::op("del", "p/0", 2));
  EXPECT_EQ(n.watch(2, "p/", true).app_code, 0);
  EXPECT_EQ(n.events().size(), 5000u);

  for (const char* k : {"big/1", "big/2", "big/3", "big/4"})
    n.put(1, k, std::string(8u << 20, 'v'));
  EXPECT_EQ(n.watch(3, "big/", true).app_code, 5);
  EXPECT_TRUE(n.events().empty());
  n.call(1, Node::op("del", "big/4", 2));
  EXPECT_EQ(n.watch(3, "big/", true).app_code, 0);
  EXPECT_EQ(n.events().size(), 3u);
}

TEST(Kv, WatchesThatAreLostAndNotYetToldCountToo) {
  rsm::Limits limits;
  limits.pushes_max = 1;
  Node n("kv", limits);
  n.watch(2, "fills the window");
  n.put(1, "fills the window", "");
  // Each is lost at once: 100 prefixes of each key.
  const auto watch = [&](const std::string& key) {
    const RequestId id(++n.next_id);
    return rsm::Command{SessionNum(2), id, id, ServiceNum(1),
                        Bytes::copy(Node::op("watch", key, 3).boolean(true).str())};
  };
  std::string key;
  for (int i = 1000; i < 2000; ++i) {
    key = std::to_string(i) + std::string(99, 'x');
    n.put(1, key, "");
    std::vector<rsm::Op> list;
    for (size_t length = 4; length < 104 && list.size() < (i == 1999 ? 99 : 100); ++length)
      list.push_back(watch(key.substr(0, length)));
    n.apply(list);
    for (const rsm::Reply& r : n.out.replies) ASSERT_EQ(r.app_code, 0) << i;
  }
  // With the one that lives these are 100,000.
  EXPECT_EQ(n.watch(2, key, true).app_code, 5);
  EXPECT_EQ(n.call(2, Node::op("unwatch", key.substr(0, 9), 3).boolean(true)).app_code, 0);
  EXPECT_EQ(n.watch(2, key, true).app_code, 0);
}

TEST(Kv, SnapshotRestoresAllAndLeavesTheDigest) {
  Node n("kv"), copy("kv");
  n.watch(2, "p", true);
  n.watch(3, "k7");
  for (int i = 0; i < 200; ++i)
    n.put(1, "k" + std::to_string(i % 50), std::string(static_cast<size_t>(i) * 20, 'v'));
  const std::string bytes = n.snapshot();
  copy.restore(bytes);
  EXPECT_EQ(copy.snapshot(), bytes);
  EXPECT_EQ(copy.machine.state_hash(), n.machine.state_hash());
  copy.next_id = n.next_id;
  for (Node* node : {&n, &copy}) {
    node->put(1, "k7", "x");
    EXPECT_EQ(node->events(), (Strings{"3 put k7=x"}));
  }
  EXPECT_EQ(copy.snapshot(), n.snapshot());
}

TEST(CounterPlugin, AddsPerSessionAndInAll) {
  Node n("counter"), copy("counter");
  const auto add = [](int64_t v) {
    Writer w;
    w.array(2).text("add").integer(v);
    return w;
  };
  const auto pair = [](const Bytes& b) {
    Reader in(b.view());
    in.array();
    const int64_t total = in.integer();
    return std::to_string(total) + "," + std::to_string(in.integer());
  };
  Writer get;
  get.array(1).text("get");
  EXPECT_EQ(pair(n.call(1, add(5)).data), "5,5");
  EXPECT_EQ(pair(n.call(2, add(-2)).data), "3,-2");
  EXPECT_EQ(n.call(1, add(INT64_MAX)).app_code, 3);
  EXPECT_EQ(n.call(1, get).app_code, 4);
  EXPECT_EQ(pair(n.ask(get, 2).data), "3,-2");
  copy.restore(n.snapshot());
  EXPECT_EQ(copy.snapshot(), n.snapshot());
  copy.apply({rsm::CloseSession{SessionNum(2)}});
  EXPECT_EQ(pair(copy.ask(get, 2).data), "3,0");
}

}  // namespace raftcs::plugin
