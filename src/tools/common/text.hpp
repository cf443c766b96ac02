// text.hpp: output for people and for pipes: tables, a progress bar, escaped TSV, hex.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tools {

// Columns padded to their widest cell, two spaces between; a header line in capitals first.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : header_(std::move(header)) {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const;

 private:
  std::vector<std::string> header_;
  std::vector<std::vector<std::string>> rows_;
};

// One line on stderr, redrawn at most ten times a second; silent when stderr is no terminal.
class Progress {
 public:
  Progress(std::string label, uint64_t total);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  void update(uint64_t done);
  void finish();

 private:
  void draw(uint64_t done);
  std::string label_;
  uint64_t total_;
  uint64_t last_done_ = 0;
  int64_t last_draw_ms_ = 0;
  bool active_;
};

// Lines KEY<TAB>VALUE. Tab, line feed, carriage return and backslash inside a field are written
// \t \n \r \\, other bytes below 32 as \xHH; a backslash before anything else stands for itself.
std::string tsv_escape(std::string_view field);
std::string tsv_unescape(std::string_view field);
// The two fields of a line; nothing when it has no tab.
std::optional<std::pair<std::string, std::string>> tsv_pair(std::string_view line);

std::string to_hex(std::string_view bytes);
std::optional<std::string> from_hex(std::string_view hex);
bool is_text(std::string_view bytes);  // printable as it is on a terminal

}  // namespace tools
