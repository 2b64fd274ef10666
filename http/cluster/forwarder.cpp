#include "http/cluster/forwarder.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>
#include <memory>
#include <string_view>

namespace runledger::http {

namespace {

/// The edge's deadline for the client stands behind that of the other node's answer.
constexpr std::chrono::seconds answer_slack{5};

/// What the edge writes itself, or what concerns one connection only.
bool is_relayed(std::string_view field) {
  constexpr std::string_view own[] = {
      "Server",           "Date",       "Content-Length",       "Content-Type",
      "Connection",       "Keep-Alive", "Runledger-Request-Id", "X-Content-Type-Options",
      "Transfer-Encoding"};
  return std::ranges::none_of(own, [&](std::string_view each) { return same_text(each, field); });
}

/// The other node is not the holder any more.
bool lost_it_too(const node_answer& got) {
  return got.status == static_cast<unsigned>(status::unavailable)
         && got.body.find(R"("code":"not_owner")") != std::string::npos;
}

void relay_answer(const node_answer& got, reply to) {
  for (const auto& [name, value] : got.fields)
    if (is_relayed(name))
      to.header(name, value);
  const auto code = static_cast<status>(got.status);
  if (code == status::no_content)
    to.empty(code);
  else
    to.text(code, got.field("Content-Type"), got.body);
}

} // namespace

problem nobody_there(std::string detail) {
  auto made = problem::of(fault::not_ready, std::move(detail));
  made.code = "not_owner";
  return made;
}

void forwarder::forward(kept_request what, std::uint32_t partition, reply to) {
  auto holder = members_.address_of(partition);
  if (!holder || *holder == members_.own_address()) {
    members_.suspect();
    ++figures_.nobody;
    return to.problem(nobody_there(
        !holder && members_.has_stranger(partition)
            ? "This part of the ledger went to a server that does not prove the cluster's secret "
              "(`kafka.cluster_secret_file` must be the same on all); nothing was changed."
            : "No server has this part of the ledger now; nothing was changed."));
  }
  node_request ask;
  ask.address = std::move(*holder);
  ask.method = what.method;
  ask.target = std::move(what.target);
  ask.fields = std::move(what.fields);
  ask.body = std::move(what.body);
  ask.patience = what.patience;
  ask.for_client = true;
  if (what.caller)
    ask.fields.emplace_back(principal_header, principal_field(*what.caller));
  ask.fields.emplace_back(request_id_header, what.id);
  ask.fields.emplace_back(client_header, what.client);
  to.extend_deadline(what.patience + answer_slack);
  auto kept = std::make_shared<reply>(std::move(to));
  auto give_up = client_.send(std::move(ask), [this, kept, charge = what.charge](
                                                  const result<node_answer, node_trouble>& got) {
    if (!got || lost_it_too(*got))
      members_.suspect();
    ++(got                                        ? figures_.answered
       : got.error() == node_trouble::unreachable ? figures_.unreachable
                                                  : figures_.lost);
    if (got)
      relay_answer(*got, std::move(*kept));
    else if (got.error() == node_trouble::unreachable)
      kept->problem(nobody_there("The server that has this part of the ledger cannot be "
                                 "reached; nothing was changed."));
    else
      kept->problem(fault::outcome_unknown,
                    "The server that has this part of the ledger went away; the same "
                    "Idempotency-Key finds out.");
  });
  kept->on_abandoned([kept = std::weak_ptr{kept}, give_up = std::move(give_up)] {
    give_up();
    if (auto to_nobody = kept.lock())
      to_nobody->empty();
  });
}

void forwarder::append_metrics(std::string& out) const {
  out += "# HELP runledger_forwarded_requests_total Requests that another node had to answer.\n"
         "# TYPE runledger_forwarded_requests_total counter\n";
  const std::pair<std::string_view, std::uint64_t> ends[] = {{"answered", figures_.answered},
                                                             {"nobody", figures_.nobody},
                                                             {"unreachable", figures_.unreachable},
                                                             {"lost", figures_.lost}};
  for (const auto& [end, count] : ends)
    fmt::format_to(std::back_inserter(out), "runledger_forwarded_requests_total{{end=\"{}\"}} {}\n",
                   end, count);
}

} // namespace runledger::http
