#pragma once

#include "actors/services.hpp"
#include "events/node.hpp"

namespace runledger {

/// Writes another node's key into its stream, whose partition (flat) is held here, unless the
/// ledger knows it as that node's newest.
void register_node(caf::actor_system& sys, const services_ptr& s, std::uint32_t partition,
                   const peer_command& command, answer<peer_done> to);

/// Sees to it, once, that the ledger learns this node's key where another process holds its stream,
/// or will. Without it no tree heads are signed here.
void ask_for_registration(services& s);

} // namespace runledger
