#include "http/requests/create_agent.hpp"

#include "http/requests/slug.hpp"

namespace runledger::http {

result<create_agent_body, problem> read_create_agent(const json::value& object,
                                                     const recipe_rules& rules) {
  body_reader in{object};
  create_agent_body out;
  out.name = in.required_text("name", {1, 128});
  out.description = in.optional_text("description", {0, 4096}).value_or(std::string{});
  if (auto slug = in.optional_text("slug", {1, 64})) {
    if (is_slug(*slug))
      out.slug = *slug;
    else
      in.complain("slug", "A slug has the characters a-z, 0-9 and `-`, the latter not at an end.",
                  "bad_slug");
  } else {
    out.slug = slug_from_name(out.name);
  }
  if (in.find("recipe"))
    out.recipe = read_recipe(in, rules);
  if (!in.ok())
    return std::move(in).refusal();
  return out;
}

} // namespace runledger::http
