#include "events/log/kafka/topic_blob_store.hpp"

#include "events/log/file_blob_store.hpp"
#include "events/topics.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
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

/// Of a blob's bytes in one record; the last has the rest. Part of the format.
constexpr std::size_t chunk_bytes = 512 * 1024;
constexpr std::string_view chunk_header = "runledger_chunk", size_header = "runledger_size";
constexpr milliseconds poll_wait{100};
/// No blob is larger: what says so is no part of one.
constexpr std::uint64_t blob_bytes_max = std::uint64_t{4} << 30;
/// Positions are noted after so many records, and at the end.
constexpr int note_after = 256;

std::uint64_t chunks_of(std::uint64_t size) {
  return std::max<std::uint64_t>(1, (size + chunk_bytes - 1) / chunk_bytes);
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t out = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (ec != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return out;
}

/// What a record says of itself.
struct chunk {
  digest blob;
  std::uint64_t number = 0, size = 0; ///< Place of the chunk; bytes of the whole blob.
  std::string_view bytes;
};

std::optional<chunk> read_chunk(const record_view& r) {
  chunk out;
  const auto id = r.key ? digest_from_hex(*r.key) : std::nullopt;
  std::optional<std::uint64_t> place, size;
  for (const auto& h : r.headers) {
    if (h.name == chunk_header && h.value)
      place = number(*h.value);
    if (h.name == size_header && h.value)
      size = number(*h.value);
  }
  if (!id || !place || !size || *size > blob_bytes_max || *place >= chunks_of(*size))
    return std::nullopt;
  out = {*id, *place, *size, r.value.value_or("")};
  const auto expected = std::min<std::uint64_t>(chunk_bytes, *size - *place * chunk_bytes);
  return out.bytes.size() == expected ? std::optional{out} : std::nullopt;
}

} // namespace

struct topic_blob_store::parts {
  /// A put that waits for its chunks.
  struct pending_put {
    std::size_t left = 0;
    bool failed = false;
  };

  /// A blob of which not all chunks came yet.
  struct assembly {
    std::vector<bool> there;
    std::uint64_t left = 0;
    std::uint32_t partition = 0;
    std::int64_t first_offset = 0;
  };

  explicit parts(blob_topic_options with)
      : options(std::move(with)),
        next(std::make_unique<std::atomic<std::int64_t>[]>(options.partitions)) {}
  ~parts();

  result<void, std::string> start();
  std::vector<raw_partition> names() const;
  std::uint32_t home_of(const digest& id) const;

  // Writing.
  using piece_source = std::function<result<std::string_view, blob_errc>(std::uint64_t chunk)>;
  result<void, blob_errc> send(const blob_ref& blob, const piece_source& pieces);
  result<void, blob_errc> await(std::uint64_t id, clock::time_point until);
  void settled(void* tag, bool good);

  // Reading.
  void follow();
  void take(const message& m);
  void add(const chunk& c, std::uint32_t partition, std::int64_t offset);
  void finish(const digest& id, const std::string& path);
  std::string part_path(const digest& id) const;
  void load_positions(const std::string& cluster_id);
  void note_positions();
  bool wait_for_end() const;

  const blob_topic_options options;
  std::string identity;
  std::unique_ptr<file_blob_store> files;
  std::unique_ptr<consumer> reader;
  std::unique_ptr<std::atomic<std::int64_t>[]> next;

  std::map<digest, assembly> assemblies; ///< The following thread's.
  std::vector<header_view> headers;      ///< Its too.
  int not_noted = 0;                     ///< Its too.

  mutable std::mutex mutex; ///< Guards what follows.
  mutable std::condition_variable changed;
  std::map<std::uint64_t, pending_put> puts;
  std::uint64_t next_put = 1;
  bool stopping = false;

  std::unique_ptr<producer> writer; ///< Its end reports to what stands above.
  std::thread follower;
};

topic_blob_store::parts::~parts() {
  {
    std::lock_guard guard{mutex};
    stopping = true;
  }
  changed.notify_all();
  if (follower.joinable())
    follower.join();
}

std::vector<raw_partition> topic_blob_store::parts::names() const {
  std::vector<raw_partition> out;
  for (std::uint32_t p = 0; p < options.partitions; ++p)
    out.push_back({options.topic, static_cast<std::int32_t>(p)});
  return out;
}

std::uint32_t topic_blob_store::parts::home_of(const digest& id) const {
  return partition_for(to_hex(id), options.partitions);
}

std::string topic_blob_store::parts::part_path(const digest& id) const {
  return options.folder + "/tmp/part-" + to_hex(id);
}

result<void, std::string> topic_blob_store::parts::start() {
  auto opened = file_blob_store::open(options.folder);
  if (!opened)
    return opened.error();
  files = *std::move(opened);
  auto made = consumer::open(options.with);
  if (!made)
    return made.error().message;
  reader = *std::move(made);
  auto id = reader->cluster_id(std::chrono::seconds{30});
  if (!id)
    return "the blobs' topic cannot be read: " + id.error().message;
  load_positions(*id);
  std::vector<consumer::place> places;
  for (std::uint32_t p = 0; p < options.partitions; ++p)
    places.push_back({{options.topic, static_cast<std::int32_t>(p)}, next[p]});
  if (auto assigned = reader->assign(places); !assigned)
    return "the blobs' topic cannot be read: " + assigned.error().message;
  auto writing = producer::open(
      options.with, [this](void* tag, bool, const error&) { settled(tag, false); },
      [this](void* tag) { settled(tag, true); });
  if (!writing)
    return "the blobs' topic cannot be written: " + writing.error().message;
  writer = *std::move(writing);
  writer->prepare({options.topic}, std::chrono::seconds{5});
  follower = std::thread{[this] { follow(); }};
  return {};
}

// Writing.

void topic_blob_store::parts::settled(void* tag, bool good) {
  std::lock_guard guard{mutex};
  const auto at = puts.find(reinterpret_cast<std::uintptr_t>(tag));
  if (at == puts.end())
    return;
  --at->second.left;
  at->second.failed = at->second.failed || !good;
}

result<void, blob_errc> topic_blob_store::parts::send(const blob_ref& blob,
                                                      const piece_source& pieces) {
  const auto until = clock::now() + options.put_timeout;
  const auto count = chunks_of(blob.size);
  std::uint64_t id = 0;
  {
    std::lock_guard guard{mutex};
    id = next_put++;
    puts[id].left = count;
  }
  const auto key = to_hex(blob.id), size = std::to_string(blob.size);
  const raw_partition to{options.topic, static_cast<std::int32_t>(home_of(blob.id))};
  for (std::uint64_t n = 0; n < count; ++n) {
    const auto piece = pieces(n);
    if (!piece) {
      std::lock_guard guard{mutex};
      puts.erase(id);
      return piece.error();
    }
    const auto place = std::to_string(n);
    const header_view about[] = {{chunk_header, place}, {size_header, size}};
    void* tag = reinterpret_cast<void*>(static_cast<std::uintptr_t>(id));
    while (!writer->send(to, {key, about, *piece}, tag)) { // Its queue is full, or it is dead.
      if (writer->fatal() || clock::now() >= until) {
        std::lock_guard guard{mutex};
        puts.erase(id);
        return blob_errc::unavailable;
      }
      writer->poll(milliseconds{50});
    }
  }
  return await(id, until);
}

result<void, blob_errc> topic_blob_store::parts::await(std::uint64_t id, clock::time_point until) {
  while (true) {
    {
      std::lock_guard guard{mutex};
      const auto put = puts.at(id);
      const bool late = clock::now() >= until;
      if (put.left == 0 || late) {
        puts.erase(id);
        if (put.left == 0 && !put.failed)
          return {};
        return blob_errc::unavailable;
      }
    }
    writer->poll(milliseconds{20});
  }
}

// Reading.

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
  if (options.log)
    options.log(4, fmt::format("{} [{}] offset {} is no part of a blob and is skipped", m.topic(),
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

void topic_blob_store::parts::load_positions(const std::string& cluster_id) {
  identity = cluster_id + ' ' + options.topic;
  std::ifstream in{options.folder + "/positions"};
  std::string line;
  const bool mine = std::getline(in, line) && line == identity;
  for (std::uint32_t p = 0; p < options.partitions; ++p)
    if (std::int64_t offset = 0; mine && in >> offset)
      next[p] = offset;
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

/// False: that took too long.
bool topic_blob_store::parts::wait_for_end() const {
  const auto until = clock::now() + options.get_patience;
  const auto ends = reader->ends(names(), options.get_patience);
  if (!ends)
    return false;
  std::unique_lock lock{mutex};
  return changed.wait_until(lock, until, [&] {
    for (std::uint32_t p = 0; p < options.partitions; ++p)
      if (next[p] < (*ends)[p])
        return false;
    return true;
  });
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

result<blob_ref, blob_errc> topic_blob_store::put(std::string_view content) {
  const blob_ref blob{sha256(content), content.size()};
  if (parts_->files->path_of(blob.id)) // It came from the topic, or is acknowledged.
    return blob;
  const auto sent = parts_->send(blob, [&](std::uint64_t n) -> result<std::string_view, blob_errc> {
    return content.substr(n * chunk_bytes, chunk_bytes);
  });
  if (!sent)
    return sent.error();
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
  const auto sent = parts_->send(blob, [&](std::uint64_t n) -> result<std::string_view, blob_errc> {
    const auto at = begin + static_cast<off_t>(n * chunk_bytes);
    const auto wanted = std::min<std::uint64_t>(chunk_bytes, blob.size - n * chunk_bytes);
    if (::pread(fd, buffer.data(), wanted, at) != static_cast<ssize_t>(wanted))
      return blob_errc::damaged;
    return std::string_view{buffer.data(), wanted};
  });
  if (!sent)
    return sent.error();
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
