#pragma once

#include "events/digest.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Signatures by Ed25519 (RFC 8032) with keys in the forms that `openssl` reads and writes
/// (RFC 8410). Any thread.
namespace runledger::ed25519 {

/// Who can be believed.
struct public_key {
  std::array<std::uint8_t, 32> bytes{};
  friend auto operator<=>(const public_key&, const public_key&) = default;

  /// SubjectPublicKeyInfo in DER; what stands in a PEM file, in base64.
  std::string der() const;
  /// SHA-256 of der(), as `openssl pkey -pubin -in FILE -outform DER | sha256sum` computes it.
  digest fingerprint() const;
  std::string pem() const;
  /// True if `signature` (64 bytes) is this key's over `message`.
  bool verifies(std::string_view message, std::string_view signature) const;
};

/// Nothing unless the bytes are an Ed25519 key's.
std::optional<public_key> public_key_from_der(std::string_view der);
/// Every public key of a text; text around them is allowed. Nothing if there is none, or one that
/// is no Ed25519 key.
std::optional<std::vector<public_key>> public_keys_from_pem(std::string_view text);

/// Who signs. Copies share the key.
class private_key {
public:
  /// A fresh one from the operating system's random numbers. Throws std::runtime_error if there are
  /// none.
  static private_key generate();
  /// The key that these 32 bytes stand for (RFC 8032's private key): for tests.
  static private_key from_seed(const digest& seed);
  /// An unencrypted private key in PEM (PKCS #8); nothing if it is no Ed25519 key.
  static std::optional<private_key> from_pem(std::string_view text);

  std::string pem() const;
  const public_key& public_part() const { return public_; }
  /// 64 bytes; always the same for the same message.
  std::string sign(std::string_view message) const;

private:
  explicit private_key(void* raw);
  std::shared_ptr<void> raw_;
  public_key public_;
};

} // namespace runledger::ed25519
