#pragma once

#include "events/digest.hpp"
#include "events/ids.hpp"
#include "events/time.hpp"
#include "http/authenticator.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace runledger::http {

/// Makes the text of an API key: `rlk_`, 37 random characters of base 62, and 6 that hold the
/// CRC-32 of those 37. `fill` fills a buffer with secure random bytes.
std::string make_key_text(const std::function<void(unsigned char*, std::size_t)>& fill);
/// From the operating system's generator.
std::string make_key_text();

/// Whether a text has the form of make_key_text's and its checksum is right: a typo is told without
/// a look-up.
bool is_key_text(std::string_view text);

/// A key that opens something.
struct known_key {
  key_id id;
  workspace_id workspace;
  std::uint8_t scopes = 0; ///< Bits of key::scope, which are those of http::scope.
  digest secret_hash;
  std::optional<timestamp> expires_at;
};

/// All keys that open something, in memory, by the hash of their text: what the edge asks for every
/// request. HTTP thread only.
class key_ring final : public authenticator {
public:
  explicit key_ring(const wall_clock& clock) : clock_(clock) {}

  result<principal_ptr, auth_refusal> authenticate(std::string_view authorization,
                                                   std::string_view api_key) override;

  void add(const known_key& key);
  /// From now on the key opens nothing, also if a list that was read earlier is loaded later.
  void remove(const key_id& id);
  /// Grows with every add(): take it before the list for load() is read.
  std::uint64_t generation() const { return generation_; }
  /// Takes over the list of all keys that open something. What was removed stays removed, and what
  /// was added after `as_of` stays, because the list may be older.
  void load(const std::vector<known_key>& keys, std::uint64_t as_of);
  bool knows(const digest& secret_hash) const { return keys_.contains(secret_hash); }
  /// Whether a key that has not expired has the scope admin.
  bool has_admin() const;
  /// Until then every request is answered 503 `not_ready`.
  void open() { open_ = true; }

private:
  struct entry {
    principal_ptr who;
    std::optional<timestamp> expires_at;
    std::uint64_t generation = 0;
  };
  struct digest_hash {
    std::size_t operator()(const digest& d) const noexcept;
  };

  const wall_clock& clock_;
  std::unordered_map<digest, entry, digest_hash> keys_;
  std::unordered_set<key_id> removed_;
  std::uint64_t generation_ = 0;
  bool open_ = false;
};

} // namespace runledger::http
