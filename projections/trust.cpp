#include "events/log/boot.hpp"
#include "projections/sql.hpp"
#include "projections/view_store.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

/// Whether a views' file may be gone on with.
namespace runledger::views {

namespace {

std::string mark_of(const std::string& path) {
  return path + ".clean";
}

std::string folder_of(const std::string& path) {
  auto folder = std::filesystem::path{path}.parent_path().string();
  return folder.empty() ? "." : folder;
}

result<void, std::string> sync_path(const std::string& path, int flags) {
  int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (fd < 0 || ::fsync(fd) != 0) {
    auto why = path + ": " + std::strerror(errno);
    if (fd >= 0)
      ::close(fd);
    return why;
  }
  ::close(fd);
  return {};
}

/// Compares the versions and the boot that the file was written in; throws sqlite::error.
std::optional<std::string> distrust_meta(sqlite::connection& db, const std::string& path) {
  auto read = [&](std::string_view name) {
    query meta{db, "SELECT value FROM meta WHERE name = ?"};
    return meta.with(name).row() ? meta.values().text() : std::string{};
  };
  if (read("schema_version") != std::to_string(schema_version))
    return "it has another schema";
  if (read("fold_version") != std::to_string(fold_version))
    return "it was folded by another version";
  bool clean = ::access(mark_of(path).c_str(), F_OK) == 0;
  if (!clean && (boot_id().empty() || read("boot_id") != boot_id()))
    return "the machine stopped without a clean end";
  return std::nullopt;
}

/// Compares the last record that was folded with the ledger's.
std::optional<std::string> distrust_position(sqlite::connection& db, const event_log& log) {
  query all{db, "SELECT partition, next, hash FROM positions"};
  while (all.row()) {
    std::uint32_t partition = 0;
    std::int64_t next = 0;
    digest hash;
    all.values().all(partition, next, hash);
    if (partition >= log.partition_count())
      return "it has folded a partition that the ledger does not have";
    auto last = log.read_partition(partition, next - 1, 1);
    if (!last)
      return "the record that it folded last cannot be read: " + last.error().detail;
    if (last->empty() || last->front()->offset != next - 1
        || last->front()->event.eventhash != hash)
      return "it was folded from another ledger";
  }
  return std::nullopt;
}

} // namespace

std::optional<std::string> distrust(const std::string& path, const event_log& log) {
  if (::access(path.c_str(), F_OK) != 0)
    return "it does not exist";
  auto db = sqlite::connection::open(path, sqlite::open_mode::read_write);
  if (!db)
    return db.error().message;
  try {
    if (auto why = distrust_meta(*db, path))
      return why;
    return distrust_position(*db, log);
  } catch (const sqlite::error& e) {
    return e.message;
  }
}

result<void, std::string> mark_clean(const std::string& path) {
  if (auto done = sync_path(path, O_RDONLY); !done)
    return done;
  if (auto done = sync_path(mark_of(path), O_WRONLY | O_CREAT); !done)
    return done;
  return sync_path(folder_of(path), O_RDONLY | O_DIRECTORY);
}

result<void, std::string> unmark_clean(const std::string& path) {
  if (::unlink(mark_of(path).c_str()) != 0)
    return errno == ENOENT ? result<void, std::string>{}
                           : result<void, std::string>{mark_of(path) + ": " + std::strerror(errno)};
  return sync_path(folder_of(path), O_RDONLY | O_DIRECTORY);
}

} // namespace runledger::views
