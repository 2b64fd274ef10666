#include "http/requests/post_message.hpp"

#include <fmt/format.h>

namespace runledger::http {

result<payload, problem> read_post_message(const json::value& object) {
  body_reader in{object};
  payload out;
  std::string_view found;
  for (std::string_view name : {"message", "content", "prompt"}) {
    auto v = in.find(name);
    if (!v)
      continue;
    if (!found.empty()) {
      in.complain(name, fmt::format("`{}` says the same already.", found), "mutually_exclusive");
      continue;
    }
    found = name;
    if (!v->is_string())
      in.complain(name, "A string is expected.", "string_type");
    else if (v->string().empty())
      in.complain(name, "The text is empty.", "string_too_short");
    else
      out.json = v->raw();
  }
  if (found.empty())
    in.missing("message");
  if (!in.ok())
    return std::move(in).refusal();
  return out;
}

} // namespace runledger::http
