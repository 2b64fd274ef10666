#include "events/digest.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdexcept>

namespace runledger {

namespace {

/// Fetched once: OpenSSL 3 spends more on looking the algorithm up than on hashing an event.
const EVP_MD* sha256_algorithm() {
  static const EVP_MD* md = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return md;
}

EVP_MD_CTX* fresh_context() {
  auto* context = EVP_MD_CTX_new();
  if (context == nullptr || EVP_DigestInit_ex2(context, sha256_algorithm(), nullptr) != 1)
    throw std::runtime_error("SHA-256 is not available in this OpenSSL");
  return context;
}

digest finish_and_restart(EVP_MD_CTX* context) {
  digest out;
  unsigned size = 0;
  EVP_DigestFinal_ex(context, out.bytes.data(), &size);
  EVP_DigestInit_ex2(context, nullptr, nullptr);
  return out;
}

int hex_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return -1;
}

} // namespace

digest sha256(std::string_view data) {
  thread_local sha256_hasher hasher;
  hasher.update(data);
  return hasher.finish();
}

digest hmac_sha256(std::string_view key, std::string_view data) {
  digest out;
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(data.data()), data.size(), out.bytes.data(), &size);
  return out;
}

sha256_hasher::sha256_hasher() : context_(fresh_context()) {}

sha256_hasher::~sha256_hasher() {
  EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_));
}

void sha256_hasher::update(std::string_view piece) {
  EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), piece.data(), piece.size());
}

digest sha256_hasher::finish() {
  return finish_and_restart(static_cast<EVP_MD_CTX*>(context_));
}

void append_hex(std::string& out, const digest& d) {
  constexpr char hex[] = "0123456789abcdef";
  char text[64];
  for (std::size_t i = 0; i < d.bytes.size(); ++i) {
    text[2 * i] = hex[d.bytes[i] >> 4];
    text[2 * i + 1] = hex[d.bytes[i] & 15];
  }
  out.append(text, sizeof text);
}

std::string to_hex(const digest& d) {
  std::string out;
  out.reserve(64);
  append_hex(out, d);
  return out;
}

std::optional<digest> digest_from_hex(std::string_view hex) {
  if (hex.size() != 64)
    return std::nullopt;
  digest out;
  for (std::size_t i = 0; i < 32; ++i) {
    int high = hex_value(hex[2 * i]), low = hex_value(hex[2 * i + 1]);
    if (high < 0 || low < 0)
      return std::nullopt;
    out.bytes[i] = static_cast<std::uint8_t>(high << 4 | low);
  }
  return out;
}

std::optional<digest> digest_from_bytes(std::string_view bytes) {
  if (bytes.size() != 32)
    return std::nullopt;
  digest out;
  std::memcpy(out.bytes.data(), bytes.data(), 32);
  return out;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

} // namespace runledger
