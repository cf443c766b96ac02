// client_codec.cpp: frames from clients. A server decodes them and trusts nothing.
#include "wire/client_fields.hpp"
#include "wire/frame_in.hpp"

namespace raftcs::wire {

bool decode_client_frame(const Bytes& frame, const Limits& limits, ClientSink* out,
                         DecodeError* error) {
  return decode_frame(frame, limits, out, error);
}

}  // namespace raftcs::wire
