#include "http/requests/create_key.hpp"

#include "events/catalog_entry.hpp"

namespace runledger::http {

namespace {

std::vector<std::string> read_scopes(body_reader& in) {
  std::vector<std::string> out;
  const auto list = in.find("scopes");
  if (!list)
    in.missing("scopes");
  else if (!list->is_array())
    in.complain("scopes", "An array of strings is expected.", "array_type");
  else if (list->size() == 0)
    in.complain("scopes", "At least one scope is needed.", "too_short");
  else
    for (std::uint64_t at = 0; auto item : list->children()) {
      if (item.is_string() && key::scopes_from({std::string{item.string()}}))
        out.emplace_back(item.string());
      else
        in.complain_at({std::string{"scopes"}, at},
                       "`read`, `write`, `budget`, `worker` or `admin` is possible.", "enum");
      ++at;
    }
  return out;
}

} // namespace

result<create_key_body, problem> read_create_key(const json::value& object) {
  body_reader in{object};
  create_key_body out;
  out.name = in.required_text("name", {1, 128});
  out.scopes = read_scopes(in);
  out.workspace = in.optional_text("workspace", {1, 64});
  out.expires_at = in.optional_time("expires_at");
  if (!in.ok())
    return std::move(in).refusal();
  return out;
}

} // namespace runledger::http
