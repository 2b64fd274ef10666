#include "events/digest.hpp"

#include "events/raw_text.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

// The functions behind SHA-256 itself. OpenSSL 3 prefers EVP, which spends as much on calling the
// algorithm as that takes for the hash of a hash, four of which an event needs.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

namespace runledger {

namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  return -1;
}

} // namespace

digest sha256(std::string_view data) {
  digest out;
  SHA256_CTX context;
  SHA256_Init(&context);
  SHA256_Update(&context, data.data(), data.size());
  SHA256_Final(out.bytes.data(), &context);
  return out;
}

digest hmac_sha256(std::string_view key, std::string_view data) {
  digest out;
  unsigned size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(data.data()), data.size(), out.bytes.data(), &size);
  return out;
}

sha256_hasher::sha256_hasher() : context_(new SHA256_CTX) {
  SHA256_Init(static_cast<SHA256_CTX*>(context_));
}

sha256_hasher::~sha256_hasher() {
  delete static_cast<SHA256_CTX*>(context_);
}

void sha256_hasher::update(std::string_view piece) {
  SHA256_Update(static_cast<SHA256_CTX*>(context_), piece.data(), piece.size());
}

digest sha256_hasher::finish() {
  digest out;
  SHA256_Final(out.bytes.data(), static_cast<SHA256_CTX*>(context_));
  SHA256_Init(static_cast<SHA256_CTX*>(context_));
  return out;
}

void append_hex(std::string& out, const digest& d) {
  char text[64];
  out.append(text, write_hex(text, d));
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

#pragma GCC diagnostic pop
