#include "projections/boot.hpp"
#include "projections/sql.hpp"
#include "projections/view_store.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <future>

namespace runledger::views {

namespace {

constexpr std::size_t records_per_read = 8192;
/// Records folded into one transaction of a rebuild: enough that a run's events mostly meet in one.
constexpr std::size_t records_per_commit = 32'768;
constexpr std::size_t bytes_per_commit = std::size_t{32} << 20; ///< Of their data.

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

using batch = std::vector<record_ptr>;

/// Feeds one partition to the store, up to `end`. The next records are read while the last ones are
/// folded.
result<std::uint64_t, std::string> feed(view_store& store, const event_log& log,
                                        std::uint32_t partition, std::int64_t end,
                                        const std::function<bool()>& stop) {
  std::uint64_t total = 0;
  batch pending;
  std::size_t bytes = 0;
  auto read_from = [&](std::int64_t from) {
    return std::async(std::launch::async, [&log, partition, from] {
      return log.read_partition(partition, from, records_per_read);
    });
  };
  auto next = read_from(0);
  auto flush = [&]() -> result<void, sqlite::error> {
    auto done = store.apply(pending);
    total += pending.size();
    pending.clear();
    bytes = 0;
    return done;
  };
  for (;;) {
    auto records = next.get();
    if (!records)
      return "the ledger cannot be read: " + records.error().detail;
    bool last = records->empty() || records->back()->offset + 1 >= end;
    if (!last)
      next = read_from(records->back()->offset + 1);
    for (const auto& r : *records)
      bytes += r->event.data.size();
    pending.insert(pending.end(), records->begin(), records->end());
    if (last || pending.size() >= records_per_commit || bytes >= bytes_per_commit) {
      if (auto done = flush(); !done)
        return "the views cannot be written: " + done.error().message;
      if (stop && stop())
        return std::string{"stopped"};
    }
    if (last)
      return total;
  }
}

result<void, std::string> put_in_place(const std::string& fresh, const std::string& path) {
  // The old side files must go first: a write-ahead log is not told apart by its file's name.
  remove_database(path);
  if (std::rename(fresh.c_str(), path.c_str()) != 0)
    return path + ": " + std::strerror(errno);
  return {};
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

result<std::uint64_t, std::string> rebuild(const std::string& path, const event_log& log,
                                           const std::function<bool()>& stop) {
  auto fresh = path + ".new";
  std::uint64_t total = 0;
  {
    auto store = view_store::open(fresh, writing::bulk);
    if (!store)
      return "the views cannot be written: " + store.error().message;
    for (std::uint32_t p = 0; p < log.partition_count(); ++p) {
      auto fed = feed(**store, log, p, log.end_offset(p), stop);
      if (!fed)
        return fed.error();
      total += *fed;
    }
    if (auto done = (*store)->finish_bulk(); !done)
      return "the views cannot be written: " + done.error().message;
  }
  if (auto done = unmark_clean(path); !done)
    return done.error();
  if (auto done = put_in_place(fresh, path); !done)
    return done.error();
  ::malloc_trim(0); // A server goes on for long with what is needed now.
  return total;
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
