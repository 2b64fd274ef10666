#include "events/log/sqlite_source.hpp"

#include <chrono>
#include <thread>

namespace runledger {

namespace {

constexpr int most_looks = 200;
constexpr std::chrono::milliseconds between_looks{5};

} // namespace

result<std::unique_ptr<sqlite_source>, std::string>
sqlite_source::look_at(const std::string& path) {
  for (int look = 0; look < most_looks; ++look) {
    auto seen = look_at_pair(path);
    if (!seen)
      return path + ": " + seen.error().message();
    auto made = [&](way chosen) {
      return std::unique_ptr<sqlite_source>{new sqlite_source{path, chosen, *seen}};
    };
    if (in_use_here(path))
      return made(way::shared);
    if (seen->has_frames) {
      auto copy = private_copy::of(path);
      if (!copy)
        return copy.error();
      auto out = made(way::copied);
      out->copy_ = std::move(*copy);
      return out;
    }
    if (has_settled(*seen))
      return made(way::file_alone);
    std::this_thread::sleep_for(between_looks);
  }
  return path + " keeps changing: is it being copied here?";
}

result<sqlite::connection, sqlite::error> sqlite_source::connect(int busy_timeout_ms) const {
  switch (way_) {
    case way::shared:
      return sqlite::connection::open(path_, sqlite::open_mode::read_only, busy_timeout_ms);
    case way::file_alone:
      return sqlite::connection::open(path_, sqlite::open_mode::immutable, busy_timeout_ms);
    case way::copied:
      break;
  }
  return sqlite::connection::open(copy_->path(), sqlite::open_mode::read_write, busy_timeout_ms);
}

bool sqlite_source::still_good() const {
  if (way_ != way::file_alone)
    return true;
  auto now = look_at_pair(path_);
  return now && same_contents(seen_, *now);
}

} // namespace runledger
