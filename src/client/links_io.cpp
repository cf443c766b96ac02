// links_io.cpp: frames in, and links that come and go.
//
// A message counts for a session only if the session is on that very link and channel now;
// anything else is an echo of an earlier binding and is dropped (W-C9). A frame that cannot
// be read is counted and costs the link, never the session (CLI-16): what else was in it is
// unknown, and asking again on a fresh link is the one way to be sure of every answer.
#include "client/core.hpp"

namespace raftcs::client {

Session* Core::session_on(Link& link, wire::Channel channel) {
  const SessionHandle h = link.session_of(channel);
  if (h == Link::kFree || h == Link::kAbandoned || !has(h)) return nullptr;
  Session& s = session(h);
  return s.link == &link && s.channel == channel ? &s : nullptr;
}

void Core::receive(LinkId id, const Bytes& frame, Mono now) {
  Link* link = links_.find(id);
  if (link == nullptr) return;
  wire::DecodeError error;
  wire::ServerSink inbox = std::move(inbox_);
  inbox.clear();
  if (!wire::decode_server_frame(frame, limits_, &inbox, &error)) {
    inbox_ = std::move(inbox);
    if (error.kind == wire::DecodeError::Kind::unknown_type) return;  // a newer server's
    ++malformed;
    drop_link(id, true, now);
    return;
  }
  link->heard = now;
  link->probed = false;
  for (wire::ServerMessage& m : inbox) dispatch(*link, m, now);
  inbox.clear();
  inbox_ = std::move(inbox);
}

void Core::dispatch(Link& link, wire::ServerMessage& message, Mono now) {
  if (auto* m = std::get_if<wire::Response>(&message)) {
    if (Session* s = session_on(link, m->channel)) on_response(*s, *m, now);
  } else if (auto* w = std::get_if<wire::Welcome>(&message)) {
    on_welcome(link, *w, now);
  } else if (!link.ready) {
    return;  // nothing was asked yet
  } else if (auto* e = std::get_if<wire::RequestError>(&message)) {
    if (Session* s = session_on(link, e->channel)) on_request_error(*s, *e, now);
  } else if (auto* q = std::get_if<wire::QueryResponse>(&message)) {
    on_query_response(link, *q, now);
  } else if (auto* p = std::get_if<wire::Push>(&message)) {
    if (Session* s = session_on(link, p->channel)) on_push(*s, *p);
  } else if (auto* g = std::get_if<wire::PushReset>(&message)) {
    if (Session* s = session_on(link, g->channel)) on_push_reset(*s, *g);
  } else if (auto* k = std::get_if<wire::KeepAliveReply>(&message)) {
    if (Session* s = session_on(link, k->channel)) on_keep_alive_reply(*s, *k, now);
  } else if (auto* c = std::get_if<wire::SessionCreated>(&message)) {
    if (Session* s = session_on(link, c->channel)) on_created(*s, *c, now);
  } else if (auto* d = std::get_if<wire::SessionContinued>(&message)) {
    if (Session* s = session_on(link, d->channel)) on_continued(*s, *d, now);
  } else if (auto* r = std::get_if<wire::SessionRejected>(&message)) {
    if (Session* s = session_on(link, r->channel)) {
      on_rejected(*s, *r, now);
    } else if (link.session_of(r->channel) == Link::kAbandoned) {
      link.release(r->channel, now);
    }
  } else if (auto* x = std::get_if<wire::SessionClosed>(&message)) {
    if (Session* s = session_on(link, x->channel)) {
      on_closed(*s, *x, now);
    } else if (link.session_of(x->channel) == Link::kAbandoned) {
      link.release(x->channel, now);
    }
  } else if (auto* t = std::get_if<wire::Topology>(&message)) {
    if (link.cluster->learn(t->leader, t->members)) topology_dirty_ = true;
  } else if (auto* a = std::get_if<wire::AdminReply>(&message)) {
    on_admin_reply(link, *a, now);
  } else if (auto* u = std::get_if<wire::Unsupported>(&message)) {
    on_unsupported(link, *u);
  }
}

void Core::on_welcome(Link& link, wire::Welcome& m, Mono now) {
  if (link.ready) return;
  answered(link);
  link.ready = true;
  link.welcome = std::move(m);
  link.usable =
      link.welcome.version >= wire::kVersionMin && link.welcome.version <= wire::kVersionMax;
  link.cluster = directory_.of(link.welcome.cluster);
  if (link.cluster->learn(link.welcome.leader, link.welcome.members)) topology_dirty_ = true;
  for (size_t i = 0; i < link.channels.size(); ++i) {
    Session* s = session_on(link, static_cast<wire::Channel>(i + 1));
    if (s != nullptr && s->phase == Phase::linking) ask(*s, now);
  }
  const std::vector<uint64_t> admins = link.admins;  // sending may change the list
  for (uint64_t correlation : admins) {
    const uint32_t slot = calls_.find(correlation);
    if (slot == 0 || calls_.at(slot).link != link.id) continue;
    if (calls_.at(slot).stage == PendingCall::Stage::linking) send_admin(slot, now);
  }
}

// The link is gone: by the transport's word, or because we declare it dead or unused.
void Core::drop_link(LinkId id, bool tell_transport, Mono now) {
  const std::unique_ptr<Link> link = links_.remove(id);
  if (link == nullptr) return;
  if (tell_transport) {
    for (Bytes& frame : link->frames.take()) effects_.send.push_back({id, std::move(frame)});
    effects_.close.push_back(id);
  }
  if (link->cluster != nullptr && link->users > 0) link->cluster->doubt(link->welcome.node);
  for (size_t i = 0; i < link->channels.size(); ++i) {
    Session* s = session_on(*link, static_cast<wire::Channel>(i + 1));
    if (s == nullptr) continue;
    if (s->bound()) {
      note_trouble(*s, RAFTCS_ERR_UNREACHABLE, "the connection to " + link->endpoint + " is lost");
      leave(*s, {}, Fate::abandoned, now);
    } else {
      no_answer(*s);
      detach(*s, Fate::abandoned, now);
      retry(*s, {}, 0, now);
    }
  }
  for (uint64_t correlation : std::vector<uint64_t>(link->admins)) {
    const uint32_t slot = calls_.find(correlation);
    if (slot != 0 && calls_.at(slot).link == id) admin_link_lost(slot, now);
  }
}

}  // namespace raftcs::client
