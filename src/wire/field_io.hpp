// field_io.hpp: reads and writes the kinds of fields that messages are made of.
//
// A message lists its fields once (client_fields.hpp, server_fields.hpp); FieldReader and
// FieldWriter have the same methods, one per kind, so what is written is what is read, in
// the same order. All checks of a value stand in the reader. The writer's only duty is to
// keep sentences for people within what the other side accepts.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "wire/codec.hpp"
#include "wire/msgpack_in.hpp"
#include "wire/msgpack_out.hpp"

namespace raftcs::wire {

// What one frame may hold in elements of lists inside its messages (members, capabilities):
// with items_max the bound of the memory that a small frame can ask for.
constexpr uint32_t kElementsPerItemMax = 16;

inline void read_uuid(MsgpackIn& in, const char* what, Uuid& out) {
  const std::string_view bytes = in.read_bin_view(what, 16);
  if (bytes.size() == 16)
    std::memcpy(out.bytes.data(), bytes.data(), 16);
  else
    in.fail(what, "is not 16 bytes");
}

class FieldReader {
 public:
  FieldReader(MsgpackIn& in, const Limits& limits)
      : in_(in), limits_(limits),
        elements_left_(uint64_t{limits.items_max} * kElementsPerItemMax) {}

  void u32(const char* what, uint32_t& v) {
    v = static_cast<uint32_t>(in_.read_uint(what, UINT32_MAX));
  }
  void u64(const char* what, uint64_t& v) { v = in_.read_uint(what, UINT64_MAX); }
  void i32(const char* what, int32_t& v) {
    v = static_cast<int32_t>(in_.read_int(what, INT32_MIN, INT32_MAX));
  }
  void flag(const char* what, bool& v) { v = in_.read_bool(what); }
  void channel(const char* what, Channel& v) {
    u32(what, v);
    if (v == 0) in_.fail(what, "is zero");
  }
  void nonce(const char* what, uint64_t& v) {
    u64(what, v);
    if (v == 0) in_.fail(what, "is zero");
  }
  template <class Tag>
  void id(const char* what, StrongId<Tag>& v) {
    nonce(what, v.value);
  }
  template <class Tag>
  void id_or_zero(const char* what, StrongId<Tag>& v) {
    u64(what, v.value);
  }
  void uuid(const char* what, Uuid& v) {
    read_uuid(in_, what, v);
    if (v.is_zero()) in_.fail(what, "is zero");
  }
  void uuid_or_nil(const char* what, Uuid& v) {
    if (!in_.take_nil()) read_uuid(in_, what, v);
  }
  void text(const char* what, std::string& v) { v = in_.read_str(what, limits_.text_bytes_max); }
  void sentence(const char* what, std::string& v) { text(what, v); }
  void json(const char* what, std::string& v) {
    v = in_.read_str(what, limits_.payload_bytes_max);
  }
  void payload(const char* what, Bytes& v) { v = in_.read_bin(what, limits_.payload_bytes_max); }
  template <class E>
  void choice(const char* what, E& v, E first, E last) {
    const uint64_t value = in_.read_uint(what, static_cast<uint64_t>(last));
    if (value < static_cast<uint64_t>(first)) return in_.fail(what, "is out of range");
    v = static_cast<E>(value);
  }
  void not_above(const char* what, RequestId v, RequestId bound) {
    if (v > bound) in_.fail(what, "is above the request's id");
  }

  void leader(const char* what, LeaderHint& v) {
    if (in_.take_nil()) return;
    const uint32_t fields = begin(what, 2);
    id(what, v.id);
    text(what, v.client_address);
    end(what, fields, 2);
  }
  void members(const char* what, std::vector<MemberInfo>& v) {
    const uint32_t count = list(what, in_.read_array(what), limits_.members_max);
    v.reserve(count);
    for (uint32_t i = 0; i < count && !in_.failed(); ++i) {
      MemberInfo& member = v.emplace_back();
      const uint32_t fields = begin(what, 3);
      id(what, member.id);
      text(what, member.client_address);
      flag(what, member.voter);
      end(what, fields, 3);
    }
  }
  void capabilities(const char* what, std::vector<std::pair<std::string, std::string>>& v) {
    const uint32_t count = list(what, in_.read_map(what), limits_.capabilities_max);
    v.reserve(count);
    for (uint32_t i = 0; i < count && !in_.failed(); ++i) {
      auto& [name, value] = v.emplace_back();
      text(what, name);
      text(what, value);
    }
  }

  // The frame around the fields of a message or a record in it: at least `known` fields.
  uint32_t begin(const char* what, uint32_t known) {
    const uint32_t fields = in_.read_array(what);
    if (fields < known) in_.fail(what, "lacks fields");
    return fields;
  }
  void end(const char* what, uint32_t fields, uint32_t known) {
    for (; fields > known && !in_.failed(); --fields) in_.skip(what);
  }

 private:
  uint32_t list(const char* what, uint32_t count, uint32_t count_max) {
    if (count > count_max || count > elements_left_) {
      in_.fail(what, "has more elements than the limit");
      return 0;
    }
    elements_left_ -= count;
    return count;
  }

  MsgpackIn& in_;
  const Limits& limits_;
  uint64_t elements_left_;
};

class FieldWriter {
 public:
  explicit FieldWriter(OutBuffer& buffer) : out_(buffer) {}

  void u32(const char*, uint32_t v) { out_.pack_uint32(v); }
  void u64(const char*, uint64_t v) { out_.pack_uint64(v); }
  void i32(const char*, int32_t v) { out_.pack_int32(v); }
  void flag(const char*, bool v) { v ? out_.pack_true() : out_.pack_false(); }
  void channel(const char*, Channel v) { out_.pack_uint32(v); }
  void nonce(const char*, uint64_t v) { out_.pack_uint64(v); }
  template <class Tag>
  void id(const char*, StrongId<Tag> v) {
    out_.pack_uint64(v.value);
  }
  template <class Tag>
  void id_or_zero(const char*, StrongId<Tag> v) {
    out_.pack_uint64(v.value);
  }
  void uuid(const char*, const Uuid& v) { pack_blob(out_, v.bytes.data(), v.bytes.size()); }
  void uuid_or_nil(const char* what, const Uuid& v) {
    if (v.is_zero())
      out_.pack_nil();
    else
      uuid(what, v);
  }
  void text(const char*, std::string_view v) { pack_text(out_, v); }
  // Cut to the limit at the begin of a UTF-8 character.
  void sentence(const char*, std::string_view v) {
    size_t size = v.size();
    if (size > Limits{}.text_bytes_max) {
      size = Limits{}.text_bytes_max;
      while (size > 0 && (static_cast<uint8_t>(v[size]) & 0xc0) == 0x80) --size;
    }
    pack_text(out_, v.substr(0, size));
  }
  void json(const char*, std::string_view v) { pack_text(out_, v); }
  void payload(const char*, const Bytes& v) { pack_blob(out_, v.data(), v.size()); }
  void payload(const char*, std::string_view v) { pack_blob(out_, v.data(), v.size()); }
  template <class E>
  void choice(const char*, E v, E, E) {
    out_.pack_uint8(static_cast<uint8_t>(v));
  }
  void not_above(const char*, RequestId, RequestId) {}

  void leader(const char* what, const LeaderHint& v) {
    if (!v.id) {
      out_.pack_nil();
      return;
    }
    begin(2);
    id(what, v.id);
    text(what, v.client_address);
  }
  void members(const char* what, const std::vector<MemberInfo>& v) {
    begin(static_cast<uint32_t>(v.size()));
    for (const MemberInfo& member : v) {
      begin(3);
      id(what, member.id);
      text(what, member.client_address);
      flag(what, member.voter);
    }
  }
  void capabilities(const char* what,
                    const std::vector<std::pair<std::string, std::string>>& v) {
    out_.pack_map(static_cast<uint32_t>(v.size()));
    for (const auto& [name, value] : v) {
      text(what, name);
      text(what, value);
    }
  }
  void begin(uint32_t fields) { out_.pack_array(fields); }

 private:
  Packer out_;
};

}  // namespace raftcs::wire
