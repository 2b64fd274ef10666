#include "http/cluster/neighbours.hpp"

#include "http/cluster/command_text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <deque>
#include <map>
#include <mutex>
#include <set>

namespace runledger::http {

namespace {

constexpr std::chrono::seconds command_patience{10};
constexpr std::chrono::seconds keys_patience{5};
constexpr std::chrono::milliseconds keys_again{200}, look_again{20};
constexpr std::uint64_t log_piece = 4ull * 1024 * 1024;

refusal_info told_by(errc why, std::string detail) {
  refusal_info out;
  out.code = why;
  out.detail = std::move(detail);
  return out;
}

/// The size in `Content-Range: bytes 0-9/1234`.
std::uint64_t whole_size(std::string_view range) {
  range.remove_prefix(std::min(range.find('/'), range.size() - 1) + 1);
  std::uint64_t out = 0;
  std::from_chars(range.data(), range.data() + range.size(), out);
  return out;
}

std::int64_t number_in(std::string_view text) {
  std::int64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

unique_fd file_without_name(const std::string& folder) {
  return unique_fd{::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR)};
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto n = ::write(fd, bytes.data(), bytes.size());
    if (n <= 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

} // namespace

/// One behind the other, the oldest first.
neighbours::raw_log neighbours::joined(std::vector<raw_log>& parts, const std::string& folder) {
  std::ranges::stable_sort(parts, {}, &raw_log::began_ms);
  raw_log out{file_without_name(folder), 0, parts.front().began_ms, false};
  std::string piece(log_piece, '\0');
  for (const auto& part : parts)
    for (std::uint64_t at = 0; at < part.size;) {
      const auto n =
          ::pread(part.file.get(), piece.data(),
                  std::min<std::uint64_t>(piece.size(), part.size - at), static_cast<off_t>(at));
      const auto got = static_cast<std::size_t>(std::max<ssize_t>(n, 0));
      if (got == 0 || !out.file || !write_all(out.file.get(), {piece.data(), got}))
        return {{}, 0, 0, true};
      at += got;
      out.size += got;
    }
  return out;
}

/// What waits for a barrier. The log may outlive everything that waits, so it is given numbers.
class neighbours::waiting_reads {
public:
  std::uint64_t add(std::function<void(bool)> then) {
    const std::lock_guard held{mutex_};
    waiting_.emplace(++last_, std::move(then));
    return last_;
  }
  void end(std::uint64_t number, bool current) {
    std::unique_lock held{mutex_};
    auto found = waiting_.extract(number);
    held.unlock();
    if (!found.empty())
      found.mapped()(current);
  }
  void end_all() {
    std::unique_lock held{mutex_};
    auto all = std::exchange(waiting_, {});
    held.unlock();
    for (auto& [number, then] : all)
      then(false);
  }

private:
  std::mutex mutex_;
  std::map<std::uint64_t, std::function<void(bool)>> waiting_;
  std::uint64_t last_ = 0;
};

neighbours::neighbours(net::io_context& io, const cluster& with, barrier reads,
                       const std::string& certificates)
    : io_(io),
      with_(with),
      trust_(with.secret),
      client_(io, trust_.authorization(), certificates),
      forwarder_(with.members, trust_, client_),
      barrier_(std::move(reads)),
      reads_(std::make_shared<waiting_reads>()) {}

void neighbours::stop() {
  reads_->end_all();
  client_.stop();
}

void neighbours::when_current(std::function<void(bool)> then) {
  const auto number = reads_->add(std::move(then));
  barrier_([reads = std::weak_ptr{reads_}, number](bool current) {
    if (const auto here = reads.lock())
      here->end(number, current);
  });
}

// -- commands ----------------------------------------------------------------------------------

void neighbours::send(std::uint32_t partition, peer_command what, answer<peer_done> to) {
  net::post(io_, [this, partition, what = std::move(what), to = std::move(to)] {
    send_here(partition, what, to);
  });
}

void neighbours::send_here(std::uint32_t partition, const peer_command& what,
                           const answer<peer_done>& to) {
  const auto holder = with_.members.address_of(partition);
  if (!holder || *holder == with_.members.own_address()) {
    with_.members.suspect();
    return to.refuse(errc::not_owner, "Nobody is known to hold the partition.");
  }
  node_request ask;
  ask.address = *holder;
  ask.method = verb::post;
  ask.target = "/internal/v1/commands";
  ask.fields.emplace_back("Content-Type", "application/json");
  ask.body = command_text(what);
  ask.patience = command_patience;
  client_.send(std::move(ask), [this, to](const result<node_answer, node_trouble>& got) {
    if (got && got->status == static_cast<unsigned>(status::ok))
      return to(read_outcome(got->body));
    with_.members.suspect();
    const bool sent = !got && got.error() == node_trouble::lost;
    to(told_by(sent ? errc::outcome_unknown : errc::not_owner,
               "The server that holds the partition cannot be asked."));
  });
}

// -- keys --------------------------------------------------------------------------------------

struct neighbours::key_round {
  key_round(net::io_context& io) : timer(io) {}
  net::steady_timer timer;
  bool insist = false;
  std::function<bool()> wanted;
  std::function<void()> then;
  std::set<std::string> asked; ///< And answered, or not to be asked again.
  std::size_t under_way = 0;
  std::uint64_t looks = 0; ///< Of the group, until it is known anew.
};

void neighbours::refresh_keys(bool insist, std::function<bool()> wanted,
                              std::function<void()> then) {
  auto round = std::make_shared<key_round>(io_);
  round->insist = insist;
  round->wanted = std::move(wanted);
  round->then = std::move(then);
  if (!insist)
    return ask_for_keys(round);
  round->looks = with_.members.looks() + 2;
  await_look(round);
}

/// A member that has just come may not be known here yet.
void neighbours::await_look(const std::shared_ptr<key_round>& round) {
  if (with_.members.looks() >= round->looks)
    return ask_for_keys(round);
  with_.members.suspect();
  round->timer.expires_after(look_again);
  round->timer.async_wait([this, round](const error_code& ec) {
    if (!ec && (!round->wanted || round->wanted()))
      await_look(round);
  });
}

/// Those that have not been asked, or came meanwhile.
void neighbours::ask_for_keys(const std::shared_ptr<key_round>& round) {
  for (const auto& each : with_.members.others())
    if (round->asked.insert(each).second)
      ask_for_keys_of(round, each);
  if (round->under_way == 0)
    round->then();
}

void neighbours::ask_for_keys_of(const std::shared_ptr<key_round>& round,
                                 const std::string& address) {
  ++round->under_way;
  node_request ask;
  ask.address = address;
  ask.method = verb::post;
  ask.target = "/internal/v1/keys/refresh";
  ask.patience = keys_patience;
  client_.send(std::move(ask),
               [this, round, address](const result<node_answer, node_trouble>& got) {
                 --round->under_way;
                 const bool done = got && got->status == static_cast<unsigned>(status::no_content);
                 if (!done && round->insist) {
                   with_.members.suspect();
                   round->asked.erase(address);
                 }
                 if (round->under_way > 0 || (round->wanted && !round->wanted()))
                   return;
                 if (done || !round->insist)
                   return ask_for_keys(round);
                 round->timer.expires_after(keys_again);
                 round->timer.async_wait([this, round](const error_code& ec) {
                   if (!ec)
                     ask_for_keys(round);
                 });
               });
}

// -- raw logs ----------------------------------------------------------------------------------

struct neighbours::log_search {
  std::string run, folder;
  std::deque<std::string> left; ///< Nodes; the first is being asked.
  std::function<void(raw_log)> then;
  std::vector<raw_log> parts;
  raw_log found; ///< The part that is being fetched.
  std::uint64_t at = 0;
  bool unreachable = false;
};

void neighbours::fetch_raw_log(const std::string& run, const std::string& folder, raw_log here,
                               std::function<void(raw_log)> then) {
  auto search = std::make_shared<log_search>();
  search->run = run;
  search->folder = folder;
  search->then = std::move(then);
  if (here.file)
    search->parts.push_back(std::move(here));
  for (auto& each : with_.members.others())
    search->left.push_back(std::move(each));
  search_on(search);
}

/// A log that may lack a part is none.
void neighbours::search_on(const std::shared_ptr<log_search>& search) {
  if (!search->left.empty()) {
    search->at = 0;
    search->found = {};
    return read_piece(search);
  }
  auto& parts = search->parts;
  raw_log whole;
  if (!search->unreachable && parts.size() == 1)
    whole = std::move(parts.front());
  else if (!search->unreachable && !parts.empty())
    whole = joined(parts, search->folder);
  whole.unreachable = whole.unreachable || search->unreachable;
  search->then(std::move(whole));
}

void neighbours::end_part(const std::shared_ptr<log_search>& search, bool whole) {
  if (whole)
    search->parts.push_back(std::move(search->found));
  search->left.pop_front();
  search_on(search);
}

void neighbours::read_piece(const std::shared_ptr<log_search>& search) {
  node_request ask;
  ask.address = search->left.front();
  ask.target = "/internal/v1/logs/" + search->run;
  ask.fields.emplace_back("Range", "bytes=" + std::to_string(search->at) + '-'
                                       + std::to_string(search->at + log_piece - 1));
  client_.send(std::move(ask), [this, search](const result<node_answer, node_trouble>& got) {
    auto& found = search->found;
    const bool part = got && got->status == static_cast<unsigned>(status::partial_content);
    if (!part) {
      if (!got || got->status != static_cast<unsigned>(status::not_found))
        search->unreachable = true;
      return end_part(search, false);
    }
    if (!found.file) {
      found.file = file_without_name(search->folder);
      found.began_ms = number_in(got->field(log_began_header));
    }
    found.size = whole_size(got->field("Content-Range"));
    search->at += got->body.size();
    if (!found.file || got->body.empty() || !write_all(found.file.get(), got->body)) {
      search->unreachable = true;
      return end_part(search, false);
    }
    if (search->at < found.size)
      return read_piece(search);
    end_part(search, true);
  });
}

} // namespace runledger::http
