#pragma once

#include "events/recipe.hpp"
#include "http/requests/body.hpp"

#include <string>
#include <vector>

namespace runledger::http {

/// What this server permits beyond what a recipe can say.
struct recipe_rules {
  recipe defaults; ///< For what a recipe leaves out.
  bool sandbox_allow_none = false;
  std::vector<std::string> mount_roots; ///< Absolute.
};

/// Whether `path` is one of the roots or below one, judged by its text: links are resolved and
/// judged again when a harness starts.
bool is_below(const std::string& path, const std::vector<std::string>& roots);

/// Reads the member `recipe`, which is present, and complains of all that is wrong with it: its
/// form, its state_schema, mounts outside of the roots, a sandbox that is not permitted. The text
/// comes back verbatim.
payload read_recipe(body_reader& in, const recipe_rules& rules);

} // namespace runledger::http
