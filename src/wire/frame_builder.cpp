// frame_builder.cpp: gathers messages into frames, one type per frame.
//
// The head needs the number of messages, which is known last. So room for the longest head
// is left at the front and the head is written right before the first message when the
// frame is finished: every number has its shortest form and nothing is moved.
//
// What must hold: a frame of the builder is accepted by decode with default Limits, provided
// each message is: at most items_max messages, and at most the soft size plus one message.
#include <algorithm>

#include "wire/field_io.hpp"
#include "wire/server_fields.hpp"

namespace raftcs::wire {
namespace {

constexpr size_t kHeadRoom = 16;  // array 1, magic 5, version 1, type 1, items at most 5
constexpr size_t kCapacityMin = 256;
constexpr uint8_t kFrameVersion = 1;
static_assert(kVersionMin == 1 && kVersionMax == 1,
              "the builder must be told which version to write");

// The bytes of a message that can be many; the rest is small.
template <class M>
size_t bulk_size(const M& m) {
  if constexpr (requires { m.payload; }) return m.payload.size();
  if constexpr (requires { m.result; }) return m.result.size();
  if constexpr (requires { m.json; }) return m.json.size();
  if constexpr (requires { m.args; }) return m.args.size();
  return 0;
}

}  // namespace

struct FrameBuilder::Impl {
  explicit Impl(size_t soft_max) : soft_max_(soft_max) {}

  void begin(MessageType type, size_t bulk) {
    if (count_ != 0 && (type != type_ || count_ == Limits{}.items_max ||
                        buffer_.size() + bulk > soft_max_))
      finish();
    if (count_ == 0) {
      type_ = type;
      buffer_.start(std::max({kCapacityMin, last_size_, kHeadRoom + bulk + 64}), kHeadRoom);
    }
    ++count_;
  }

  template <class M>
  void add(const M& message) {
    begin(Fields<M>::kType, bulk_size(message));
    FieldWriter writer(buffer_);
    writer.begin(Fields<M>::kCount);
    Fields<M>::walk(writer, message);
    if (buffer_.size() >= soft_max_) finish();
  }

  void finish() {
    OutBuffer head;
    head.start(kHeadRoom, 0);
    Packer packer(head);
    packer.pack_array(4);
    packer.pack_uint32(kMagic);
    packer.pack_uint8(kFrameVersion);
    packer.pack_uint8(static_cast<uint8_t>(type_));
    packer.pack_array(count_);
    const size_t offset = kHeadRoom - head.size();
    std::memcpy(buffer_.data() + offset, head.data(), head.size());
    last_size_ = std::min(buffer_.size() + buffer_.size() / 4, soft_max_);
    done_.push_back(buffer_.take(offset));
    count_ = 0;
  }

  size_t soft_max_;
  size_t last_size_ = 0;
  MessageType type_ = MessageType::hello;
  uint32_t count_ = 0;
  OutBuffer buffer_;
  std::vector<Bytes> done_;
};

namespace {

// The fields of a message whose texts and payload are the caller's.
struct RequestParts {
  Channel channel;
  RequestId id;
  RequestId lowest_pending;
  std::string_view service;
  std::string_view payload;
};
struct ResponseParts {
  Channel channel;
  RequestId id;
  int32_t app_code;
  std::string_view result;
  Index index;
};

std::string_view view_of(const void* data, size_t size) {
  return size == 0 ? std::string_view{} : std::string_view(static_cast<const char*>(data), size);
}

}  // namespace

template <>
struct Fields<RequestParts> : Fields<Request> {};
template <>
struct Fields<ResponseParts> : Fields<Response> {};

FrameBuilder::FrameBuilder(size_t frame_bytes_soft_max)
    : impl_(std::make_unique<Impl>(frame_bytes_soft_max)) {}
FrameBuilder::~FrameBuilder() = default;
FrameBuilder::FrameBuilder(FrameBuilder&&) noexcept = default;
FrameBuilder& FrameBuilder::operator=(FrameBuilder&&) noexcept = default;

void FrameBuilder::add(const ClientMessage& message) {
  std::visit([this](const auto& m) { impl_->add(m); }, message);
}

void FrameBuilder::add(const ServerMessage& message) {
  std::visit([this](const auto& m) { impl_->add(m); }, message);
}

void FrameBuilder::add_request(Channel channel, RequestId id, RequestId lowest_pending,
                               std::string_view service, const void* payload, size_t size) {
  impl_->add(RequestParts{channel, id, lowest_pending, service, view_of(payload, size)});
}

void FrameBuilder::add_response(Channel channel, RequestId id, int32_t app_code,
                                const void* result, size_t size, Index index) {
  impl_->add(ResponseParts{channel, id, app_code, view_of(result, size), index});
}

bool FrameBuilder::empty() const { return impl_->count_ == 0 && impl_->done_.empty(); }

std::vector<Bytes> FrameBuilder::take() {
  if (impl_->count_ != 0) impl_->finish();
  return std::exchange(impl_->done_, {});
}

}  // namespace raftcs::wire
