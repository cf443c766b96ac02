// result.hpp: errors as values.
//
// No exception is thrown in the library's own code. A function that can fail gives
// back a Status or a Result<T>; both are [[nodiscard]], so that an error is either
// handled or passed on. The code is one of raftcs_status.h, the text says what
// happened and what to do, for people.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "raftcs_status.h"

namespace raftcs {

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(raftcs_status_t code, std::string text) : code_(code), text_(std::move(text)) {}

  static Status ok() { return {}; }

  bool is_ok() const { return code_ == RAFTCS_OK; }
  explicit operator bool() const { return is_ok(); }
  raftcs_status_t code() const { return code_; }
  const std::string& text() const { return text_; }

  // The same error seen from further out: "opening the log: <text>".
  Status with_context(const std::string& context) const {
    return is_ok() ? *this : Status(code_, context + ": " + text_);
  }

 private:
  raftcs_status_t code_ = RAFTCS_OK;
  std::string text_;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status error) : status_(std::move(error)) {}
  Result(raftcs_status_t code, std::string text) : status_(code, std::move(text)) {}

  bool is_ok() const { return value_.has_value(); }
  explicit operator bool() const { return is_ok(); }
  const Status& status() const { return status_; }

  // Requires: is_ok().
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return std::move(*value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace raftcs

// Passes an error on to the caller; the expression is a Status.
#define RCS_TRY(expr)                                   \
  do {                                                  \
    if (auto rcs_status_ = (expr); !rcs_status_.is_ok()) \
      return rcs_status_;                               \
  } while (0)

#define RCS_CONCAT_INNER(a, b) a##b
#define RCS_CONCAT(a, b) RCS_CONCAT_INNER(a, b)

// Declares `var` from a Result, or passes its error on.
#define RCS_ASSIGN(var, expr) RCS_ASSIGN_INNER(RCS_CONCAT(rcs_result_, __LINE__), var, expr)
#define RCS_ASSIGN_INNER(tmp, var, expr) \
  auto tmp = (expr);                     \
  if (!tmp.is_ok()) return tmp.status(); \
  auto var = std::move(tmp).value()
