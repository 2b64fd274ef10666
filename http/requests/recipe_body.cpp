#include "http/requests/recipe_body.hpp"

#include "events/json_schema.hpp"

#include <algorithm>
#include <filesystem>

namespace runledger::http {

namespace {

std::vector<place_part> below_recipe(const std::vector<std::string>& path) {
  std::vector<place_part> out{std::string{"recipe"}};
  out.insert(out.end(), path.begin(), path.end());
  return out;
}

void check_permissions(body_reader& in, const recipe& r, const recipe_rules& rules) {
  if (r.queue.empty() && r.sandbox == "none" && !rules.sandbox_allow_none)
    in.complain_at(below_recipe({"harness", "sandbox"}),
                   "This server does not permit harnesses without a sandbox.", "not_permitted");
  std::uint64_t at = 0;
  for (const auto& m : r.mounts) {
    if (!is_below(m.source, rules.mount_roots)) {
      auto loc = below_recipe({"harness", "mounts"});
      loc.emplace_back(at);
      loc.emplace_back(std::string{"source"});
      in.complain_at(std::move(loc), "This folder is not below one of sandbox.mount_roots.",
                     "not_permitted");
    }
    ++at;
  }
}

} // namespace

bool is_below(const std::string& path, const std::vector<std::string>& roots) {
  namespace fs = std::filesystem;
  const auto wanted = fs::path{path}.lexically_normal();
  return std::ranges::any_of(roots, [&](const std::string& root) {
    auto above = fs::path{root}.lexically_normal();
    if (!above.has_filename()) // `/srv/` has an empty last part.
      above = above.parent_path();
    const auto [end, rest] =
        std::mismatch(above.begin(), above.end(), wanted.begin(), wanted.end());
    return end == above.end();
  });
}

payload read_recipe(body_reader& in, const recipe_rules& rules) {
  const auto text = in.find("recipe");
  if (!text)
    return {};
  auto parsed = parse_recipe(*text, rules.defaults);
  if (parsed) {
    check_permissions(in, *parsed, rules);
  } else {
    for (auto& p : parsed.error())
      in.complain_at(below_recipe(p.path), std::move(p.message), std::move(p.type));
  }
  // Also where the rest is wrong: the caller hears of everything at once.
  if (const auto schema = text->find("state_schema"); schema && schema->is_object())
    for (auto& p : json_schema::check(*schema)) {
      auto loc = below_recipe({"state_schema"});
      for (auto& part : p.path)
        loc.emplace_back(std::move(part));
      in.complain_at(std::move(loc), std::move(p.message), std::move(p.type));
    }
  return payload{std::string{text->raw()}, std::nullopt};
}

} // namespace runledger::http
