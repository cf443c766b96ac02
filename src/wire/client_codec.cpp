// client_codec.cpp: frames from clients. A server decodes them and trusts nothing.
#include "wire/client_fields.hpp"
#include "wire/frame_in.hpp"

namespace raftcs::wire {

bool decode_client_frame(const Bytes& frame, const Limits& limits, ClientSink* out,
                         DecodeError* error) {
  return decode_frame(frame, limits, out, error);
}

// [array of 4.., magic as uint32, version, type, ...], each number in one byte but the magic.
uint32_t peek_client_type(const Bytes& frame) {
  constexpr size_t kVersionAt = 6, kTypeAt = 7;
  constexpr uint8_t kArrayMin = 0x94, kArrayMax = 0x9f, kUint32 = 0xce, kOneByteMax = 0x7f;
  if (frame.size() <= kTypeAt) return 0;
  const uint8_t* b = frame.data();
  const uint32_t magic = static_cast<uint32_t>(b[2]) << 24 | static_cast<uint32_t>(b[3]) << 16 |
                         static_cast<uint32_t>(b[4]) << 8 | b[5];
  const bool shortest = b[0] >= kArrayMin && b[0] <= kArrayMax && b[1] == kUint32 &&
                        magic == kMagic && b[kVersionAt] <= kOneByteMax &&
                        b[kTypeAt] <= kOneByteMax;
  return shortest ? b[kTypeAt] : 0;
}

}  // namespace raftcs::wire
