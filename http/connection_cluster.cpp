#include "http/connection.hpp"
#include "http/requests/preferences.hpp"

// What a connection does where its server is one of several nodes.
namespace runledger::http {

/// The other node has recognised who asks, in a request that is answered under its id.
void connection::believe_node() {
  from_node_ = true;
  if (const auto id = request_.header(request_id_header); id && is_request_id(*id))
    request_id_.assign(*id);
  request_.id_ = request_id_;
  client_name_.assign(request_.header(client_header).value_or(peer_name_));
  request_.client_ = client_name_;
}

/// It has a node's authorization, but not this cluster's. The client's key may well be good.
bool connection::is_strange_node() {
  constexpr std::chrono::seconds say_again{60};
  if (edge_.relay == nullptr || !cluster_trust::claims_to_be_node(head_.authorization))
    return false;
  if (edge_.complain && steady::now() >= edge_.stranger_silence) {
    edge_.stranger_silence = steady::now() + say_again;
    edge_.complain("a node at " + peer_name_
                   + " has another cluster secret than this one, and is believed nothing: "
                     "kafka.cluster_secret_file must have the same text on all nodes");
  }
  return true;
}

std::optional<http::problem> connection::check_access() {
  if (route_->who != access::keyed)
    return {};
  if (from_node_) {
    auto who = read_principal(request_.header(principal_header).value_or(""));
    if (!who)
      return http::problem::of(fault::unauthorized, "The node does not say who asks.");
    request_.caller_ = std::make_shared<const principal>(std::move(*who));
  } else if (is_strange_node()) {
    return http::problem::of(fault::not_ready,
                             "The node that passed this on has another cluster secret than this "
                             "one: `kafka.cluster_secret_file` must be the same on all.");
  } else {
    auto who = edge_.who.authenticate(head_.authorization, head_.api_key);
    if (!who)
      return http::problem::of(who.error().why, std::move(who.error().detail));
    request_.caller_ = std::move(*who);
    const bool writes = is_write(request_.method_) || route_->needs == scope::worker;
    if (writes && !edge_.who.takes_writes())
      return http::problem::of(fault::ledger_unavailable,
                               "Without a broker nobody can tell which keys were revoked.");
  }
  if (!allows(request_.caller_->scopes, route_->needs))
    return http::problem::of(fault::forbidden);
  return {};
}

/// A worker's requests belong to the node that it is attached to; blobs are every node's.
bool connection::may_be_passed_on() const {
  return edge_.relay != nullptr && !from_node_ && is_write(request_.method_)
         && route_->who == access::keyed && route_->body != body_kind::bytes
         && route_->needs != scope::worker;
}

void connection::keep_request() {
  kept_ = std::make_unique<kept_request>();
  auto& kept = *kept_;
  kept.method = request_.method_;
  kept.target = request_.path_;
  if (!request_.raw_query_.empty())
    kept.target.append("?").append(request_.raw_query_);
  kept.body = request_.body_;
  edge_.body_bytes += kept.body.size();
  kept.charge =
      std::shared_ptr<const void>{nullptr, [counted = kept_edge_, size = kept.body.size()](
                                               const void*) { counted->body_bytes -= size; }};
  kept.caller = request_.caller_;
  kept.id = request_id_;
  kept.client = request_.client_;
  kept.patience = edge_.bounds.request_timeout;
  for (const auto& field : request_.fields_) {
    if (same_text(field.name, "Prefer"))
      if (const auto wait = read_wait(field.value))
        kept.patience = edge_.bounds.request_timeout + *wait;
    for (const auto* name : {"Content-Type", "Idempotency-Key", "Prefer", "Accept", "traceparent"})
      if (same_text(field.name, name))
        kept.fields.emplace_back(name, field.value);
  }
}

/// The request was refused because another node has to decide on it.
void connection::pass_on(std::uint32_t partition) {
  const auto kept = std::exchange(kept_, nullptr);
  extra_.clear();
  on_abandoned_ = nullptr;
  edge_.relay->forward(std::move(*kept), partition, reply{shared_from_this(), serial_});
}

} // namespace runledger::http
