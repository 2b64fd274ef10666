#include "http/requests/create_key.hpp"

#include "events/catalog_entry.hpp"

namespace runledger::http {

result<create_key_body, problem> read_create_key(const json::value& object) {
  body_reader in{object};
  create_key_body out;
  out.name = in.required_text("name", {1, 128});
  const bool complete = in.ok();
  out.scopes = in.required_texts("scopes");
  if (out.scopes.empty() && in.ok() == complete)
    in.complain("scopes", "At least one scope is needed.", "too_short");
  for (std::uint64_t at = 0; const auto& name : out.scopes) {
    if (!key::scopes_from({name}))
      in.complain_at({std::string{"scopes"}, at},
                     "`read`, `write`, `budget`, `worker` or `admin` is possible.", "enum");
    ++at;
  }
  out.workspace = in.optional_text("workspace", {1, 64});
  out.expires_at = in.optional_time("expires_at");
  if (!in.ok())
    return std::move(in).refusal();
  return out;
}

} // namespace runledger::http
