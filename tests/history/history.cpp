// history.cpp: reading and writing the text form of a history. A line that is not of the form is
// an error with its number, never skipped: a history with holes proves nothing.
#include "history/history.hpp"

#include <charconv>
#include <sstream>

#include "history/models.hpp"

namespace raftcs::history {

namespace {

Status bad(std::string text) { return {RAFTCS_ERR_INVALID_ARGUMENT, std::move(text)}; }

std::string joined(const Words& words) {
  std::string out;
  for (const std::string& word : words) out += ' ' + word;
  return out;
}

}  // namespace

Words split(const std::string& text, char separator) {
  Words out;
  size_t at = 0;
  while (true) {
    const size_t end = text.find(separator, at);
    out.push_back(text.substr(at, end == std::string::npos ? end : end - at));
    if (end == std::string::npos) return out;
    at = end + 1;
  }
}

bool read_number(const std::string& text, int64_t* out) {
  const char* end = text.data() + text.size();
  const auto got = std::from_chars(text.data(), end, *out);
  return got.ec == std::errc() && got.ptr == end;
}

std::string model_of(const std::string& object) { return object.substr(0, object.find(':')); }

Status Parser::read(std::istream& in, const std::string& name) {
  std::string text;
  for (int number = 1; std::getline(in, text); ++number) {
    if (text.empty() || text[0] == '#') continue;
    RCS_TRY(line(text).with_context(name + ":" + std::to_string(number)));
  }
  if (in.bad()) return bad(name + " cannot be read to its end");
  return Status::ok();
}

Status Parser::line(const std::string& text) {
  const Words words = split(text, ' ');
  int64_t at_ns = 0;
  if (words.size() < 3 || !read_number(words[0], &at_ns) || at_ns == kNever)
    return bad("not TIME PROCESS EVENT ...: " + text);
  for (const std::string& word : words)
    if (word.empty()) return bad("an empty field: " + text);
  const std::string& process = words[1];
  const auto [last, first] = last_ns_.try_emplace(process, at_ns);
  if (!first && at_ns < last->second) return bad("goes back in time: " + text);
  last->second = at_ns;
  const std::string& event = words[2];
  if (event == "call") return call(at_ns, process, words);
  if (event == "ok" || event == "fail" || event == "unknown") return end(at_ns, process, words);
  return notice(at_ns, process, words);
}

Status Parser::call(int64_t at_ns, const std::string& process, const Words& words) {
  if (words.size() < 5) return bad("call needs an object and a kind");
  if (open_.contains(process)) return bad(process + " has another operation under way");
  Operation op;
  op.process = process;
  op.object = words[3];
  op.kind = words[4];
  op.arguments.assign(words.begin() + 5, words.end());
  op.called_ns = at_ns;
  RCS_TRY(check_form(op));
  open_[process] = history_.operations.size();
  history_.operations.push_back(std::move(op));
  return Status::ok();
}

Status Parser::end(int64_t at_ns, const std::string& process, const Words& words) {
  const auto found = open_.find(process);
  if (found == open_.end()) return bad(process + " has nothing under way that could end");
  Operation& op = history_.operations[found->second];
  open_.erase(found);
  if (words[2] == "unknown") return Status::ok();
  op.returned_ns = at_ns;
  op.outcome = words[2] == "ok" ? Outcome::kOk : Outcome::kFailed;
  op.result.assign(words.begin() + 3, words.end());
  if (op.outcome == Outcome::kFailed && !op.result.empty()) return bad("fail has no result");
  return check_form(op);
}

Status Parser::notice(int64_t at_ns, const std::string& process, const Words& words) {
  if (words.size() < 4 || model_of(words[3]) != "watch") return bad("an unknown event or object");
  Notice out;
  out.process = process;
  out.object = words[3];
  out.at_ns = at_ns;
  int64_t version = 0;
  const bool told = words[2] == "told";
  if (words[2] == "drained" && words.size() == 4) {
    out.kind = Notice::Kind::kDrained;
  } else if (words[2] == "watching" && words.size() == 5 && read_number(words[4], &version)) {
    out.kind = Notice::Kind::kWatching;
  } else if (told && words.size() >= 7 && read_number(words[5], &version) &&
             ((words[6] == "put" && words.size() == 8) ||
              (words[6] == "del" && words.size() == 7))) {
    out.kind = Notice::Kind::kTold;
    out.key = words[4];
    out.deleted = words[6] == "del";
    if (!out.deleted) out.value = words[7];
  } else {
    return bad("neither watching, told nor drained");
  }
  out.version = static_cast<uint64_t>(version);
  history_.notices.push_back(std::move(out));
  return Status::ok();
}

Result<History> parse(const std::string& text) {
  std::istringstream in(text);
  Parser parser;
  RCS_TRY(parser.read(in, "text"));
  return parser.take();
}

std::string text_of(const Operation& op) {
  std::string out = std::to_string(op.called_ns) + ' ' + op.process + " call " + op.object + ' ' +
                    op.kind + joined(op.arguments) + '\n';
  if (op.outcome == Outcome::kUnknown) return out;
  out += std::to_string(op.returned_ns) + ' ' + op.process;
  return out + (op.outcome == Outcome::kOk ? " ok" + joined(op.result) : " fail") + '\n';
}

std::string text_of(const Notice& n) {
  std::string out = std::to_string(n.at_ns) + ' ' + n.process;
  switch (n.kind) {
    case Notice::Kind::kDrained:
      return out + " drained " + n.object + '\n';
    case Notice::Kind::kWatching:
      return out + " watching " + n.object + ' ' + std::to_string(n.version) + '\n';
    case Notice::Kind::kTold:
      break;
  }
  return out + " told " + n.object + ' ' + n.key + ' ' + std::to_string(n.version) +
         (n.deleted ? " del" : " put " + n.value) + '\n';
}

std::string summary_of(const Operation& op) {
  std::string out = op.process + ' ' + op.kind + joined(op.arguments);
  switch (op.outcome) {
    case Outcome::kOk:
      return out + " ->" + (op.result.empty() ? " done" : joined(op.result));
    case Outcome::kFailed:
      return out + " -> not done";
    case Outcome::kUnknown:
      break;
  }
  return out + " -> unknown";
}

}  // namespace raftcs::history
