#include "events/log/kafka/blob_sender.hpp"

#include "events/log/kafka/blob_chunks.hpp"
#include "events/topics.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <fmt/format.h>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace runledger::kafka {

namespace {

using std::chrono::milliseconds;
using clock = std::chrono::steady_clock;

/// Chunks that are given to the producer and not acknowledged.
constexpr std::size_t most_in_flight = 32;
constexpr milliseconds poll_for{20};
constexpr milliseconds open_again{500};

/// Place of the chunk's number within a tag; above it stands the shipment's.
constexpr int chunk_bits = 16;
static_assert(chunks_of(blob_bytes_max) < (std::uint64_t{1} << chunk_bits));

} // namespace

struct blob_sender::parts {
  /// One blob on its way.
  struct shipment {
    blob_ref blob;
    std::string key, size; // As its records say them.
    std::int32_t partition = 0;
    std::string content; // Or:
    int fd = -1;
    std::uint64_t begin = 0;
    std::deque<std::uint64_t> unsent; // Chunks.
    std::size_t unsettled = 0;        // Chunks that the producer has.
    bool refused = false;

    shipment() = default;
    ~shipment() {
      if (fd >= 0)
        ::close(fd);
    }
    shipment(const shipment&) = delete;
    shipment& operator=(const shipment&) = delete;
    bool over() const { return refused || (unsent.empty() && unsettled == 0); }
  };
  using shipment_ptr = std::shared_ptr<shipment>;

  explicit parts(blob_sender_options with) : options(std::move(with)) {}
  ~parts();

  result<void, error> open_producer();
  void work();
  bool step();
  void tend_producer();
  bool send_next();
  void settled(void* tag, bool stored, const error* why);
  bool has_room(const shipment& for_this) const;
  bool ship(shipment_ptr made, bool in_memory);
  bool wait_for(std::unique_lock<std::mutex>& lock, shipment_ptr one, bool in_memory);

  const blob_sender_options options;
  std::unique_ptr<producer> writer; // The thread's.

  std::mutex mutex; ///< Guards what follows.
  std::condition_variable changed;
  std::map<std::uint64_t, shipment_ptr> under_way;
  std::map<digest, std::uint64_t> by_blob;
  std::uint64_t next_id = 1;
  std::size_t in_flight = 0;
  clock::time_point moved = clock::now(); // Something was acknowledged, or began after a rest.
  bool replacing = false, stopping = false;
  std::thread thread;
};

blob_sender::parts::~parts() {
  {
    std::lock_guard guard{mutex};
    stopping = true;
  }
  changed.notify_all();
  if (thread.joinable())
    thread.join();
  writer.reset(); // Its end reports to what stands below.
}

result<void, error> blob_sender::parts::open_producer() {
  auto made = producer::open(
      options.with, [this](void* tag, bool, const error& why) { settled(tag, false, &why); },
      [this](void* tag) { settled(tag, true, nullptr); });
  if (!made)
    return made.error();
  writer = *std::move(made);
  writer->prepare({options.topic}, options.patience);
  return {};
}

void blob_sender::parts::settled(void* tag, bool stored, const error* why) {
  const auto number = reinterpret_cast<std::uintptr_t>(tag);
  const std::uint64_t chunk = number & ((std::uint64_t{1} << chunk_bits) - 1);
  std::lock_guard guard{mutex};
  --in_flight;
  const auto at = under_way.find(number >> chunk_bits);
  if (at == under_way.end())
    return;
  auto& one = *at->second;
  --one.unsettled;
  if (stored) {
    moved = clock::now();
  } else if (replacing || writer->fatal()) {
    one.unsent.push_back(chunk); // By the next producer; a chunk that comes twice changes nothing.
  } else {
    one.refused = true;
    if (options.log)
      options.log(4, fmt::format("the blob {} was not stored: {}", one.key, why->message));
  }
  if (!one.over())
    return;
  by_blob.erase(one.blob.id);
  under_way.erase(at);
  changed.notify_all();
}

// The thread.

void blob_sender::parts::work() {
  while (step()) {
  }
  std::lock_guard guard{mutex};
  replacing = true; // What its end reports is of no interest.
  under_way.clear();
}

/// False: it is the end.
bool blob_sender::parts::step() {
  {
    std::unique_lock lock{mutex};
    if (in_flight == 0 && under_way.empty())
      changed.wait(lock, [this] { return stopping || !under_way.empty(); });
    if (stopping)
      return false;
  }
  tend_producer();
  if (!writer)
    return true;
  while (send_next()) {
  }
  writer->poll(poll_for);
  return true;
}

void blob_sender::parts::tend_producer() {
  if (writer) {
    const auto why = writer->fatal();
    if (!why)
      return;
    if (options.log)
      options.log(4, "the blobs' producer is of no use any more and is replaced: " + why->message);
    {
      std::lock_guard guard{mutex};
      replacing = true;
    }
    writer.reset(); // Reports what it had not stored.
  }
  const auto opened = open_producer();
  std::unique_lock lock{mutex};
  if (opened)
    replacing = false;
  else
    changed.wait_for(lock, open_again, [this] { return stopping; });
}

/// Contents in memory first: somebody waits for them who has little time. False: nothing is to be
/// sent now.
bool blob_sender::parts::send_next() {
  shipment_ptr next;
  std::uint64_t id = 0, chunk = 0;
  {
    std::lock_guard guard{mutex};
    if (in_flight >= most_in_flight)
      return false;
    for (const auto& [number, one] : under_way)
      if (!one->unsent.empty() && !one->refused && (!next || (next->fd >= 0 && one->fd < 0))) {
        next = one;
        id = number;
      }
    if (!next)
      return false;
    chunk = next->unsent.front();
    next->unsent.pop_front();
    ++next->unsettled;
    ++in_flight;
  }
  const auto bytes = bytes_of_chunk(chunk, next->blob.size);
  std::string_view piece = std::string_view{next->content}.substr(
      std::min<std::size_t>(chunk * chunk_bytes, next->content.size()), bytes);
  std::vector<char> read;
  if (next->fd >= 0) {
    read.resize(bytes);
    const auto at = static_cast<off_t>(next->begin + chunk * chunk_bytes);
    if (::pread(next->fd, read.data(), bytes, at) != static_cast<ssize_t>(bytes)) {
      const error why{0, false, "its file cannot be read any more"};
      settled(reinterpret_cast<void*>(id << chunk_bits | chunk), false, &why);
      return true;
    }
    piece = {read.data(), read.size()};
  }
  const auto place = std::to_string(chunk);
  const header_view about[] = {{chunk_header, place}, {size_header, next->size}};
  void* tag = reinterpret_cast<void*>(static_cast<std::uintptr_t>(id << chunk_bits | chunk));
  if (writer->send({options.topic, next->partition}, {next->key, about, piece}, tag))
    return true;
  std::lock_guard guard{mutex}; // The producer is full, or dead: later.
  next->unsent.push_front(chunk);
  --next->unsettled;
  --in_flight;
  return false;
}

// Who asks.

bool blob_sender::parts::has_room(const shipment& for_this) const {
  std::size_t memory = for_this.content.size(), files = for_this.fd >= 0 ? 1 : 0;
  for (const auto& [id, one] : under_way) {
    memory += one->content.size();
    files += one->fd >= 0 ? 1 : 0;
  }
  return memory <= options.most_memory && files <= options.most_files;
}

bool blob_sender::parts::ship(shipment_ptr made, bool in_memory) {
  std::unique_lock lock{mutex};
  if (const auto known = by_blob.find(made->blob.id); known != by_blob.end())
    return wait_for(lock, under_way.at(known->second), in_memory);
  if (!has_room(*made))
    return false;
  made->key = to_hex(made->blob.id);
  made->size = std::to_string(made->blob.size);
  made->partition = static_cast<std::int32_t>(partition_for(made->key, options.partitions));
  for (std::uint64_t n = 0; n < chunks_of(made->blob.size); ++n)
    made->unsent.push_back(n);
  if (under_way.empty())
    moved = clock::now();
  const auto id = next_id++;
  by_blob.emplace(made->blob.id, id);
  under_way.emplace(id, made);
  changed.notify_all();
  return wait_for(lock, made, in_memory);
}

/// A shipment of its own: while it waits, what it stood in is erased.
bool blob_sender::parts::wait_for(std::unique_lock<std::mutex>& lock, shipment_ptr one,
                                  bool in_memory) {
  const auto asked = clock::now();
  while (!one->over() && !stopping) {
    auto until = moved + options.patience;
    if (in_memory)
      until = std::min(until, asked + options.longest_wait);
    if (clock::now() >= until)
      return false;
    changed.wait_until(lock, until);
  }
  return one->over() && !one->refused;
}

blob_sender::blob_sender() = default;
blob_sender::~blob_sender() = default;

result<std::unique_ptr<blob_sender>, std::string> blob_sender::open(blob_sender_options options) {
  std::unique_ptr<blob_sender> out{new blob_sender};
  out->parts_ = std::make_unique<parts>(std::move(options));
  if (auto opened = out->parts_->open_producer(); !opened)
    return "the blobs' topic cannot be written: " + opened.error().message;
  out->parts_->thread = std::thread{[p = out->parts_.get()] { p->work(); }};
  return out;
}

bool blob_sender::send(const blob_ref& blob, std::string_view content) {
  auto made = std::make_shared<parts::shipment>();
  made->blob = blob;
  made->content = content;
  return parts_->ship(std::move(made), true);
}

bool blob_sender::send_file(const blob_ref& blob, int fd, std::uint64_t begin) {
  auto made = std::make_shared<parts::shipment>();
  made->blob = blob;
  made->begin = begin;
  made->fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  return made->fd >= 0 && parts_->ship(std::move(made), false);
}

} // namespace runledger::kafka
