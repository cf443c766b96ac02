// raftcs.hpp's own code on the stand-in library: pump, futures, errors, lifetimes.
//
// What the stand-in answers proves nothing about the library; library_test.cpp asks that.
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>

#include "raftcs.hpp"

namespace {

using raftcs::Client;
using raftcs::Config;
using raftcs::Error;
using raftcs::Event;
using raftcs::Outcome;

Config config() { return Config{{"client.endpoints", "tcp://127.0.0.1:1"}}; }

TEST(Standin, FuturesGiveRepliesAndThrowErrors) {
  raftcs::PumpThread pump;
  Client client(config(), pump);
  client.open();
  EXPECT_EQ(client.submit("s", "echo hello").get().data(), "hello");
  EXPECT_EQ(client.submit("s", "code 7").get().app_code(), 7);
  EXPECT_EQ(client.query("s", "consistency", raftcs::CallOptions{{}, true}).get().data(), "1");
  auto unknown = client.submit("s", "unknown");
  try {
    unknown.get();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), RAFTCS_ERR_TIMED_OUT);
    EXPECT_TRUE(error.may_have_happened());
    EXPECT_TRUE(error.retriable());
    EXPECT_FALSE(error.safe_to_retry());
  }
  try {
    client.submit("s", "late").get();
    FAIL();
  } catch (const Error& error) {
    EXPECT_TRUE(error.safe_to_retry());
  }
}

TEST(Standin, EventsSayWhetherTheSameCallAgainIsSafe) {
  raftcs::Pump pump;
  Client client(config(), pump);
  std::vector<bool> safe;
  for (const char* verb : {"echo x", "unknown", "late"})
    client.submit("s", verb, [&](Event event) { safe.push_back(event.safe_to_retry()); });
  pump.drain();
  EXPECT_EQ(safe, (std::vector<bool>{false, false, true}));
  EXPECT_EQ(client.info().session_timeout_ms, 13u);
  EXPECT_EQ(client.info().trouble, RAFTCS_ERR_BUSY);
}

TEST(Standin, CallbacksRunWherePumpRuns) {
  raftcs::Pump pump;
  Client client(config(), pump);
  std::thread::id where;
  client.submit("s", "echo x", [&](Event) { where = std::this_thread::get_id(); });
  EXPECT_EQ(where, std::thread::id());
  pump.drain();
  EXPECT_EQ(where, std::this_thread::get_id());
}

TEST(Standin, HandlerThatThrowsLosesNoEventOfOthers) {
  raftcs::Pump pump;
  Client client(config(), pump);
  client.submit("s", "echo a", [](Event) { throw std::runtime_error("a handler's own"); });
  std::future<Event> second = client.submit("s", "echo b");
  EXPECT_THROW(pump.run_once(raftcs::Milliseconds{0}), std::runtime_error);
  EXPECT_TRUE(pump.run_once(raftcs::Milliseconds{0}));
  ASSERT_EQ(second.wait_for(raftcs::Milliseconds{0}), std::future_status::ready);
  EXPECT_EQ(second.get().data(), "b");
  EXPECT_FALSE(pump.run_once(raftcs::Milliseconds{0}));
}

TEST(Standin, HandlerMayRunThePumpAndEventsStayInOrder) {
  raftcs::Pump pump;
  Client client(config(), pump);
  std::string order;
  client.submit("s", "echo a", [&](Event) {
    order += 'a';
    client.submit("s", "echo c", [&](Event) { order += 'c'; });
    pump.drain();
  });
  client.submit("s", "echo b", [&](Event) { order += 'b'; });
  pump.drain();
  EXPECT_EQ(order, "abc");
}

TEST(Standin, DescriptorTellsOfEvents) {
  raftcs::Pump pump;
  Client client(config(), pump);
  pollfd entry{pump.open_fd(), POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 0), 0);
  std::atomic<int> seen{0};
  for (int i = 0; i < 200; ++i) client.submit("s", "echo x", [&](Event) { ++seen; });
  EXPECT_EQ(poll(&entry, 1, 0), 1);
  pump.drain();
  EXPECT_EQ(seen, 200);
  EXPECT_EQ(poll(&entry, 1, 0), 0);
  close(entry.fd);
}

TEST(Standin, RefusedSubmitHasNoCallback) {
  raftcs::Pump pump;
  Client client(config().set("standin.outstanding_max", "1"), pump);
  client.submit("s", "never", [](Event) {});
  try {
    client.submit("s", "never", [](Event) { FAIL(); });
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), RAFTCS_ERR_BUSY);
    EXPECT_EQ(error.outcome(), Outcome::kNotApplied);
    EXPECT_TRUE(error.retriable());
  }
}

TEST(Standin, CancelAndCloseEndOperations) {
  raftcs::Pump pump;
  std::vector<int32_t> kinds;
  Client client(config(), pump, [&](Event event) { kinds.push_back(event.kind()); });
  raftcs_status_t first = 0, second = 0;
  uint64_t op = client.submit("s", "never", [&](Event event) { first = event.status(); });
  client.submit("s", "never", [&](Event event) { second = event.status(); });
  EXPECT_TRUE(client.cancel(op));
  EXPECT_FALSE(client.cancel(op));
  client.close();
  pump.drain();
  EXPECT_EQ(first, RAFTCS_ERR_CANCELLED);
  EXPECT_EQ(second, RAFTCS_ERR_CLOSED);
  ASSERT_FALSE(kinds.empty());
  EXPECT_EQ(kinds.back(), RAFTCS_EVENT_CLOSED);
}

TEST(Standin, ClientMovesAndDestroysWithOperationsUnderWay) {
  raftcs::PumpThread pump;
  auto under_way = [&] {
    Client first(config(), pump);
    Client second(std::move(first));
    return second.submit("s", "never");
  }();
  EXPECT_THROW(under_way.get(), Error);
}

// Handlers own what they hold: here the last of another client of the same pump.
TEST(Standin, AClientMayGoWithTheHandlerOfAnother) {
  raftcs::Pump pump;
  auto held = std::make_shared<Client>(config(), pump);
  std::weak_ptr<Client> gone = held;
  auto holder = std::make_unique<Client>(config(), pump, [held](Event) {});
  held.reset();
  EXPECT_FALSE(gone.expired());
  holder.reset();
  EXPECT_TRUE(gone.expired());
}

TEST(Standin, TokensOfAnyLength) {
  raftcs::Pump pump;
  std::string token = Client(config(), pump).export_session();
  EXPECT_EQ(token.size(), 5000u);
  Client(config(), pump).resume(token);
  EXPECT_THROW(Client(config(), pump).resume("nonsense"), Error);
}

TEST(Standin, SettingsErrorsHaveTheirSentence) {
  try {
    Config().set("nonsense", "1");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), RAFTCS_ERR_UNKNOWN_OPTION);
    EXPECT_STREQ(error.what(), "UNKNOWN_OPTION: no setting nonsense");
  }
}

}  // namespace
