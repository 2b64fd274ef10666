#include "http/signed_url.hpp"

#include "events/digest.hpp"

#include <charconv>

namespace runledger::http {

std::string url_signer::sign(std::string_view method, std::string_view path,
                             std::string_view expires) const {
  std::string text{method};
  text += '\n';
  text += path;
  text += '\n';
  text += expires;
  return to_hex(hmac_sha256(secret_, text));
}

std::string url_signer::query(std::string_view method, std::string_view path,
                              timestamp expires) const {
  const auto at = std::to_string(to_ms(expires) / 1000);
  return "expires=" + at + "&signature=" + sign(method, path, at);
}

bool url_signer::check(std::string_view method, std::string_view path, std::string_view expires,
                       std::string_view signature, timestamp now) const {
  std::int64_t seconds = 0;
  const auto* last = expires.data() + expires.size();
  const auto [end, ec] = std::from_chars(expires.data(), last, seconds);
  if (ec != std::errc{} || end != last)
    return false;
  return equal_in_constant_time(signature, sign(method, path, expires))
         && to_ms(now) / 1000 < seconds;
}

} // namespace runledger::http
