// raftcs.hpp on the real library, without any server.
#include <gtest/gtest.h>

#include "raftcs.hpp"

namespace {

using raftcs::CallOptions;
using raftcs::Client;
using raftcs::Config;
using raftcs::Error;
using raftcs::Milliseconds;
using raftcs::Outcome;

// Port 1 of the loopback interface: nobody listens there.
Config nowhere() { return Config{{"client.endpoints", "tcp://127.0.0.1:1"}}; }

template <class Call>
void expect_error(Call call, raftcs_status_t status, Outcome outcome) {
  try {
    call();
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.status(), status) << error.what();
    EXPECT_EQ(error.outcome(), outcome) << error.what();
  }
}

TEST(Library, SettingsAreChecked) {
  expect_error([] { Config().set("client.nonsense", "1"); }, RAFTCS_ERR_UNKNOWN_OPTION,
               Outcome::kNotApplied);
  expect_error([] { Config().set("client.request.timeout_ms", "soon"); },
               RAFTCS_ERR_INVALID_ARGUMENT, Outcome::kNotApplied);
  EXPECT_EQ(Config().set("client.request.timeout_ms", "77").get("client.request.timeout_ms"), "77");
  raftcs::Pump pump;
  EXPECT_THROW(Client(Config(), pump), Error);
}

TEST(Library, DeadlinePassesAndNothingWasApplied) {
  raftcs::PumpThread pump;
  Client client(nowhere(), pump);
  client.open();
  auto future = client.submit("kv", "x", CallOptions{Milliseconds{200}});
  expect_error([&] { future.get(); }, RAFTCS_ERR_TIMED_OUT, Outcome::kNotApplied);
  expect_error([&] { client.submit_wait("kv", "x", CallOptions{Milliseconds{200}}); },
               RAFTCS_ERR_TIMED_OUT, Outcome::kNotApplied);
}

TEST(Library, CancelOfWhatNeverLeft) {
  raftcs::Pump pump;
  Client client(nowhere(), pump);
  raftcs_status_t status = RAFTCS_OK;
  uint64_t op = client.submit("kv", "x", [&](raftcs::Event event) { status = event.status(); });
  EXPECT_TRUE(client.cancel(op));
  for (int i = 0; i < 100 && status == RAFTCS_OK; ++i) pump.run_once(Milliseconds{50});
  EXPECT_EQ(status, RAFTCS_ERR_CANCELLED);
}

TEST(Library, CloseEndsWithClosedLast) {
  raftcs::Pump pump;
  std::vector<int32_t> kinds;
  Client client(nowhere(), pump, [&](raftcs::Event event) { kinds.push_back(event.kind()); });
  int ended = 0;
  for (int i = 0; i < 50; ++i) client.submit("kv", "x", [&](raftcs::Event) { ++ended; });
  client.open().close();
  auto closed = [&] { return !kinds.empty() && kinds.back() == RAFTCS_EVENT_CLOSED; };
  for (int i = 0; i < 100 && !closed(); ++i) pump.run_once(Milliseconds{50});
  EXPECT_TRUE(closed());
  EXPECT_EQ(ended, 50);
}

TEST(Library, WhatACloseRefusesDidNotHappen) {
  raftcs::Pump pump;
  Client client(nowhere(), pump);
  client.open().close();
  auto refused = [](auto call) { expect_error(call, RAFTCS_ERR_CLOSED, Outcome::kNotApplied); };
  refused([&] { client.submit("kv", "x"); });
  refused([&] { client.submit_wait("kv", "x"); });
  refused([&] { client.query_wait("kv", "x"); });
  refused([&] { client.admin_wait("status"); });
  refused([&] { client.ack(1); });
  refused([&] { client.open(); });
  refused([&] { client.wait_connected(Milliseconds{50}); });
}

TEST(Library, DestroyInAnyOrder) {
  auto pump = std::make_unique<raftcs::Pump>();
  auto first = std::make_unique<Client>(nowhere(), *pump);
  auto second = std::make_unique<Client>(nowhere(), *pump);
  first->open();
  first.reset();
  second.reset();
  EXPECT_THROW(Client(nowhere(), *pump).resume("nonsense"), Error);
}

}  // namespace
