// frame_in.cpp: the head and the tail of a frame.
#include "wire/frame_in.hpp"

namespace raftcs::wire {

bool refuse(DecodeError::Kind kind, const FrameHead& head, std::string text, DecodeError* error) {
  *error = DecodeError{kind, head.version, head.type, std::move(text)};
  return false;
}

bool read_frame_head(MsgpackIn& in, const Limits& limits, uint32_t magic, size_t frame_size,
                     FrameHead* head, DecodeError* error) {
  using Kind = DecodeError::Kind;
  if (frame_size > limits.frame_bytes_max)
    return refuse(Kind::malformed, *head, "the frame is larger than the limit", error);
  head->elements = in.read_array("frame");
  const uint64_t found = head->elements == 0 ? 0 : in.read_uint("magic", UINT64_MAX);
  if (in.failed() || found != magic)
    return refuse(Kind::foreign, *head, "the frame does not begin with this protocol's magic",
                  error);
  if (head->elements >= 2)
    head->version = static_cast<uint32_t>(in.read_uint("version", UINT32_MAX));
  if (head->elements >= 3) head->type = static_cast<uint32_t>(in.read_uint("type", UINT32_MAX));
  if (head->elements < 3) in.fail("frame", "lacks version or type");
  if (in.failed()) return refuse(Kind::malformed, *head, in.error_text(), error);
  return true;
}

bool read_frame_tail(MsgpackIn& in, uint32_t elements, uint32_t known) {
  if (elements < known) in.fail("frame", "lacks elements");
  for (uint32_t i = known; i < elements && !in.failed(); ++i) in.skip("frame");
  if (!in.failed() && !in.at_end()) in.fail("frame", "is followed by other bytes");
  return !in.failed();
}

}  // namespace raftcs::wire
