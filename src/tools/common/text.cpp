// text.cpp: see text.hpp.
#include "common/text.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "common/api.hpp"

namespace tools {

namespace {

// Width on a terminal: code points, not bytes.
size_t width(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::string Table::text() const {
  std::vector<size_t> widths;
  for (const std::string& cell : header_) widths.push_back(width(cell));
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], width(row[i]));
    }
  }
  std::string out;
  auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (size_t i = 0; i < cells.size() && i < widths.size(); ++i) {
      text += cells[i];
      text.append(widths[i] - width(cells[i]) + 2, ' ');
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  line(header_);
  for (const auto& row : rows_) line(row);
  return out;
}

Progress::Progress(std::string label, uint64_t total)
    : label_(std::move(label)), total_(total), active_(isatty(STDERR_FILENO) == 1) {}

void Progress::update(uint64_t done) {
  if (!active_) return;
  last_done_ = done;
  int64_t now = mono_ms();
  if (now - last_draw_ms_ < 100 && done != total_) return;
  last_draw_ms_ = now;
  draw(done);
}

void Progress::draw(uint64_t done) {
  constexpr size_t kWidth = 40;
  size_t filled = total_ == 0 ? kWidth : static_cast<size_t>(done * kWidth / total_);
  std::string bar(std::min(filled, kWidth), '#');
  bar.resize(kWidth, '.');
  std::fprintf(stderr, "\r%s [%s] %llu/%llu", label_.c_str(), bar.c_str(),
               static_cast<unsigned long long>(done), static_cast<unsigned long long>(total_));
  std::fflush(stderr);
}

void Progress::finish() {
  if (!active_) return;
  draw(last_done_);
  std::fputc('\n', stderr);
  active_ = false;
}

std::string tsv_escape(std::string_view field) {
  static const char kHex[] = "0123456789abcdef";
  std::string out;
  for (char c : field) {
    auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '\t': out += "\\t"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\\': out += "\\\\"; break;
      default:
        if (byte < 32) {
          out += "\\x";
          out += kHex[byte >> 4];
          out += kHex[byte & 15];
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string tsv_unescape(std::string_view field) {
  std::string out;
  for (size_t i = 0; i < field.size(); ++i) {
    char next = i + 1 < field.size() ? field[i + 1] : '\0';
    if (field[i] != '\\') {
      out += field[i];
    } else if (next == 't' || next == 'n' || next == 'r' || next == '\\') {
      out += next == 't' ? '\t' : next == 'n' ? '\n' : next == 'r' ? '\r' : '\\';
      ++i;
    } else if (next == 'x' && i + 3 < field.size() && hex_digit(field[i + 2]) >= 0 &&
               hex_digit(field[i + 3]) >= 0) {
      out += static_cast<char>(hex_digit(field[i + 2]) * 16 + hex_digit(field[i + 3]));
      i += 3;
    } else {
      out += '\\';
    }
  }
  return out;
}

std::optional<std::pair<std::string, std::string>> tsv_pair(std::string_view line) {
  size_t tab = line.find('\t');
  if (tab == std::string_view::npos) return std::nullopt;
  return std::pair{tsv_unescape(line.substr(0, tab)), tsv_unescape(line.substr(tab + 1))};
}

std::string to_hex(std::string_view bytes) {
  static const char kHex[] = "0123456789abcdef";
  std::string out;
  for (char c : bytes) {
    auto byte = static_cast<unsigned char>(c);
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::optional<std::string> from_hex(std::string_view hex) {
  if (hex.size() % 2 != 0) return std::nullopt;
  std::string out;
  for (size_t i = 0; i < hex.size(); i += 2) {
    int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    out += static_cast<char>(high * 16 + low);
  }
  return out;
}

bool is_text(std::string_view bytes) {
  return std::none_of(bytes.begin(), bytes.end(), [](char c) {
    auto byte = static_cast<unsigned char>(c);
    return (byte < 32 && c != '\n' && c != '\t') || byte == 127;
  });
}

}  // namespace tools
