#include "tests/support/event_hashes.hpp"

#include "events/log/sqlite_log.hpp"

namespace runledger::test {

std::map<std::string, std::string> event_hashes_in(const std::string& data) {
  std::map<std::string, std::string> out;
  const auto log = *sqlite_log::open({.folder = data, .read_only = true});
  for (std::int64_t at = 0;;) {
    const auto page = *log->read_partition(0, at, 1000);
    if (page.empty())
      return out;
    for (const auto& r : page)
      if (kind_of(r->event.stream) != stream_kind::partition)
        out.emplace(r->event.id(), to_hex(r->event.eventhash));
    at = page.back()->offset + 1;
  }
}

} // namespace runledger::test
