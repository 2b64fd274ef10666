#include "http/routes/writing.hpp"

#include "http/requests/idempotency.hpp"

namespace runledger::http {

namespace {

/// `00-<32 hex>-<16 hex>-<2 hex>` (W3C Trace Context); anything else is not kept.
bool is_traceparent(std::string_view text) {
  if (text.size() != 55 || !text.starts_with("00-"))
    return false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool dash = at == 2 || at == 35 || at == 52;
    const char c = text[at];
    if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
      return false;
  }
  return true;
}

} // namespace

result<request_context, problem> context_of(const request& rq, const json::value* body) {
  request_context out;
  if (const auto& who = rq.caller()) {
    out.workspace.value = who->workspace;
    out.principal = who->key_id;
  }
  out.correlation_id = rq.id();
  if (auto parent = rq.header("traceparent"); parent && is_traceparent(*parent))
    out.traceparent = *parent;
  if (auto field = rq.header("Idempotency-Key")) {
    auto key = read_idempotency_key(*field);
    if (!key)
      return key.error();
    out.idempotency_key = std::move(*key);
    out.fingerprint = body != nullptr ? fingerprint_of(*body) : fingerprint_of_nothing();
  }
  return out;
}

void mark_replayed(reply& r, bool replayed) {
  if (replayed)
    r.header("Idempotent-Replayed", "true");
}

} // namespace runledger::http
