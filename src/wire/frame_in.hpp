// frame_in.hpp: what decoding has in common for frames of clients, servers and peers.
//
// Every frame of every version begins with an array whose first three elements are magic,
// version and type, so that whoever receives it can say what it did not understand. The
// checks go in that order: magic (foreign), version, type (unknown_type), and only then
// the rest (malformed).
#pragma once

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "wire/client_fields.hpp"
#include "wire/field_io.hpp"

namespace raftcs::wire {

struct FrameHead {
  uint32_t version = 0;
  uint32_t type = 0;
  uint32_t elements = 0;  // of the frame's array, with the three of the head
};

// Reads the head; false fills *error (foreign or malformed). `version` is not judged.
bool read_frame_head(MsgpackIn& in, const Limits& limits, uint32_t magic, size_t frame_size,
                     FrameHead* head, DecodeError* error);

// Fills *error and gives back false, for `return refuse(...)`.
bool refuse(DecodeError::Kind kind, const FrameHead& head, std::string text, DecodeError* error);

// Skips what a later version may have put after the `known` elements; then the frame must end.
bool read_frame_tail(MsgpackIn& in, uint32_t elements, uint32_t known);

// The layout of these three never changes but for fields at the end, and they always travel
// as version 1: they are how two versions find out about each other.
constexpr bool is_version_free(uint32_t type) {
  return type == static_cast<uint32_t>(MessageType::hello) ||
         type == static_cast<uint32_t>(MessageType::welcome) ||
         type == static_cast<uint32_t>(MessageType::unsupported);
}

template <class M, class Variant>
void read_items(MsgpackIn& in, const Limits& limits, std::vector<Variant>* out) {
  const uint32_t count = in.read_array("items");
  if (count == 0) return in.fail("items", "is empty");
  if (count > limits.items_max) return in.fail("items", "has more elements than the limit");
  if (out->capacity() - out->size() < count)
    out->reserve(std::max(out->size() + count, out->capacity() * 2));
  FieldReader reader(in, limits);
  for (uint32_t i = 0; i < count && !in.failed(); ++i) {
    M& message = *std::get_if<M>(&out->emplace_back(std::in_place_type<M>));
    const uint32_t fields = reader.begin(Fields<M>::kName, Fields<M>::kCount);
    Fields<M>::walk(reader, message);
    reader.end(Fields<M>::kName, fields, Fields<M>::kCount);
  }
}

// Finds the alternative of this type; false: none has it.
template <class... Ms>
bool read_items_of_type(uint32_t type, MsgpackIn& in, const Limits& limits,
                        std::vector<std::variant<Ms...>>* out) {
  return ((type == static_cast<uint32_t>(Fields<Ms>::kType)
               ? (read_items<Ms>(in, limits, out), true)
               : false) ||
          ...);
}

template <class Variant>
bool decode_frame(const Bytes& frame, const Limits& limits, std::vector<Variant>* out,
                  DecodeError* error) {
  MsgpackIn in(frame);
  FrameHead head;
  if (!read_frame_head(in, limits, kMagic, frame.size(), &head, error)) return false;
  const bool in_range = head.version >= kVersionMin && head.version <= kVersionMax;
  if (!in_range && !(head.version == 1 && is_version_free(head.type)))
    return refuse(DecodeError::Kind::version, head, "the frame's version is not spoken here",
                  error);
  const size_t size_before = out->size();
  if (!read_items_of_type(head.type, in, limits, out))
    return refuse(DecodeError::Kind::unknown_type, head,
                  "messages of type " + std::to_string(head.type) + " are not known here", error);
  if (read_frame_tail(in, head.elements, 4)) return true;
  out->erase(out->begin() + static_cast<std::ptrdiff_t>(size_before), out->end());
  return refuse(DecodeError::Kind::malformed, head, in.error_text(), error);
}

}  // namespace raftcs::wire
