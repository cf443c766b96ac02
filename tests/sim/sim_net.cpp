// sim_net.cpp: frames on their way between nodes, and between clients and nodes.
#include <algorithm>
#include <cstring>

#include "sim/sim_world.hpp"

namespace raftcs::sim {

void Cluster::send_peer(SimNode& from, NodeId to, const Bytes& frame) {
  trace(frame.size(), from.id.value << 8 | to.value);
  if (cut(from.id, to)) return;
  if (faulty_ && faults_.chance(p_.loss)) return;
  int copies = faulty_ && faults_.chance(p_.duplicate) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    Mono when = now_ + delay(p_.delay_mean_ns);
    if (p_.reorder && faulty_ && faults_.chance(0.02))
      when = when + static_cast<DurationNs>(faults_.below(400)) * kNsPerMs;
    if (!p_.reorder) {
      Mono& last = peer_fifo_[{from.id.value, to.value}];
      when = last = std::max(when, last);
    }
    SimNode& target = node(to);
    uint64_t life = target.life;
    at(when, [this, &target, frame, life] {
      // A frame sent to an earlier process of that node went into a connection that is gone.
      with_node(target, life, [this, &target, frame] {
        target.node->peer_frame(frame, target.clock.local(now_));
      });
    });
  }
}

void Cluster::send_client(SimNode& from, net::ConnId conn, const Bytes& frame) {
  auto it = link_of_conn_.find(conn);
  if (it == link_of_conn_.end()) return;
  uint64_t key = it->second;
  Link& link = links_[key];
  trace(frame.size(), 0xc1000 | from.id.value);
  if (!link.alive) {
    from.node->client_gone(conn);
    return;
  }
  link.last_to_client = std::max(link.last_to_client, now_ + delay(p_.delay_mean_ns));
  at(link.last_to_client, [this, key, frame] {
    Link& l = links_[key];
    if (!l.alive) return;
    clients_[l.client].engine->receive(static_cast<client::LinkId>(key), frame, now_);
    drive_client(l.client);
  });
}

void Cluster::open_link(uint32_t c, client::LinkId id, const std::string& endpoint) {
  uint64_t key = static_cast<uint64_t>(c) << 32 | id;
  Link link;
  link.client = c;
  for (auto& n : nodes_)
    if (address_of(n->id.value) == endpoint) link.node = n->id;
  if (!link.node) return fail("a client goes to an unknown endpoint " + endpoint);
  SimNode& n = node(link.node);
  link.life = n.life;
  link.conn = ++next_conn_;
  link.last_to_client = link.last_to_server = now_;
  links_[key] = link;
  link_of_conn_[link.conn] = key;
  ++report_.reconnects;
  if (!n.up) kill_link(key, delay(p_.delay_mean_ns));
}

void Cluster::send_server(client::LinkId id, uint32_t c, const Bytes& frame) {
  uint64_t key = static_cast<uint64_t>(c) << 32 | id;
  Link& link = links_[key];
  if (!link.alive) return;
  link.last_to_server = std::max(link.last_to_server, now_ + delay(p_.delay_mean_ns));
  at(link.last_to_server, [this, key, frame] {
    Link& l = links_[key];
    SimNode& n = node(l.node);
    if (!l.alive || n.life != l.life) return;
    net::ConnId conn = l.conn;
    with_node(n, l.life,
              [this, &n, conn, frame] { n.node->client_frame(conn, frame, n.clock.local(now_)); });
  });
}

// notice_after < 0: the client closed it itself and needs no notice.
void Cluster::kill_link(uint64_t key, DurationNs notice_after) {
  Link& link = links_[key];
  if (!link.alive) return;
  link.alive = false;
  if (notice_after < 0) return;
  uint32_t c = link.client;
  after(notice_after, [this, key, c] {
    clients_[c].engine->link_down(static_cast<client::LinkId>(key), now_);
    drive_client(c);
  });
}

}  // namespace raftcs::sim
