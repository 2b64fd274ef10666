#include "http/authenticator.hpp"

namespace runledger::http {

std::string_view presented_key(std::string_view authorization, std::string_view api_key) {
  std::string_view bearer;
  if (authorization.size() > 7 && same_text(authorization.substr(0, 7), "Bearer ")) {
    bearer = authorization.substr(7);
    while (!bearer.empty() && bearer.front() == ' ')
      bearer.remove_prefix(1);
  }
  if (bearer.empty() || api_key.empty())
    return bearer.empty() ? api_key : bearer;
  return bearer == api_key ? bearer : std::string_view{};
}

} // namespace runledger::http
