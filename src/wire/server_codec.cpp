// server_codec.cpp: frames from servers. A client decodes them and trusts nothing either:
// what it connects to is only an address from a configuration.
#include "wire/server_fields.hpp"
#include "wire/frame_in.hpp"

namespace raftcs::wire {

bool decode_server_frame(const Bytes& frame, const Limits& limits, ServerSink* out,
                         DecodeError* error) {
  return decode_frame(frame, limits, out, error);
}

}  // namespace raftcs::wire
