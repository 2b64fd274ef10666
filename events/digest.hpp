#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace runledger {

/// A SHA-256 value (FIPS 180-4). The default is 32 zero bytes: the `prevhash` of a stream's first
/// event.
struct digest {
  std::array<std::uint8_t, 32> bytes{};
  friend auto operator<=>(const digest&, const digest&) = default;
  std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

/// SHA-256 of `data`. Thread-safe.
digest sha256(std::string_view data);

/// HMAC-SHA-256 (RFC 2104).
digest hmac_sha256(std::string_view key, std::string_view data);

/// SHA-256 of a stream of pieces.
class sha256_hasher {
public:
  sha256_hasher();
  ~sha256_hasher();
  sha256_hasher(const sha256_hasher&) = delete;
  sha256_hasher& operator=(const sha256_hasher&) = delete;
  void update(std::string_view piece);
  digest finish(); ///< Once; afterwards the hasher starts anew.

private:
  void* context_;
};

/// 64 lower-case hex digits.
std::string to_hex(const digest& d);
void append_hex(std::string& out, const digest& d);
/// Exactly 64 lower-case hex digits, or nothing.
std::optional<digest> digest_from_hex(std::string_view hex);
/// 32 raw bytes, or nothing.
std::optional<digest> digest_from_bytes(std::string_view bytes);

/// Compares without telling by its time how much is equal.
bool equal_in_constant_time(std::string_view a, std::string_view b);

} // namespace runledger
