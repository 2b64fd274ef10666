#include "events/log/kafka/topic_blob_store.hpp"

#include "events/log/file_blob_store.hpp"
#include "events/log/kafka/blob_chunks.hpp"
#include "events/log/kafka/blob_sender.hpp"
#include "events/log/kafka/limited_warnings.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace runledger::kafka {

namespace {

using std::chrono::milliseconds;
using clock = std::chrono::steady_clock;

constexpr milliseconds poll_wait{100};
/// Positions are noted after so many records, and at the end.
constexpr int note_after = 256;

} // namespace

struct topic_blob_store::parts {
  /// A blob of which not all chunks came yet.
  struct assembly {
    std::vector<bool> there;
    std::uint64_t left = 0;
    std::uint32_t partition = 0;
    std::int64_t first_offset = 0;
  };

  explicit parts(blob_topic_options with)
      : options(std::move(with)),
        foreign(options.log),
        next(std::make_unique<std::atomic<std::int64_t>[]>(options.partitions)) {}
  ~parts();

  result<void, std::string> start();
  std::vector<raw_partition> names() const;

  void follow();
  void ask_for_ends();
  void take(const message& m);
  void add(const chunk& c, std::uint32_t partition, std::int64_t offset);
  void finish(const digest& id, const std::string& path);
  std::string part_path(const digest& id) const;
  result<void, std::string> begin_at(const std::string& cluster_id);
  result<void, std::string> set_aside() const;
  bool load_positions();
  bool are_beyond_the_topic() const;
  void note_positions();
  bool wait_for_end() const;
  bool reached() const;
  std::int64_t passed() const;

  const blob_topic_options options;
  limited_warnings foreign; ///< The following thread's.
  std::string identity;
  std::unique_ptr<file_blob_store> files;
  std::unique_ptr<consumer> reader;
  std::unique_ptr<std::atomic<std::int64_t>[]> next;

  std::map<digest, assembly> assemblies; ///< The following thread's.
  std::vector<header_view> headers;      ///< Its too.
  int not_noted = 0;                     ///< Its too.

  mutable std::mutex mutex; ///< Guards what follows.
  mutable std::condition_variable changed;
  mutable std::uint64_t asked = 0; ///< Questions for the topic's end.
  std::uint64_t answered = 0;      ///< Up to this one.
  std::vector<std::int64_t> ends;  ///< The last answer.
  bool away = false;               ///< There was none.
  bool stopping = false;

  std::unique_ptr<blob_sender> sender;
  std::thread follower, asker;
};

topic_blob_store::parts::~parts() {
  {
    std::lock_guard guard{mutex};
    stopping = true;
  }
  changed.notify_all();
  for (auto* each : {&follower, &asker})
    if (each->joinable())
      each->join();
}

std::vector<raw_partition> topic_blob_store::parts::names() const {
  std::vector<raw_partition> out;
  for (std::uint32_t p = 0; p < options.partitions; ++p)
    out.push_back({options.topic, static_cast<std::int32_t>(p)});
  return out;
}

std::string topic_blob_store::parts::part_path(const digest& id) const {
  return options.folder + "/tmp/part-" + to_hex(id);
}

result<void, std::string> topic_blob_store::parts::start() {
  auto made = consumer::open(options.with);
  if (!made)
    return made.error().message;
  reader = *std::move(made);
  auto id = reader->cluster_id(std::chrono::seconds{30});
  if (!id)
    return "the blobs' topic cannot be read: " + id.error().message;
  if (auto begun = begin_at(*id); !begun)
    return begun;
  std::vector<consumer::place> places;
  for (std::uint32_t p = 0; p < options.partitions; ++p)
    places.push_back({{options.topic, static_cast<std::int32_t>(p)}, next[p]});
  if (auto assigned = reader->assign(places); !assigned)
    return "the blobs' topic cannot be read: " + assigned.error().message;
  auto writing = blob_sender::open(
      {options.with, options.topic, options.partitions, options.put_patience, options.put_timeout,
       blob_sender_options{}.most_memory, blob_sender_options{}.most_files, options.log});
  if (!writing)
    return writing.error();
  sender = *std::move(writing);
  follower = std::thread{[this] { follow(); }};
  asker = std::thread{[this] { ask_for_ends(); }};
  return {};
}

/// What is in the folder is what was read of this topic, or it is not used: a file that is there
/// counts as acknowledged.
result<void, std::string> topic_blob_store::parts::begin_at(const std::string& cluster_id) {
  identity = cluster_id + ' ' + options.topic;
  if (!load_positions()) {
    if (auto cleared = set_aside(); !cleared)
      return cleared;
  } else if (are_beyond_the_topic()) {
    return fmt::format("{} ends before what was read of it: it was truncated or made anew. {} holds"
                       " what this node had read; move it away to go on without that",
                       options.topic, options.folder);
  }
  auto opened = file_blob_store::open(options.folder);
  if (!opened)
    return opened.error();
  files = *std::move(opened);
  note_positions();
  return {};
}

/// A folder of another topic or cluster may hold the last copies of something: it is kept.
result<void, std::string> topic_blob_store::parts::set_aside() const {
  std::error_code failed;
  if (!std::filesystem::exists(options.folder, failed))
    return {};
  std::string aside;
  for (int n = 1; aside.empty() || std::filesystem::exists(aside, failed); ++n)
    aside = fmt::format("{}.before-{}", options.folder, n);
  std::filesystem::rename(options.folder, aside, failed);
  if (failed)
    return fmt::format("{} cannot be renamed: {}", options.folder, failed.message());
  if (options.log)
    options.log(4,
                fmt::format("{} was not read from {} of this cluster: it is now {}, and the topic"
                            " is read anew",
                            options.folder, options.topic, aside));
  return {};
}

void topic_blob_store::parts::follow() {
  while (true) {
    {
      std::lock_guard guard{mutex};
      if (stopping)
        break;
    }
    const auto m = reader->poll(poll_wait);
    if (!m || m.topic().empty())
      continue;
    const auto p = static_cast<std::uint32_t>(m.partition());
    if (m.is_end()) {
      next[p] = std::max(next[p].load(), m.offset());
      if (not_noted > 0)
        note_positions();
    } else if (m.is_record()) {
      take(m);
      next[p] = m.offset() + 1;
      if (++not_noted >= note_after)
        note_positions();
    } else if (options.log) {
      options.log(4, fmt::format("the blobs' topic: {}", m.why().message));
    }
    changed.notify_all();
  }
  note_positions();
}

void topic_blob_store::parts::take(const message& m) {
  if (const auto c = read_chunk(m.content(headers)))
    return add(*c, static_cast<std::uint32_t>(m.partition()), m.offset());
  foreign.say(fmt::format("{} [{}] offset {} is no part of a blob and is skipped", m.topic(),
                          m.partition(), m.offset()));
}

void topic_blob_store::parts::add(const chunk& c, std::uint32_t partition, std::int64_t offset) {
  if (files->path_of(c.blob))
    return;
  auto& a = assemblies[c.blob];
  const auto count = chunks_of(c.size);
  if (a.there.size() != count) {
    a = {std::vector<bool>(count), count, partition, offset};
    ::unlink(part_path(c.blob).c_str());
  }
  const auto path = part_path(c.blob);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  const auto written = fd < 0 ? -1
                              : ::pwrite(fd, c.bytes.data(), c.bytes.size(),
                                         static_cast<off_t>(c.number * chunk_bytes));
  if (fd >= 0)
    ::close(fd);
  if (written != static_cast<ssize_t>(c.bytes.size())) {
    if (options.log)
      options.log(3, path + " cannot be written: the blob is not here before the next start");
    return;
  }
  if (a.there[c.number])
    return;
  a.there[c.number] = true;
  if (--a.left > 0)
    return;
  assemblies.erase(c.blob);
  finish(c.blob, path);
}

void topic_blob_store::parts::finish(const digest& id, const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  sha256_hasher hasher;
  std::vector<char> buffer(chunk_bytes);
  for (ssize_t n = 0; fd >= 0 && (n = ::read(fd, buffer.data(), buffer.size())) > 0;)
    hasher.update({buffer.data(), static_cast<std::size_t>(n)});
  const bool whole = fd >= 0 && hasher.finish() == id && ::lseek(fd, 0, SEEK_SET) == 0;
  if (whole)
    (void)files->put_file(fd, ~std::uint64_t{0});
  else if (options.log)
    options.log(4, "a blob in " + options.topic + " is not what its name says: " + to_hex(id));
  if (fd >= 0)
    ::close(fd);
  ::unlink(path.c_str());
}

/// False: there are none of this topic in this cluster.
bool topic_blob_store::parts::load_positions() {
  std::ifstream in{options.folder + "/positions"};
  std::string line;
  if (!std::getline(in, line) || line != identity)
    return false;
  for (std::uint32_t p = 0; p < options.partitions; ++p)
    if (std::int64_t offset = 0; in >> offset)
      next[p] = offset;
  return true;
}

/// The topic was made anew.
bool topic_blob_store::parts::are_beyond_the_topic() const {
  const auto now = reader->ends(names(), options.get_patience);
  for (std::uint32_t p = 0; now && p < options.partitions; ++p)
    if (next[p] > (*now)[p])
      return true;
  return false;
}

/// Whatever stands before a position was kept, or is of no use.
void topic_blob_store::parts::note_positions() {
  not_noted = 0;
  const auto path = options.folder + "/positions";
  {
    std::ofstream out{path + ".new", std::ios::trunc};
    out << identity << '\n';
    for (std::uint32_t p = 0; p < options.partitions; ++p) {
      auto at = next[p].load();
      for (const auto& [id, a] : assemblies)
        if (a.partition == p)
          at = std::min(at, a.first_offset);
      out << at << '\n';
    }
    if (!out.flush())
      return;
  }
  (void)::rename((path + ".new").c_str(), path.c_str());
}

/// Asks the brokers, so that nobody else waits for their answer for longer than he wants to.
void topic_blob_store::parts::ask_for_ends() {
  constexpr milliseconds ask_again{1000};
  std::unique_lock lock{mutex};
  while (!stopping) {
    if (away)
      changed.wait_for(lock, ask_again, [this] { return stopping; });
    else
      changed.wait(lock, [this] { return stopping || asked > answered; });
    if (stopping)
      return;
    const auto mine = asked;
    lock.unlock();
    auto got = reader->ends(names(), options.get_patience);
    lock.lock();
    answered = mine;
    away = !got;
    if (got)
      ends = *std::move(got);
    changed.notify_all();
  }
}

bool topic_blob_store::parts::reached() const {
  for (std::uint32_t p = 0; p < options.partitions; ++p)
    if (next[p] < ends[p])
      return false;
  return true;
}

/// How much was read, in offsets.
std::int64_t topic_blob_store::parts::passed() const {
  std::int64_t out = 0;
  for (std::uint32_t p = 0; p < options.partitions; ++p)
    out += next[p];
  return out;
}

/// False: that took too long. While no broker answers nobody waits.
bool topic_blob_store::parts::wait_for_end() const {
  std::unique_lock lock{mutex};
  if (away)
    return false;
  const auto mine = ++asked;
  changed.notify_all();
  changed.wait_for(lock, options.get_patience,
                   [&] { return stopping || (answered >= mine && (away || reached())); });
  return answered >= mine && !away && reached();
}

bool topic_blob_store::read_to_end(milliseconds silence, const std::function<void()>& pause) const {
  using clock = std::chrono::steady_clock;
  constexpr milliseconds look_again{250};
  const auto& p = *parts_;
  std::unique_lock lock{p.mutex};
  const auto mine = ++p.asked;
  p.changed.notify_all();
  auto moved = clock::now();
  for (auto at = p.passed(); p.answered < mine || p.away || !p.reached();) {
    p.changed.wait_for(lock, look_again);
    if (const auto now = p.passed(); std::exchange(at, now) != now)
      moved = clock::now();
    else if (clock::now() - moved >= silence)
      return false;
    lock.unlock();
    if (pause)
      pause();
    lock.lock();
  }
  return true;
}

topic_blob_store::topic_blob_store() = default;
topic_blob_store::~topic_blob_store() = default;

result<std::unique_ptr<topic_blob_store>, std::string>
topic_blob_store::open(blob_topic_options options) {
  std::unique_ptr<topic_blob_store> out{new topic_blob_store};
  out->parts_ = std::make_unique<parts>(std::move(options));
  if (auto started = out->parts_->start(); !started)
    return started.error();
  return out;
}

std::optional<topic_blob_store::source> topic_blob_store::source_of(const std::string& folder) {
  std::ifstream in{folder + "/positions"};
  source out;
  std::int64_t offset = 0;
  bool any = false;
  in >> out.cluster >> out.topic;
  while (in >> offset)
    any = any || offset > 0;
  return any ? std::optional{out} : std::nullopt;
}

result<blob_ref, blob_errc> topic_blob_store::put(std::string_view content) {
  const blob_ref blob{sha256(content), content.size()};
  if (parts_->files->path_of(blob.id)) // It came from the topic, or is acknowledged.
    return blob;
  if (!parts_->sender->send(blob, content))
    return blob_errc::unavailable;
  return parts_->files->put(content);
}

result<blob_ref, blob_errc> topic_blob_store::put_file(int fd, std::uint64_t max_size) {
  const auto begin = ::lseek(fd, 0, SEEK_CUR);
  if (begin < 0)
    return blob_errc::unavailable;
  std::vector<char> buffer(chunk_bytes);
  sha256_hasher hasher;
  blob_ref blob;
  for (ssize_t n = 0; (n = ::read(fd, buffer.data(), buffer.size())) != 0;) {
    if (n < 0)
      return blob_errc::unavailable;
    blob.size += static_cast<std::uint64_t>(n);
    if (blob.size > max_size)
      return blob_errc::damaged;
    hasher.update({buffer.data(), static_cast<std::size_t>(n)});
  }
  blob.id = hasher.finish();
  if (parts_->files->path_of(blob.id))
    return blob;
  // Who reads the chunks verifies them: a file that changes meanwhile harms nobody but its writer.
  if (!parts_->sender->send_file(blob, fd, static_cast<std::uint64_t>(begin)))
    return blob_errc::unavailable;
  if (::lseek(fd, begin, SEEK_SET) < 0)
    return blob_errc::unavailable;
  const auto kept = parts_->files->put_file(fd, max_size);
  if (kept && kept->id != blob.id)
    return blob_errc::damaged;
  return kept;
}

result<std::string, blob_errc> topic_blob_store::get(const digest& id) const {
  auto here = parts_->files->get(id);
  if (here || here.error() != blob_errc::missing)
    return here;
  return parts_->wait_for_end() ? parts_->files->get(id)
                                : result<std::string, blob_errc>{blob_errc::unavailable};
}

std::optional<std::string> topic_blob_store::path_of(const digest& id) const {
  if (auto here = parts_->files->path_of(id))
    return here;
  return parts_->wait_for_end() ? parts_->files->path_of(id) : std::nullopt;
}

} // namespace runledger::kafka
