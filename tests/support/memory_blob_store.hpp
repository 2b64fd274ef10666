#pragma once

#include "events/digest.hpp"
#include "events/log/blob_store.hpp"

#include <unistd.h>

#include <map>
#include <string>

namespace runledger::test {

/// Blobs in memory. One thread.
class memory_blob_store final : public blob_store {
public:
  result<blob_ref, blob_errc> put(std::string_view content) override {
    blob_ref out{sha256(content), content.size()};
    blobs_.emplace(to_hex(out.id), content);
    return out;
  }
  result<blob_ref, blob_errc> put_file(int fd, std::uint64_t max_size) override {
    std::string content;
    char part[4096];
    for (;;) {
      auto n = ::read(fd, part, sizeof part);
      if (n < 0)
        return blob_errc::unavailable;
      if (n == 0)
        return put(content);
      content.append(part, static_cast<std::size_t>(n));
      if (content.size() > max_size)
        return blob_errc::damaged;
    }
  }
  result<std::string, blob_errc> get(const digest& id) const override {
    auto found = blobs_.find(to_hex(id));
    if (found == blobs_.end())
      return blob_errc::missing;
    return found->second;
  }
  std::optional<std::string> path_of(const digest&) const override { return std::nullopt; }

private:
  std::map<std::string, std::string> blobs_;
};

} // namespace runledger::test
