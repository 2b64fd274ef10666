#include "http/requests/change_version.hpp"

namespace runledger::http {

result<payload, problem> read_create_version(const json::value& object, const recipe_rules& rules) {
  body_reader in{object};
  payload recipe;
  if (in.find("recipe"))
    recipe = read_recipe(in, rules);
  else
    in.missing("recipe");
  if (!in.ok())
    return std::move(in).refusal();
  return recipe;
}

result<change_version_body, problem> read_change_version(const json::value& object,
                                                         const recipe_rules& rules) {
  body_reader in{object};
  change_version_body out;
  const bool has_status = in.find("status").has_value(), has_recipe = in.find("recipe").has_value();
  if (has_status && has_recipe)
    in.complain_at({}, "`status` and `recipe` are changed one at a time.", "mutually_exclusive");
  else if (has_recipe)
    out = recipe_change{read_recipe(in, rules)};
  else if (!has_status)
    in.complain_at({}, "Either `status` or `recipe` is required.", "missing");
  else if (auto status = in.optional_text("status", {0, 64})) {
    if (*status == "active")
      out = activate_body{};
    else if (*status == "archived")
      out = archive_body{};
    else
      in.complain("status", "`active` or `archived` is possible.", "enum");
  }
  if (!in.ok())
    return std::move(in).refusal();
  return out;
}

} // namespace runledger::http
