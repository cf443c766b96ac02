// engine.cpp: stands in for the client engine until that is there; nothing is ever reached.
#include "client/engine.hpp"

namespace raftcs::client {
struct Engine::Impl {};
Engine::Engine(const std::array<uint64_t, 4>&) {}
Engine::~Engine() = default;
SessionHandle Engine::add(const SessionOptions&) { return 1; }
void Engine::open(SessionHandle, Mono) {}
Status Engine::resume(SessionHandle, const Bytes&, Mono) { return {RAFTCS_ERR_UNSUPPORTED, ""}; }
void Engine::submit(Call, Mono) {}
void Engine::query(Call, Mono) {}
void Engine::admin(Call, const std::string&, Mono) {}
bool Engine::cancel(SessionHandle, uint64_t, Mono) { return false; }
void Engine::ack(SessionHandle, PushId, Mono) {}
void Engine::close(SessionHandle, bool, Mono) {}
SessionInfo Engine::info(SessionHandle) const { return {}; }
Result<Bytes> Engine::export_session(SessionHandle) const { return {RAFTCS_ERR_UNSUPPORTED, ""}; }
void Engine::receive(LinkId, const Bytes&, Mono) {}
void Engine::link_down(LinkId, Mono) {}
void Engine::tick(Mono) {}
Mono Engine::next_deadline() const { return Mono::never(); }
Effects Engine::take_effects(Mono) { return {}; }
uint64_t Engine::malformed_frames() const { return 0; }
}  // namespace raftcs::client
