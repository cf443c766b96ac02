// settings_fuzz.cpp: a configuration file, and names with values as from a command line.
//
// Byte 0 even: the rest is a TOML file. It is taken whole or not at all, and a complaint names
// file and line. Odd: lines NAME=VALUE. What was taken reads back, and taking it again changes
// nothing (one canonical text for one value).
#include <sys/mman.h>
#include <unistd.h>

#include "config/settings.hpp"
#include "tests/fuzz/fuzz.hpp"

namespace raftcs::fuzz {
namespace {

using config::Config;

std::string all_of(const Config& c) {
  std::string out;
  for (const config::Setting& s : config::settings())
    if (c.is_set(s.name)) out += std::string(s.name) + "=" + *c.get(s.name) + "\n";
  return out;
}

void read_file(const std::string& text) {
  const int fd = ::memfd_create("settings", 0);
  require(fd >= 0 && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()),
          "no memory for a file");
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  Config c;
  require(c.set("server.id", "7").is_ok(), "server.id");
  const std::string before = all_of(c);
  const Status status = c.load_file(path);
  ::close(fd);
  if (status.is_ok()) {
    accepted += text.empty() ? 0 : 1;
    return;
  }
  require(all_of(c) == before, "a refused file changed something");
  require(status.text().rfind(path + ":", 0) == 0, "a complaint without its place", status.text());
}

void set_one(Config* c, std::string_view line) {
  const size_t equals = line.find('=');
  const std::string_view name = line.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : line.substr(equals + 1);
  const std::string before = all_of(*c);
  const Status status = c->set(name, value);
  if (!status.is_ok()) {
    require(!status.text().empty(), "a refusal says nothing");
    require(all_of(*c) == before, "a refused value changed something");
  } else {
    ++accepted;
    const std::string text = *c->get(name);
    require(c->set(name, text).is_ok() && *c->get(name) == text, "not canonical", text);
    const config::Setting* s = config::find(name);
    if (s->type != config::Type::text && s->type != config::Type::boolean) (void)c->integer(name);
    if (s->type == config::Type::boolean) (void)c->boolean(name);
  }
  // Forms of their own, whatever the name.
  if (auto members = config::parse_cluster(value))
    for (const config::Member& m : *members) require(m.id != 0, "a member without a number");
  if (auto pairs = config::parse_pairs(value))
    for (const auto& [key, unused] : *pairs) require(!key.empty(), "a pair without a name");
  if (config::check_endpoint(value, false).is_ok())
    require(config::check_endpoint(value, true).is_ok(), "an address nobody can listen on");
}

}  // namespace

void make_seeds(const SeedSink& sink) {
  std::string toml(1, '\0'), lines(1, '\1');
  for (const config::Setting& s : config::settings()) {
    const std::string value = s.default_value;
    lines += std::string(s.name) + "=" + value + "\n";
    const bool text = s.type == config::Type::text;
    toml += std::string(s.name) + " = " + (text ? "\"" + value + "\"" : value) + "\n";
  }
  sink("defaults_file", toml);
  sink("defaults_lines", lines);
  sink("file", std::string("\0[server]\nid = 3\ncluster = [\"1=tcp://a:1/tcp://b:2\", "
                           "\"2=tcp://[::1]:3/tcp://d:4\"]\n[client.request]\ntimeout_ms = 5\n",
                           99));
  sink("lines", "\1limits.frame_bytes=64MiB\nlimits.frame_bytes=1 GiB\nserver.id=-1\n"
                "server.cluster=1=tcp://a:1/tcp://a:2,2=tcp://b:1/tcp://b:2\n"
                "client.capabilities=a=b,c=d\nserver.client_listen=tcp://*:0\nclient.endpoint=x\n"
                "client.cluster_id=00112233445566778899aabbccddeeff\n");
}

}  // namespace raftcs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace raftcs;
  fuzz::Input in(data, size);
  const bool lines = in.flag();
  const std::string text = in.rest();
  if (!lines) {
    fuzz::read_file(text);
    return 0;
  }
  config::Config c;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    fuzz::set_one(&c, std::string_view(text).substr(at, end - at));
    at = end + 1;
  }
  return 0;
}
