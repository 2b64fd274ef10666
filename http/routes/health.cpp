#include "http/openapi.hpp"
#include "http/routes/handlers.hpp"
#include "http/routes/metrics.hpp"
#include "http/routes/reading.hpp"

namespace runledger::http::routes {

namespace {

/// Why the server takes no requests; empty: it does.
std::string_view not_ready_because(const route_context& c) {
  if (c.log.failed())
    return "the ledger is dead";
  switch (c.at.load()) {
    case stage::starting:
      return "the server is starting";
    case stage::draining:
      return "the server is about to end";
    case stage::serving:
      break;
  }
  if (c.keys_are_known && !c.keys_are_known())
    return "it is being found out which keys were revoked";
  if (!c.actors->recovered())
    return "unfinished work is being taken up";
  if (c.others == nullptr && c.actors->held().size() < c.log.partition_count())
    return "another server has taken the ledger";
  return {};
}

} // namespace

void livez(route_context&, const request&, reply r) {
  r.json(status::ok, R"({"status":"alive"})");
}

void readyz(route_context& c, const request&, reply r) {
  const auto why_not = not_ready_because(c);
  if (!why_not.empty())
    return r.problem(fault::not_ready, "Not ready: " + std::string{why_not} + '.');
  r.json(status::ok, R"({"status":"ready"})");
}

void metrics(route_context& c, const request&, reply r) {
  std::string out;
  append_metrics(out, c);
  r.text(status::ok, "text/plain; version=0.0.4; charset=utf-8", out);
}

void openapi(route_context&, const request&, reply r) {
  r.json(status::ok, openapi_text());
}

} // namespace runledger::http::routes
