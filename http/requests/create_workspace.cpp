#include "http/requests/create_workspace.hpp"

#include "events/partition.hpp"

#include <algorithm>

namespace runledger::http {

namespace {

bool in_ids(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// Ids stand in paths, in stream names and in file names.
bool is_workspace_id(std::string_view text) {
  return in_ids(text.front())
         && std::ranges::all_of(text, [](char c) { return in_ids(c) || c == '-' || c == '_'; });
}

} // namespace

result<create_workspace_body, problem> read_create_workspace(const json::value& object) {
  body_reader in{object};
  create_workspace_body out;
  out.name = in.required_text("name", {1, 128});
  if (auto id = in.optional_text("id", {1, 64})) {
    if (*id == system_workspace)
      in.complain("id", "This id belongs to the server.", "reserved");
    else if (is_workspace_id(*id))
      out.id = std::move(*id);
    else
      in.complain("id", "An id has the characters a-z, A-Z, 0-9, `-` and `_`.", "bad_id");
  }
  if (!in.ok())
    return std::move(in).refusal();
  return out;
}

} // namespace runledger::http
