#include "events/ids.hpp"

#include "events/digest.hpp"

#include <sys/random.h>

#include <array>
#include <stdexcept>

namespace runledger {

namespace {

constexpr char base32[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t ulid_length = 26;
constexpr std::size_t ulid_time_length = 10;

std::string encode_128(std::uint64_t high, std::uint64_t low) {
  std::string out(ulid_length, '0');
  for (std::size_t i = ulid_length; i-- > 0;) {
    out[i] = base32[low & 31];
    low = low >> 5 | high << 59;
    high >>= 5;
  }
  return out;
}

std::uint64_t big_endian_64(const std::uint8_t* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i)
    value = value << 8 | bytes[i];
  return value;
}

digest hash_parts(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (auto part : parts) {
    text += std::to_string(part.size());
    text += ':';
    text += part;
  }
  return sha256(text);
}

bool starts_with_id(const std::string& name, std::string_view prefix) {
  return name.size() > prefix.size() && name.starts_with(prefix);
}

} // namespace

stream_kind kind_of(const stream_id& stream) {
  const auto& name = stream.value;
  if (starts_with_id(name, "run_"))
    return stream_kind::run;
  if (starts_with_id(name, "sess_"))
    return stream_kind::session;
  if (starts_with_id(name, "ag_"))
    return stream_kind::agent;
  if (starts_with_id(name, "wrk_"))
    return stream_kind::worker;
  if (starts_with_id(name, "key_"))
    return stream_kind::key;
  if (starts_with_id(name, "part_"))
    return stream_kind::partition;
  if (starts_with_id(name, "queue/") && name.find('/', 6) != std::string::npos)
    return stream_kind::queue;
  if (starts_with_id(name, "ws/")) {
    auto slash = name.find('/', 3);
    if (slash == std::string::npos)
      return stream_kind::workspace;
    if (std::string_view{name}.substr(slash) == "/names")
      return stream_kind::names;
    if (std::string_view{name}.substr(slash) == "/audit")
      return stream_kind::audit;
  }
  return stream_kind::unknown;
}

std::string make_ulid(timestamp t, std::uint64_t random_high16, std::uint64_t random_low64) {
  auto high = static_cast<std::uint64_t>(to_ms(t)) << 16 | (random_high16 & 0xffff);
  return encode_128(high, random_low64);
}

std::string derive_ulid(std::initializer_list<std::string_view> parts) {
  auto d = hash_parts(parts);
  return encode_128(big_endian_64(d.bytes.data()) >> 2, big_endian_64(d.bytes.data() + 8));
}

bool is_id(std::string_view text, std::string_view prefix) {
  if (text.size() != prefix.size() + ulid_length || !text.starts_with(prefix))
    return false;
  auto ulid = text.substr(prefix.size());
  return ulid[0] <= '7' && ulid.find_first_not_of(base32) == std::string_view::npos;
}

run_id derive_run_id(const session_id& session, const command_id& command) {
  constexpr std::string_view prefix = "sess_";
  auto derived = derive_ulid({"run", session.value, command.value});
  if (is_id(session.value, prefix))
    derived.replace(0, ulid_time_length, session.value, prefix.size(), ulid_time_length);
  return run_id{"run_" + derived};
}

std::string id_source::ulid(timestamp now) {
  auto ms = to_ms(now);
  if (ms > last_ms_) {
    last_ms_ = ms;
    last_high_ = random() & 0x7fff; // Room to count up within the millisecond.
    last_low_ = random();
  } else if (++last_low_ == 0) {
    ++last_high_;
  }
  return make_ulid(from_ms(last_ms_), last_high_, last_low_);
}

system_id_source::system_id_source() {
  if (getrandom(state_, sizeof state_, 0) != static_cast<ssize_t>(sizeof state_))
    throw std::runtime_error("getrandom failed");
}

// xoshiro256++ by Blackman and Vigna, public domain description (https://prng.di.unimi.it).
std::uint64_t system_id_source::random() {
  auto rotate = [](std::uint64_t x, int k) { return x << k | x >> (64 - k); };
  auto out = rotate(state_[0] + state_[3], 23) + state_[0];
  auto t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = rotate(state_[3], 45);
  return out;
}

} // namespace runledger
