#include "http/key_ring.hpp"

#include <boost/crc.hpp>

#include <algorithm>
#include <cstring>
#include <openssl/rand.h>
#include <stdexcept>

namespace runledger::http {

namespace {

constexpr std::string_view prefix = "rlk_";
constexpr std::string_view base62 =
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::size_t random_characters = 37, checksum_characters = 6;

/// CRC-32 (ISO-HDLC) as six digits of base 62, the most significant first.
std::string checksum(std::string_view text) {
  boost::crc_32_type crc;
  crc.process_bytes(text.data(), text.size());
  std::uint32_t rest = crc.checksum();
  std::string out(checksum_characters, base62[0]);
  for (std::size_t at = checksum_characters; at-- > 0; rest /= 62)
    out[at] = base62[rest % 62];
  return out;
}

auth_refusal refusal_of(std::string_view key) {
  if (key.empty())
    return auth_refusal{"Send an API key as `Authorization: Bearer KEY` or `X-API-Key: KEY`."};
  if (key.starts_with(prefix) && !is_key_text(key))
    return auth_refusal{"The API key is mistyped: its checksum is wrong."};
  return auth_refusal{"The API key is not known."};
}

} // namespace

std::string make_key_text(const std::function<void(unsigned char*, std::size_t)>& fill) {
  std::string random;
  while (random.size() < random_characters) {
    unsigned char bytes[64];
    fill(bytes, sizeof bytes);
    for (unsigned char b : bytes)
      if ((b & 63) < 62 && random.size() < random_characters) // Each character equally likely.
        random.push_back(base62[b & 63]);
  }
  return std::string{prefix} + random + checksum(random);
}

std::string make_key_text() {
  return make_key_text([](unsigned char* to, std::size_t n) {
    if (RAND_bytes(to, static_cast<int>(n)) != 1)
      throw std::runtime_error("the operating system gives no random bytes");
  });
}

bool is_key_text(std::string_view text) {
  if (!text.starts_with(prefix)
      || text.size() != prefix.size() + random_characters + checksum_characters)
    return false;
  text.remove_prefix(prefix.size());
  return text.find_first_not_of(base62) == text.npos
         && text.substr(random_characters) == checksum(text.substr(0, random_characters));
}

std::size_t key_ring::digest_hash::operator()(const digest& d) const noexcept {
  std::size_t h = 0;
  std::memcpy(&h, d.bytes.data(), sizeof h);
  return h;
}

result<principal_ptr, auth_refusal> key_ring::authenticate(std::string_view authorization,
                                                           std::string_view api_key) {
  if (!open_)
    return auth_refusal{"The server is starting.", fault::not_ready};
  const auto text = presented_key(authorization, api_key);
  if (text.empty())
    return refusal_of(text);
  const auto found = keys_.find(sha256(text));
  if (found == keys_.end())
    return refusal_of(text);
  const auto& key = found->second;
  if (key.expires_at && *key.expires_at <= clock_.now())
    return auth_refusal{"The API key has expired."};
  return key.who;
}

void key_ring::add(const known_key& key) {
  if (removed_.contains(key.id))
    return;
  keys_[key.secret_hash] =
      entry{std::make_shared<const principal>(
                principal{key.id.value, key.workspace.value, static_cast<scope>(key.scopes)}),
            key.expires_at, ++generation_};
}

void key_ring::remove(const key_id& id) {
  removed_.insert(id);
  std::erase_if(keys_, [&](const auto& each) { return each.second.who->key_id == id.value; });
}

bool key_ring::has_admin() const {
  return std::ranges::any_of(keys_, [now = clock_.now()](const auto& each) {
    const auto& [who, expires_at, generation] = each.second;
    return allows(who->scopes, scope::admin) && (!expires_at || *expires_at > now);
  });
}

void key_ring::load(const std::vector<known_key>& keys, std::uint64_t as_of) {
  std::erase_if(keys_, [&](const auto& each) { return each.second.generation <= as_of; });
  for (const auto& key : keys)
    add(key);
}

} // namespace runledger::http
