#include "events/base64.hpp"

#include <openssl/evp.h>

namespace runledger {

std::string to_base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0'); // EVP_EncodeBlock ends it with a zero.
  auto written = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                 reinterpret_cast<const unsigned char*>(bytes.data()),
                                 static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(written));
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0)
    return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  auto written = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                 reinterpret_cast<const unsigned char*>(text.data()),
                                 static_cast<int>(text.size()));
  if (written != static_cast<int>(out.size()))
    return std::nullopt;
  auto content = text.substr(0, text.find('='));
  out.resize(content.size() * 3 / 4);
  // EVP_DecodeBlock also takes white space around, and bits that no byte needs.
  return to_base64(out) == text ? std::optional{std::move(out)} : std::nullopt;
}

} // namespace runledger
