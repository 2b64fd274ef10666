#pragma once

#include "http/requests/recipe_body.hpp"

namespace runledger::http {

/// Body of `POST /agents`.
struct create_agent_body {
  std::string name, slug, description; ///< slug: the caller's, or made from the name.
  payload recipe;                      ///< Checked; empty: none.
};
result<create_agent_body, problem> read_create_agent(const json::value& object,
                                                     const recipe_rules& rules);

} // namespace runledger::http
