// Measures the SQLite ledger beside the disk's own limit, in one run:
//   log_bench [FOLDER] [EVENTS]
// FOLDER (default: a new one under the current folder) is on the disk to be measured and is emptied
// at the end; EVENTS (default 300000) is how many the group commits write.

#include "events/chain.hpp"
#include "events/log/sqlite_log.hpp"
#include "events/partition.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace {

using namespace runledger;
using steady = std::chrono::steady_clock;

double seconds(steady::duration d) {
  return std::chrono::duration<double>(d).count();
}

double thread_cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Durations of single operations, in milliseconds.
struct samples {
  std::vector<double> ms;
  void add(steady::duration d) { ms.push_back(1e3 * seconds(d)); }
  double at(double share) {
    if (ms.empty())
      return 0;
    std::sort(ms.begin(), ms.end());
    return ms[static_cast<std::size_t>(share * static_cast<double>(ms.size() - 1))];
  }
};

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "log_bench: %s\n", why.c_str());
  std::exit(1);
}

/// The disk's limit: 4 KiB and fdatasync, on a file that grows or one that was written before.
void measure_disk(const std::string& folder, bool prewritten) {
  auto path = folder + "/raw";
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  std::string page(4096, 'x');
  constexpr int rounds = 2000;
  for (int i = 0; prewritten && i < rounds; ++i)
    if (::pwrite(fd, page.data(), page.size(), i * 4096) != 4096)
      fail("cannot write " + path);
  ::fsync(fd);
  samples times;
  for (int i = 0; i < rounds; ++i) {
    auto begin = steady::now();
    if (::pwrite(fd, page.data(), page.size(), i * 4096) != 4096 || ::fdatasync(fd) != 0)
      fail("cannot write " + path);
    times.add(steady::now() - begin);
  }
  ::close(fd);
  ::unlink(path.c_str());
  std::printf("%-44s p50 %.3f ms  p99 %.3f ms\n",
              prewritten ? "4 KiB + fdatasync, prewritten file" : "4 KiB + fdatasync, growing file",
              times.at(0.5), times.at(0.99));
}

/// Sessions with runs of ten events of about 400 bytes of data, as the server writes them.
class workload {
public:
  workload(std::uint64_t epoch, std::size_t width) : epoch_(epoch), runs_(width) {}

  append_request next() {
    auto& r = runs_[at_];
    at_ = (at_ + 1) % runs_.size();
    if (r.left == 0)
      begin(r);
    --r.left;
    e_.stream.value = r.id;
    e_.partition_key = r.session;
    e_.causation_id = r.command;
    append_request out;
    bool open = r.left > 0;
    out.events.push_back(make_record(r.head, e_, epoch_, open,
                                     open ? std::optional{to_ms(e_.time) + 60000} : std::nullopt));
    follow(r.head, *out.events.back());
    return out;
  }

private:
  struct run {
    std::string id, session, command;
    stream_head head;
    int left = 0;
  };

  void begin(run& r) {
    auto now =
        std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
    e_.time = now;
    r.session = "sess_" + ids_.ulid(now);
    r.command = "cmd_" + ids_.ulid(now);
    r.id = derive_run_id(session_id{r.session}, command_id{r.command}).value;
    r.head = {};
    r.left = 10;
    e_.type = full_type("run.step_completed", 1);
    e_.workspace.value = "default";
    e_.correlation_id = "req_" + ids_.ulid(now);
    e_.principal = "key_" + ids_.ulid(now);
    e_.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    e_.data = "{\"step\":\"" + ids_.ulid(now) + "\",\"output\":\"" + std::string(350, 'o') + "\"}";
  }

  std::uint64_t epoch_;
  std::vector<run> runs_;
  std::size_t at_ = 0;
  system_id_source ids_;
  envelope e_;
};

std::vector<append_request> make_group(workload& work, std::size_t size) {
  std::vector<append_request> group;
  group.reserve(size);
  for (std::size_t i = 0; i < size; ++i)
    group.push_back(work.next());
  return group;
}

void measure_groups(sqlite_log& log, std::uint64_t epoch, std::size_t size, std::size_t events) {
  workload work{epoch, std::max<std::size_t>(size, 64)};
  samples times;
  double busy = 0, cpu = 0;
  for (std::size_t written = 0; written < events; written += size) {
    auto group = make_group(work, size);
    auto begin = steady::now();
    auto cpu_begin = thread_cpu_seconds();
    log.append(std::move(group), [](const std::vector<append_result>& results) {
      for (const auto& r : results)
        if (r.outcome != append_outcome::accepted)
          fail("refused: " + r.detail);
    });
    cpu += thread_cpu_seconds() - cpu_begin;
    auto took = steady::now() - begin;
    busy += seconds(took);
    times.add(took);
  }
  auto n = static_cast<double>(events);
  std::printf("append, groups of %-4zu %9.0f events/s     p50 %.3f ms  p99 %.3f ms  max %.1f ms"
              "  CPU %.2f us/event\n",
              size, n / busy, times.at(0.5), times.at(0.99), times.at(1), 1e6 * cpu / n);
}

void measure_scan(const sqlite_log& log, const char* what) {
  auto begin = steady::now();
  std::size_t count = 0;
  for (std::int64_t at = 0;;) {
    auto records = log.read_partition(0, at, 1024);
    if (!records)
      fail(records.error().detail);
    if (records->empty())
      break;
    count += records->size();
    at = records->back()->offset + 1;
    for (const auto& r : *records)
      if (!r->damage.empty())
        fail("damaged: " + r->event.id());
  }
  auto took = seconds(steady::now() - begin);
  std::printf("%-44s %9.0f events/s\n", what, static_cast<double>(count) / took);
}

void measure_streams(const sqlite_log& log) {
  auto all = log.read_partition(0, 0, 100000);
  if (!all)
    fail(all.error().detail);
  std::vector<stream_id> streams;
  for (const auto& r : *all)
    if (r->event.seq == 10)
      streams.push_back(r->event.stream);
  auto begin = steady::now();
  for (const auto& s : streams)
    if (auto events = log.read_stream(s, 1, 1000); !events || events->size() != 10)
      fail("stream " + s.value + " does not read");
  auto took = seconds(steady::now() - begin);
  if (!streams.empty())
    std::printf("%-44s %9.0f streams/s\n", "read_stream, 10 events, verified",
                static_cast<double>(streams.size()) / took);
}

std::unique_ptr<sqlite_log> open_log(sqlite_log_options options) {
  auto begin = steady::now();
  auto log = sqlite_log::open(std::move(options));
  if (!log)
    fail(log.error());
  std::printf("%-44s %.1f ms, end %lld\n", "open", 1e3 * seconds(steady::now() - begin),
              static_cast<long long>((*log)->end_offset(0)));
  return std::move(*log);
}

} // namespace

int main(int argc, char** argv) {
  std::string folder = argc > 1 ? argv[1] : "log_bench.data";
  auto events = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 300000;
  std::filesystem::create_directories(folder);
  measure_disk(folder, false);
  measure_disk(folder, true);
  {
    auto log = open_log({.folder = folder});
    system_wall_clock clock;
    system_id_source ids;
    auto claim = take_partition(*log, 0, "bench", clock, ids);
    if (!claim)
      fail(claim.error().detail);
    measure_groups(*log, claim->epoch, 1, 3000);
    measure_groups(*log, claim->epoch, 8, events / 8);
    measure_groups(*log, claim->epoch, 64, events);
    measure_groups(*log, claim->epoch, 256, events);
    measure_groups(*log, claim->epoch, 1, 3000);
    auto f = log->figures();
    std::printf("WAL %.1f MiB, %llu checkpoints\n", static_cast<double>(f.wal_bytes) / 1048576,
                static_cast<unsigned long long>(f.checkpoints));
    measure_streams(*log);
  }
  measure_scan(*open_log({.folder = folder}), "read_partition from the file, verified");
  measure_scan(*open_log({.folder = folder, .verify_partition_reads = false}),
               "read_partition from the file, unverified");
  std::printf("%-44s %.0f bytes an event\n", "file",
              static_cast<double>(std::filesystem::file_size(folder + "/ledger.db"))
                  / static_cast<double>(2 * events + events / 8));
  std::filesystem::remove_all(folder);
  return 0;
}
