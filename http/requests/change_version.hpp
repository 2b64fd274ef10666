#pragma once

#include "http/requests/recipe_body.hpp"

#include <variant>

namespace runledger::http {

/// Body of `POST /agents/{a}/versions`: the checked recipe.
result<payload, problem> read_create_version(const json::value& object, const recipe_rules& rules);

/// Body of `PATCH /agents/{a}/versions/{n}`: a new status, or a new recipe for a draft.
struct activate_body {};
struct archive_body {};
struct recipe_change {
  payload recipe;
};
using change_version_body = std::variant<activate_body, archive_body, recipe_change>;
result<change_version_body, problem> read_change_version(const json::value& object,
                                                         const recipe_rules& rules);

} // namespace runledger::http
